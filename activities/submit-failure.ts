/**
 * The failures of the Activities that pay. It guarantees that each failure reports whether the Activity has posted and
 * whether a POST has no answer. `paidPost` calls it. It never says that nothing was paid while a POST has no answer.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { FAILURE, UNKNOWN_FINGERPRINT, type FailureDetails, type UnansweredPost } from '../src/contract/index.js';
import { RivyaApiError } from '../src/api/index.js';
import { judgeSubmit, unansweredText, UNRESOLVED, type Paid } from '../src/policy/index.js';
import { activityFailure, callFailure, finalFailure } from './failure.js';

type Keyed = { readonly idempotencyKey: string };

/** Heartbeat details of a paid call, for its next attempt. Its failures report the same to the Workflow. */
export interface PaidBeat extends Required<Pick<FailureDetails, 'posted' | 'looked' | 'runId'>> {
  readonly unanswered: UnansweredPost | null;
}

/** The failure or cancellation of an attempt, with its last beat. */
export function attemptFailure(error: unknown, input: Keyed, beat: PaidBeat, paid: Paid): Error {
  const { unanswered, ...rest } = beat;
  const report: Partial<FailureDetails> = { ...rest, ...(unanswered !== null && { unanswered }) };
  if (error instanceof CancelledFailure) return new CancelledFailure(error.message, [report]);
  const failure = failureOf(error, input, unanswered, paid);
  return Object.assign(failure, { details: [{ ...(failure.details?.[0] as FailureDetails), ...report }] });
}

function failureOf(error: unknown, input: Keyed, unanswered: UnansweredPost | null, paid: Paid): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  const { idempotencyKey } = input;
  if (error instanceof RivyaApiError) {
    const conflict = error.outcome === 'refused' && error.code === 'idempotency_conflict';
    if (conflict && unanswered === null) return inputChanged(input, paid, error);
    return callFailure(error, judgeSubmit(error, unanswered !== null), { idempotencyKey, unanswered, paid });
  }
  // For example a fence that the Service does not acknowledge.
  const [type, said] = error instanceof Error ? [error.name, error.message] : ['Error', String(error)];
  const action =
    unanswered === null
      ? 'Nothing was posted. Correct this if it lasts; the submit is repeated by itself.'
      : `${unansweredText(paid)} Correct this if it lasts; the submit is repeated under the same key by itself.`;
  return activityFailure(type, said, { idempotencyKey, action }, {});
}

/**
 * A submit that must not be repeated without a person: it may have been paid.
 * @param why - Why it must not, as a clause.
 * @param stored - True where the API has stored an error under the key.
 */
export function unresolved(
  { idempotencyKey }: Keyed,
  { firstPostedAt, fingerprint }: UnansweredPost,
  why: string,
  paid: Paid,
  stored = false,
): ApplicationFailure {
  const sent = fingerprint === UNKNOWN_FINGERPRINT ? 'may have been' : 'was';
  const message = `A submit ${sent} sent at ${new Date(firstPostedAt).toISOString()} and ${why}.`;
  const { action } = UNRESOLVED[paid];
  return finalFailure(FAILURE.SubmitUnresolved, message, { idempotencyKey, action, ...(stored && { stored }) });
}

/** The key stands for another request. */
export function inputChanged({ idempotencyKey }: Keyed, paid: Paid, error?: RivyaApiError): ApplicationFailure {
  const { httpStatus = null, requestId = null } = error ?? {};
  const problem = `This idempotency key belongs to a ${paid === 'task' ? 'generation' : 'chat'} with another input. Nothing was paid by this call.`;
  const action =
    'Start again with the input of the first start, or under another Workflow ID (or step name) to pay for the new input.';
  return finalFailure(FAILURE.InputChanged, problem, { idempotencyKey, httpStatus, requestId, action });
}
