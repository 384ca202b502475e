/** The way of one paid call from its first POST to an answer: through retries, stored refusals and holds. Deterministic. */
import { ApplicationFailure, isCancellation, workflowInfo } from '@temporalio/workflow';
import { UNKNOWN_FINGERPRINT } from '../src/contract/names.js';
import type { GenerationState, SubmitInput } from '../src/contract/index.js';
import { afterSubmit, isStoredError, type Generation, type Paid } from '../src/policy/index.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import type { Progress } from './progress.js';

type Policy = Pick<Generation, 'submitDeadlineMs' | 'onActionNeeded' | 'ownKey'>;
type Resumed = Awaited<ReturnType<Progress['hold']>>;

/** What a paid call brings along. */
export interface PaidCall<Result> {
  readonly policy: Policy;
  /** Its key, when so many keys before it were spent. */
  readonly key: (spent: number) => string;
  /** One Activity, which ends when it has an answer or when repeating it is over. */
  readonly post: (
    key: string,
    risk: Pick<SubmitInput, 'fence' | 'riskAccepted' | 'riskAcceptedAt' | 'riskReason'>,
  ) => Promise<Result>;
  /** Takes up the task that a person says an unanswered POST has made. */
  readonly adopt?: (taskId: string) => Promise<Result>;
  /** Holds, or fails where the caller wants that. */
  readonly hold: (end: CallEnd, tries: number) => Promise<Resumed>;
}

/** Thrown by `adopt` where a person has resumed the look at the task with something else than "go on". */
export class ClaimGivenUp extends Error {
  readonly resumed: NonNullable<Resumed>;
  constructor(resumed: NonNullable<Resumed>) {
    super('Another task was named, or a reason to post again.');
    this.resumed = resumed;
  }
}

/** Makes a paid call once, however often it has to be tried. */
export async function submit<Result>(progress: Progress, call: PaidCall<Result>): Promise<Result> {
  const { policy, key: keyOf } = call;
  const { paid } = progress;
  let refusedBy: string | null = null;
  for (let tries = 0; ; tries++) {
    const key = keyOf(progress.state.spentKeys);
    const startedAt = Date.now();
    let end: CallEnd;
    try {
      const { unanswered: fence, riskAccepted, riskReason } = progress.state;
      return await call.post(key, { fence, riskAccepted, ...acceptedAt(progress.state), riskReason });
    } catch (error) {
      if (isCancellation(error) || failures.wasCancelled(error)) {
        // Between two attempts nobody can tell what the last one left; so a task may exist.
        const of = { idempotencyKey: key, ...acceptedAt(progress.state) };
        const unknown = { firstPostedAt: startedAt, fingerprint: UNKNOWN_FINGERPRINT, ...of };
        const fence = failures.fenceOfCancelled(error);
        progress.unanswered(fence === undefined ? (progress.state.unanswered ?? unknown) : fence);
      }
      end = callEnd(error);
    }
    progress.unanswered(end.fence);
    // A refusal never takes away what an earlier POST left unanswered.
    end = { ...end, fence: progress.state.unanswered };
    const unanswered = end.fence !== null;
    const next = afterSubmit({ code: end.code, unanswered, outOfTime: end.outOfTime });
    if (next === 'neverAccepted') throw failures.neverAccepted(end, progress.state, policy, paid);
    if (next === 'fail') throw failures.callFailed(end, progress.state, paid);
    const { requestId = null } = end.details;
    const stored = requestId !== null && (requestId === refusedBy || end.details.storedRefusal === true);
    if (!unanswered && stored && policy.ownKey === null) {
      // The very refusal of the last try: the API has stored it under this key and will never say anything else. No
      // POST of this key was ever unanswered, so no task can exist under it.
      const spentKeys = progress.state.spentKeys + 1;
      progress.update({ spentKeys, idempotencyKey: keyOf(spentKeys) }, true);
      refusedBy = null;
      continue;
    }
    refusedBy = unanswered ? null : requestId;
    // For the memo: a later run must know the refusal again.
    progress.update({ refusedBy });
    const unresolved = next === 'unresolved' || (unanswered && policy.onActionNeeded === 'fail');
    if (unresolved) end = failures.unresolved(end, paid);
    else if (unanswered) end = { ...end, message: `${end.message} ${OPEN[paid]}` };
    if (policy.onActionNeeded === 'fail') throw failures.callFailed(end, progress.state, paid);
    const ofThisRun = end.details.runId === workflowInfo().runId;
    if (unresolved && !ofThisRun) end = { ...end, message: `${end.message} ${BROUGHT_BACK}` };
    const { found = null, reason = null } = await held(call, end, tries);
    if (found !== null) return found;
    if (!unresolved) continue;
    if (ofThisRun) {
      // A named person accepted the risk: the window starts anew. Key and body stay, unless an error is stored there.
      progress.answered();
      const spentKeys = progress.state.spentKeys + (isStoredError(end.fence) ? 1 : 0);
      const risk = { unanswered: null, riskAccepted: true, riskAcceptedAt: Date.now(), riskReason: reason };
      progress.update({ ...risk, spentKeys, idempotencyKey: keyOf(spentKeys) }, true);
    } else {
      // A reset brought this hold back, and maybe the old answer to it: nobody has accepted to pay once more. The
      // submit is judged again, which finds its task or holds anew.
      progress.update({}, true);
    }
  }
}

function acceptedAt({ riskAcceptedAt }: GenerationState): { readonly riskAcceptedAt?: number } {
  return riskAcceptedAt == null ? {} : { riskAcceptedAt };
}

/** Holds a paid call. Returns what a person named, or why they want it posted again. */
async function held<Result>(
  call: PaidCall<Result>,
  end: CallEnd,
  tries: number,
): Promise<{ found?: Result; reason?: string | null }> {
  let resumed = await call.hold(end, tries);
  for (;;) {
    if (resumed?.taskId == null || call.adopt === undefined) return { reason: resumed?.reason ?? null };
    try {
      return { found: await call.adopt(resumed.taskId) };
    } catch (error) {
      if (error instanceof ClaimGivenUp) {
        ({ resumed } = error);
        continue;
      }
      if (!(error instanceof ApplicationFailure)) throw error;
      // A wrong ID must not end the Workflow: the task that it looks for is still not known.
      resumed = await call.hold({ ...end, message: `${error.message} ${end.message}` }, tries);
    }
  }
}

/** Holds until a person resumes (returns what they said) or it is worth trying again (null), or fails at once. */
export async function holdOrFail(
  progress: Progress,
  { onActionNeeded }: Pick<Policy, 'onActionNeeded'>,
  end: CallEnd,
  tries: number,
): Promise<Resumed> {
  if (onActionNeeded === 'fail') throw failures.callFailed(end, progress.state, progress.paid);
  return progress.hold(end.code, end, tries);
}

const OPEN: Readonly<Record<Paid, string>> = {
  task: 'An earlier submit is unanswered: a task may exist.',
  answer: 'An earlier submit is unanswered: it may have been paid.',
};

const BROUGHT_BACK =
  'This may have been held before a reset: a reason only has the submit looked at again, and is asked for once more.';
