import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, UNKNOWN_FINGERPRINT, type FailureDetails, type UnansweredPost } from '../src/contract/index.js';
import type { RivyaApiError } from '../src/api/index.js';
import { mayExist, UNRESOLVED, type Paid } from '../src/policy/index.js';
import { nothingKnown } from './failure.js';

type Keyed = { readonly idempotencyKey: string };

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
  return fail(FAILURE.SubmitUnresolved, message, { idempotencyKey, action, ...(stored && { stored }) });
}

export function inputChanged(input: Keyed, paid: Paid, error?: RivyaApiError): ApplicationFailure {
  const { httpStatus = null, requestId = null } = error ?? {};
  return fail(
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
export function unexpected(input: Keyed, error: unknown, unanswered: UnansweredPost | null, paid: Paid): ApplicationFailure {
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

function fail(code: string, message: string, more: Partial<FailureDetails> & { action: string }): ApplicationFailure {
  const details: FailureDetails = { ...nothingKnown(), code, ...more };
  return ApplicationFailure.nonRetryable(message, code, details);
}
