import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, UNKNOWN_FINGERPRINT, type FailureDetails, type Fence } from '../src/contract/index.js';
import type { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import { mayExist, UNRESOLVED, type Paid } from '../src/policy/index.js';
import { nothingKnown } from './failure.js';

type Keyed = { readonly idempotencyKey: string };

/** A submit that must not be repeated blind: it may have been paid. */
export function unresolved(input: Keyed, fence: Fence, why: string, paid: Paid): ApplicationFailure {
  return fail(
    FAILURE.SubmitUnresolved,
    `A submit ${fence.fingerprint === UNKNOWN_FINGERPRINT ? 'may have been' : 'was'} sent at ${new Date(fence.firstPostedAt).toISOString()} and ${why}.`,
    {
      idempotencyKey: input.idempotencyKey,
      action: UNRESOLVED[paid].action,
      fence,
    },
  );
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
        'Start again with the input of the first start, or with a larger take (or another Workflow ID) to pay for the new input.',
    },
  );
}

export function invalidRequest(input: Keyed, { message, field }: InvalidRequest): ApplicationFailure {
  const { idempotencyKey } = input;
  return fail(FAILURE.InvalidInput, message, { idempotencyKey, field, action: 'Correct the field and start again.' });
}

/** Anything else, for example a fence that is not acknowledged: repeated, and what is unanswered stays known. */
export function unexpected(input: Keyed, error: unknown, fence: Fence | null, paid: Paid): ApplicationFailure {
  const type = error instanceof Error ? error.name : 'Error';
  const said = error instanceof Error ? error.message : String(error);
  const { idempotencyKey } = input;
  const action =
    fence === null
      ? 'Nothing was posted. Mend this if it lasts; the submit is repeated by itself.'
      : `${mayExist(paid)}. Mend this if it lasts; the submit is repeated under the same key by itself.`;
  // Pending Activities shows the message alone.
  const message = `${said} ${action}`;
  const details: FailureDetails = { ...nothingKnown(), code: type, idempotencyKey, action, ...(fence && { fence }) };
  return ApplicationFailure.create({ type, message, details: [details] });
}

function fail(code: string, message: string, more: Partial<FailureDetails> & { action: string }): ApplicationFailure {
  const details: FailureDetails = { ...nothingKnown(), code, ...more };
  return ApplicationFailure.nonRetryable(message, code, details);
}
