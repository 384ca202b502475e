/**
 * How a paid call comes to its answer: through retries, refusals, holds and key numbers. It guarantees that the key
 * number moves on only where no task can exist under the key, or a person has accepted that one may. `generateMedia`
 * and `rivyaChat` call it. It never posts by itself: an Activity does. Deterministic.
 */
import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { FAILURE, STOPPED, withoutEnd } from '../src/contract/index.js';
import type { PaidCallInput, PaidCallResult, UnansweredPost } from '../src/contract/index.js';
import { afterSubmit, unansweredText, type Resume } from '../src/policy/index.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import { countPaid } from './metrics.js';
import type { Progress } from './progress.js';

type CallFields = 'idempotencyKey' | 'keyNumber' | 'attempt' | 'unanswered' | 'lookedBy' | 'riskReason';

interface PaidCall<Answer> {
  readonly submitDeadlineMs: number;
  /** The key of a number; a caller's own key stays the same. */
  readonly keyOf: (number: number) => string;
  readonly ownKey: boolean;
  /** Runs one Activity, which ends with the answer or when Temporal stops repeating it. */
  readonly post: (fields: Pick<PaidCallInput, CallFields>) => Promise<PaidCallResult<Answer>>;
  /** Asks for the task that an unanswered POST has made, as a person says. */
  readonly named?: (taskId: string, by: UnansweredPost) => Promise<Answer>;
  /** Called after a hold that no person has ended for this call alone, once its key number has moved; may continue as new. */
  readonly checkpoint: () => Promise<void>;
}

type Posting = Pick<PaidCallResult<unknown>, 'firstPostedAt' | 'sinceFirstPostMs' | 'reused'>;

export type PaidAnswer<Answer> = Posting & { readonly answer: Answer };

/** The facts about an answer that input or person has named. */
export const NOT_POSTED = { firstPostedAt: null, sinceFirstPostMs: 0, reused: true } satisfies Posting;

interface Priced {
  readonly reservedCredits: number | null;
}

/** Makes a paid call once, however often it has to be tried. */
export async function submit<Answer extends Priced>(
  progress: Progress,
  call: PaidCall<Answer>,
): Promise<PaidAnswer<Answer>> {
  const { paid, onActionNeeded } = progress.subject;
  const moveKeyNumber = (): void => progress.update({ keyNumber: progress.state.keyNumber + 1 });
  for (let tries = 0; ; tries++) {
    // In the memo before anything can be posted: a later run must know that a POST may have gone out.
    const idempotencyKey = call.keyOf(progress.state.keyNumber);
    progress.update({ phase: 'submitting', idempotencyKey, submittingSince: Date.now() }, true);
    let end: CallEnd;
    try {
      const { keyNumber, attempt, unanswered, lookedBy, riskReason } = progress.state;
      const result = await call.post({ idempotencyKey, keyNumber, attempt, unanswered, lookedBy, riskReason });
      const { answer, position, firstPostedAt, sinceFirstPostMs, reused, attributes } = result;
      const found = { unanswered: position?.unanswered ?? null, looked: true, runId: result.lookedBy };
      progress.recordSubmit({ ...found, attributes });
      progress.update({ ...position, idempotencyKey: result.idempotencyKey });
      if (answer !== null) {
        if (!reused) countPaid(progress.subject.model, answer.reservedCredits);
        return { answer, firstPostedAt, sinceFirstPostMs, reused };
      }
      // An earlier run has reached a higher key number: the next try posts under that.
      continue;
    } catch (error) {
      const report = failures.reportOfCancelled(error);
      if (report !== null) progress.recordSubmit(report);
      end = callEnd(error);
    }
    progress.recordSubmit(end);
    const unanswered = progress.state.unanswered !== null;
    const next = afterSubmit({ code: end.code, unanswered, outOfTime: end.outOfTime });
    if (next === 'neverAccepted') throw failures.neverAccepted(end, progress.state, call, paid);
    // A conflict is no refusal of this request: the key belongs to another request.
    const onlyRefused = end.posted && !unanswered && end.code !== FAILURE.InputChanged;
    // The API may have stored the refusal under this key: where the Workflow fails, its next run needs another one.
    if (onlyRefused && !call.ownKey && (next === 'fail' || onActionNeeded === 'fail')) moveKeyNumber();
    if (next === 'fail') throw failures.callFailed(end, progress.state, paid);

    const unresolved = next === 'unresolved' || (unanswered && onActionNeeded === 'fail' && end.code !== STOPPED);
    if (unresolved) end = failures.asUnresolved(end, paid);
    else if (unanswered) end = { ...end, message: `${end.message} ${unansweredText(paid)}` };
    else if (onlyRefused && call.ownKey) end = { ...end, message: `${end.message} ${OWN_KEY}` };
    // After a reset this end may come from the run before, where a person may have answered the hold already.
    const ofThisRun = end.runId === workflowInfo().runId;
    if (unresolved && !ofThisRun) end = { ...end, message: `${end.message} ${BROUGHT_BACK}` };
    const { answer, resumed } = await decisionOf(progress, call, end, tries);
    if (answer !== null) return { ...NOT_POSTED, answer };
    // Only a reason given for a hold of this run allows to post again: a reset applies the Updates of the run before.
    if (unresolved && ofThisRun) {
      progress.clearUnanswered();
      progress.update({ riskReason: resumed?.reason ?? null });
    }
    // Under a key with a stored answer the API repeats that answer for ever.
    const spent = onlyRefused || (unresolved && ofThisRun && end.details.stored === true);
    if (spent && !call.ownKey) moveKeyNumber();
    // A release of many can come often, as no person does.
    if (resumed === null || resumed.code !== null) await call.checkpoint();
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
      // A wrong ID must not end the Workflow: its own task may exist all the same.
      asked = { ...end, message: `${withoutEnd(error.message)} ${end.message}` };
    }
  }
}

const OWN_KEY =
  'It is submitted again under your own idempotencyKey. Where the API repeats a refusal that it has stored under it, only another idempotencyKey helps.';

const BROUGHT_BACK =
  'This hold may come from before a reset. A reason only has the submit judged again: it accepts no second payment yet, and is asked for once more.';
