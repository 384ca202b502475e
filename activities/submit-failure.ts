/** How a paid call ends without an answer, in words and details. */
import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { FAILURE, UNKNOWN_FINGERPRINT, type FailureDetails, type UnansweredPost } from '../src/contract/index.js';
import { RivyaApiError } from '../src/api/index.js';
import { judgeSubmit, mayExist, UNRESOLVED, type Paid } from '../src/policy/index.js';
import { callFailure, finalFailure, nothingKnown, retryIn } from './failure.js';

type Keyed = { readonly idempotencyKey: string };

/** Heartbeat details of a paid call: what its next attempt must know. Its failures say the same to the Workflow. */
export interface PaidBeat {
  readonly unanswered: UnansweredPost | null;
  /** True once this Activity has posted. */
  readonly posted: boolean;
  /** True once it has looked at receipts and earlier runs. */
  readonly looked: boolean;
  readonly runId: string;
}

/** The end of an attempt, saying what it has left. */
export function endOf(error: unknown, input: Keyed, beat: PaidBeat, paid: Paid): Error {
  const { unanswered, ...rest } = beat;
  const left: Partial<FailureDetails> = { ...rest, ...(unanswered !== null && { unanswered }) };
  if (error instanceof CancelledFailure) return new CancelledFailure(error.message, [left]);
  const failure = failureOf(error, input, unanswered, paid);
  return Object.assign(failure, { details: [{ ...(failure.details?.[0] as FailureDetails), ...left }] });
}

function failureOf(error: unknown, input: Keyed, unanswered: UnansweredPost | null, paid: Paid): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (!(error instanceof RivyaApiError)) return unexpected(input, error, unanswered, paid);
  const conflict = error.outcome === 'refused' && error.code === 'idempotency_conflict';
  if (conflict && unanswered === null) return inputChanged(input, paid, error);
  return callFailure(error, judgeSubmit(error, unanswered !== null), {
    idempotencyKey: input.idempotencyKey,
    unanswered,
    paid,
    attempt: activityInfo().attempt,
    retryInMs: retryIn(error),
  });
}

/**
 * A submit that must not be repeated blind: it may have been paid.
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

export function inputChanged(input: Keyed, paid: Paid, error?: RivyaApiError): ApplicationFailure {
  const { httpStatus = null, requestId = null } = error ?? {};
  return finalFailure(
    FAILURE.InputChanged,
    `This idempotency key belongs to a ${paid === 'task' ? 'generation' : 'chat'} with another input. Nothing was paid by this call.`,
    {
      idempotencyKey: input.idempotencyKey,
      httpStatus,
      requestId,
      action:
        'Start again with the input of the first start, or under another Workflow ID (or step name) to pay for the new input.',
    },
  );
}

/** Anything else, for example a fence that is not acknowledged: repeated, and what is unanswered stays known. */
function unexpected(input: Keyed, error: unknown, unanswered: UnansweredPost | null, paid: Paid): ApplicationFailure {
  const type = error instanceof Error ? error.name : 'Error';
  const said = error instanceof Error ? error.message : String(error);
  const { idempotencyKey } = input;
  const action =
    unanswered === null
      ? 'Nothing was posted. Mend this if it lasts; the submit is repeated by itself.'
      : `${mayExist(paid)}. Mend this if it lasts; the submit is repeated under the same key by itself.`;
  // Pending Activities shows the message alone.
  const message = `${said} ${action}`;
  const details: FailureDetails = { ...nothingKnown(), code: type, idempotencyKey, action };
  return ApplicationFailure.create({ type, message, details: [details] });
}
