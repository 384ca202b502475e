import {
  UNKNOWN_FINGERPRINT,
  type GenerationMemo,
  type GenerationState,
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
