import {
  UNKNOWN_FINGERPRINT,
  type GenerationMemo,
  type GenerationResult,
  type GenerationState,
  type StoredFile,
  type TaskSnapshot,
  type UnansweredPost,
} from '../contract/index.js';

/** The state of a paid call before its first step. */
export function stateAtStart({ model, baseKey }: { model: string; baseKey: string | null }): GenerationState {
  return {
    phase: 'starting',
    status: null,
    model,
    taskId: null,
    idempotencyKey: baseKey,
    keyNumber: 1,
    attempt: 1,
    statusChecks: 0,
    nextCheckAt: null,
    reservedCredits: null,
    finalCredits: null,
    hold: null,
    unanswered: null,
    submittingSince: null,
    lookedBy: null,
    riskReason: null,
    earlier: [],
    simulated: false,
    listable: false,
  };
}

/** The part of a state that goes into the memo, for later runs and for people when no Worker runs. */
export function memoOf(
  state: GenerationState,
  about: Pick<GenerationMemo, 'baseKey' | 'labels' | 'bodyDigest'>,
): GenerationMemo {
  const { phase, status, taskId, model, idempotencyKey, keyNumber, attempt, reservedCredits, finalCredits } = state;
  const { hold, lookedBy, riskReason, earlier } = state;
  const place = { phase, status, taskId, model, idempotencyKey, keyNumber, attempt, reservedCredits, finalCredits };
  return { ...place, hold, lookedBy, riskReason, earlier, mayPostSince: mayPostSince(state), ...about };
}

/** A POST that has no answer, or one that may have gone out since its submit was scheduled. */
export function mayPostSince({
  unanswered,
  submittingSince,
}: Pick<GenerationState, 'unanswered' | 'submittingSince'>): UnansweredPost | null {
  if (unanswered !== null || submittingSince === null) return unanswered;
  return { firstPostedAt: submittingSince, fingerprint: UNKNOWN_FINGERPRINT };
}

/** What a reply changes in a state. A later reply may leave a number out; what was known stays known. */
export function seen(task: TaskSnapshot, state: GenerationState): Partial<GenerationState> {
  const { taskId, status, simulated } = task;
  const reservedCredits = task.reservedCredits ?? state.reservedCredits;
  const finalCredits = task.finalCredits ?? state.finalCredits;
  return { taskId, status, simulated, reservedCredits, finalCredits };
}

/** The state in which the next attempt begins, after the task of this one has failed. */
export function nextAttempt(
  { attempt, keyNumber, earlier }: GenerationState,
  taskId: string,
): Partial<GenerationState> {
  const fresh = { taskId: null, status: null, reservedCredits: null, finalCredits: null, riskReason: null };
  return { ...fresh, attempt: attempt + 1, keyNumber: keyNumber + 1, earlier: [...earlier, taskId] };
}

/** The result of a generation whose task has succeeded. */
export function resultOf(
  { taskId, model, urls, simulated, createdAt, updatedAt }: TaskSnapshot,
  files: readonly StoredFile[],
  reused: boolean,
  state: GenerationState,
): GenerationResult {
  const { idempotencyKey, reservedCredits, finalCredits, statusChecks, attempt: attempts } = state;
  const money = { idempotencyKey, reservedCredits, finalCredits };
  const links = { urls, primaryUrl: urls[0] ?? null, files };
  const counted = { attempts, statusChecks, reused };
  const told = { simulated, createdAt, updatedAt };
  return { status: 'succeeded', taskId, model: model ?? state.model, ...money, ...links, ...counted, ...told };
}

/** True where a task has ended, so that its final credits are final. */
export function isSettled({ status }: { readonly status: string | null }): boolean {
  return status === 'succeeded' || status === 'failed';
}
