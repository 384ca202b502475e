/**
 * The state of a paid call: how each step changes it, and what memo, search attributes and result take from it. It
 * guarantees that a known task, and a POST that may be unanswered, is in every memo. `Progress` and `GenerationRun`
 * call it.
 */
import { ERROR_CODES, FAILURE, STOPPED, UNKNOWN_FINGERPRINT } from '../contract/index.js';
import type { ExpectedEnd, GenerationMemo, GenerationResult, GenerationState } from '../contract/index.js';
import type { StoredFile, TaskSnapshot, UnansweredPost } from '../contract/index.js';

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
    expected: null,
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

/** The memo of a state, for later runs and for people when no Worker runs. */
export function memoOf(
  state: GenerationState,
  about: Pick<GenerationMemo, 'baseKey' | 'labels' | 'bodyDigest'>,
): GenerationMemo {
  const { phase, status, taskId, model, idempotencyKey, keyNumber, attempt, reservedCredits, finalCredits } = state;
  const { hold, lookedBy, riskReason, earlier, earlierCredits, expected } = state;
  const place = { phase, status, taskId, model, idempotencyKey, keyNumber, attempt, reservedCredits, finalCredits };
  // A run of an older version has passed none on.
  const end = expected && { expectedEnd: { from: expected.from, to: expected.to } };
  const before = { earlier, ...(earlierCredits && { earlierCredits }) };
  return { ...place, hold, lookedBy, riskReason, ...before, mayPostSince: mayPostSince(state), ...end, ...about };
}

type Submit = Pick<GenerationState, 'unanswered' | 'submittingSince'>;

/** The POST without an answer, or one that may have gone out since its submit was scheduled; else null. */
export function mayPostSince({ unanswered, submittingSince }: Submit): UnansweredPost | null {
  if (unanswered !== null || submittingSince === null) return unanswered;
  return { firstPostedAt: submittingSince, fingerprint: UNKNOWN_FINGERPRINT };
}

/** The change of a state by a reply about its task. A number that this reply leaves out keeps its last value. */
export function seen(task: TaskSnapshot, state: GenerationState): Partial<GenerationState> {
  const { taskId, status, simulated } = task;
  const reservedCredits = task.reservedCredits ?? state.reservedCredits;
  const finalCredits = task.finalCredits ?? state.finalCredits;
  return { taskId, status, simulated, reservedCredits, finalCredits };
}

// Fewer say nothing that a person could rely on.
const TOLD_FROM = 5;

/** When a task that was made then should end, or null. */
export function expectedEnd(
  { status, expectation }: TaskSnapshot,
  { bornAt, now }: { readonly bornAt: number; readonly now: number },
): ExpectedEnd | null {
  if (expectation === undefined || expectation.runs < TOLD_FROM || isSettled({ status })) return null;
  const { p50Ms, p90Ms, runs } = expectation;
  const at = (ms: number): string => new Date(bornAt + ms).toISOString();
  return { from: at(p50Ms), to: at(p90Ms), runs, late: now > bornAt + p90Ms };
}

/** The state in which the next attempt begins, after the task of this one has failed. */
export function nextAttempt(
  { attempt, keyNumber, earlier, earlierCredits, finalCredits }: GenerationState,
  taskId: string,
): Partial<GenerationState> {
  const fresh = {
    taskId: null,
    status: null,
    expected: null,
    reservedCredits: null,
    finalCredits: null,
    riskReason: null,
  };
  const credits = finalCredits === null ? {} : { earlierCredits: { ...earlierCredits, [taskId]: finalCredits } };
  return { ...fresh, attempt: attempt + 1, keyNumber: keyNumber + 1, earlier: [...earlier, taskId], ...credits };
}

/** Credits of tasks that failed before the last attempt: `price` for each whose final credits this run has not seen. */
export function creditsOfEarlier(
  { earlierCredits = {} }: Pick<GenerationMemo, 'earlierCredits'>,
  taskIds: readonly string[],
  price: number,
): number {
  const costs = taskIds.map((taskId) => (Object.hasOwn(earlierCredits, taskId) ? earlierCredits[taskId] : undefined));
  return costs.reduce<number>((sum, credits) => sum + (credits ?? price), 0);
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
  const rest = { simulated, createdAt, updatedAt };
  return { status: 'succeeded', taskId, model: model ?? state.model, ...money, ...links, ...counted, ...rest };
}

/** True where a task has ended, so that its final credits are final. */
export function isSettled({ status }: { readonly status: string | null }): boolean {
  return status === 'succeeded' || status === 'failed';
}

/** The values of the search attributes; null where nothing is known. */
export function searchAttributesOf(state: GenerationState) {
  const { model, taskId, finalCredits, reservedCredits } = state;
  // Until a task has ended the API may say 0, which is no price.
  const credits = (isSettled(state) ? finalCredits : null) ?? reservedCredits;
  return { RivyaStatus: listedStatus(state), RivyaModel: model, RivyaTaskId: taskId, RivyaCredits: credits };
}

function listedStatus({ phase, status, hold }: GenerationState): string {
  if (phase === 'held') {
    const code = hold?.code ?? '';
    // Only codes of our tables: a person who filters by them must be able to name them.
    const isKnown = Object.hasOwn(ERROR_CODES, code) || Object.hasOwn(FAILURE, code) || code === STOPPED;
    return `held:${isKnown ? code : 'other'}`;
  }
  if (phase === 'succeeded' || phase === 'failed' || phase === 'cancelled') return phase;
  if (phase === 'waiting' || phase === 'storing') return status === 'queued' ? 'queued' : 'processing';
  return 'submitting';
}
