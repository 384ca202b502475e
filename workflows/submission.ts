/**
 * How a paid call comes to its answer: through retries, refusals, holds and key numbers.
 *
 * It guarantees that the key number moves on only where no task can exist under the key, or a person has accepted that one
 * may. `generateMedia` and `rivyaChat` call it. It never posts by itself. Deterministic.
 */
import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { FAILURE, type PaidCallInput, type PaidCallResult, type UnansweredPost } from '../src/contract/index.js';
import { afterSubmit, type Paid, type Resume } from '../src/policy/index.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import type { Progress } from './progress.js';

export interface PaidCall<Answer> {
  readonly submitDeadlineMs: number;
  /** The key of a number; a caller's own key stays the same. */
  readonly keyOf: (number: number) => string;
  readonly ownKey: boolean;
  /** One Activity, which ends when it has an answer or when repeating it is over. */
  readonly post: (at: PaidCallAt) => Promise<PaidCallResult<Answer>>;
  /** Takes the task that a person says an unanswered POST has made. */
  readonly named?: (taskId: string, by: UnansweredPost) => Promise<Answer>;
  /** Called after a hold that nobody has ended, once its key number has moved; may continue as new. */
  readonly checkpoint: () => Promise<void>;
}

export type PaidCallAt = Pick<
  PaidCallInput,
  'idempotencyKey' | 'keyNumber' | 'attempt' | 'unanswered' | 'lookedBy' | 'riskReason'
>;

export interface Paying<Answer> extends Pick<PaidCallResult<Answer>, 'firstPostedAt' | 'sinceFirstPostMs' | 'reused'> {
  readonly answer: Answer;
}

/** About an answer that somebody has named. */
export const NOT_POSTED = { firstPostedAt: null, sinceFirstPostMs: 0, reused: true } as const;

/** Makes a paid call once, however often it has to be tried. */
export async function submit<Answer>(progress: Progress, call: PaidCall<Answer>): Promise<Paying<Answer>> {
  const { paid, onActionNeeded } = progress.about;
  for (let tries = 0; ; tries++) {
    // In the memo before anything can be posted: a later run must know that it may have been.
    const idempotencyKey = call.keyOf(progress.state.keyNumber);
    progress.update({ phase: 'submitting', idempotencyKey, submittingSince: Date.now() }, true);
    let end: CallEnd;
    try {
      const { keyNumber, attempt, unanswered, lookedBy, riskReason } = progress.state;
      const result = await call.post({ idempotencyKey, keyNumber, attempt, unanswered, lookedBy, riskReason });
      const { answer, position, firstPostedAt, sinceFirstPostMs, reused } = result;
      const { lookedBy: runId, attributes } = result;
      progress.submitted({ unanswered: position?.unanswered ?? null, looked: true, runId, attributes });
      progress.update({ ...position, idempotencyKey: result.idempotencyKey });
      if (answer !== null) return { answer, firstPostedAt, sinceFirstPostMs, reused };
      // An earlier run had come further; go on there.
      continue;
    } catch (error) {
      const left = failures.leftByCancelled(error);
      if (left !== null) progress.submitted(left);
      end = callEnd(error);
    }
    progress.submitted(end);
    const unanswered = progress.state.unanswered !== null;
    const next = afterSubmit({ code: end.code, unanswered, outOfTime: end.outOfTime });
    if (next === 'neverAccepted') throw failures.neverAccepted(end, progress.state, call, paid);
    // A conflict is no refusal of this request: the key belongs to another one.
    const onlyRefused = end.posted && !unanswered && end.code !== FAILURE.InputChanged;
    // Where it fails, the next start goes on as if a hold had ended: the API may have stored the refusal under this key.
    if (onlyRefused && !call.ownKey && (next === 'fail' || onActionNeeded === 'fail')) {
      progress.update({ keyNumber: progress.state.keyNumber + 1 });
    }
    if (next === 'fail') throw failures.callFailed(end, progress.state, paid);
    const unresolved = next === 'unresolved' || (unanswered && onActionNeeded === 'fail');
    if (unresolved) end = failures.unresolved(end, paid);
    else if (unanswered) end = { ...end, message: `${end.message} ${MAY_EXIST[paid]}` };
    else if (onlyRefused && call.ownKey) end = { ...end, message: `${end.message} ${OWN_KEY}` };
    // A reset brings back the hold of another run, and perhaps the answer that it got there.
    const ofThisRun = end.runId === workflowInfo().runId;
    if (unresolved && !ofThisRun) end = { ...end, message: `${end.message} ${BROUGHT_BACK}` };
    const { answer, resumed } = await decisionOf(progress, call, end, tries);
    if (answer !== null) return { ...NOT_POSTED, answer };
    if (unresolved && ofThisRun) {
      progress.answered();
      progress.update({ riskReason: resumed?.reason ?? null });
    }
    const spent = onlyRefused || (unresolved && ofThisRun && end.details.stored === true);
    if (spent && !call.ownKey) progress.update({ keyNumber: progress.state.keyNumber + 1 });
    if (resumed === null) await call.checkpoint();
  }
}

/** Holds until the call is worth another try, or a person has named its task. */
async function decisionOf<Answer>(
  progress: Progress,
  call: PaidCall<Answer>,
  end: CallEnd,
  tries: number,
): Promise<{ readonly answer: Answer | null; readonly resumed: Resume | null }> {
  for (let asked = end; ;) {
    const resumed = await progress.hold(asked, tries);
    const { taskId = null } = resumed ?? {};
    const { unanswered } = progress.state;
    if (taskId === null || unanswered === null || call.named === undefined) return { answer: null, resumed };
    try {
      return { answer: await call.named(taskId, unanswered), resumed };
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      // A wrong ID must not end the Workflow: the task that it looks for is still not known.
      asked = { ...end, message: `${error.message} ${end.message}` };
    }
  }
}

const MAY_EXIST: Readonly<Record<Paid, string>> = {
  task: 'An earlier submit is unanswered: a task may exist.',
  answer: 'An earlier submit is unanswered: it may have been paid.',
};

const OWN_KEY =
  'It is submitted again under your own idempotencyKey. Where the API repeats a refusal that it has stored under it, only another idempotencyKey helps.';

const BROUGHT_BACK =
  'This may have been held before a reset: a reason only has the submit looked at again, and is asked for once more.';
