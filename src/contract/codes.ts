/**
 * The stable error codes of the Rivya API, from its page "API Errors and Limits". Retry policies, holds,
 * failure messages, the emulator, the documentation and the tests all derive from this one table.
 */

import { FAILURE } from './failures.js';

/** Who can make the call succeed: nobody (wait), the operator of the account, or the caller with other input. */
export type Actor = 'nobody' | 'operator' | 'caller';

export interface ErrorCodeRow {
  /** HTTP status that the API documents for the code. */
  readonly httpStatus: number;
  readonly meaning: string;
  readonly actor: Actor;
  /** True where the same request may be sent again after a back-off. */
  readonly retried: boolean;
  /** What to do next, as it is printed for a person. */
  readonly action: string;
}

function wait(httpStatus: number, meaning: string, action: string): ErrorCodeRow {
  return { httpStatus, meaning, actor: 'nobody', retried: true, action };
}
function operator(httpStatus: number, meaning: string, action: string): ErrorCodeRow {
  return { httpStatus, meaning, actor: 'operator', retried: false, action };
}
function caller(httpStatus: number, meaning: string, action: string): ErrorCodeRow {
  return { httpStatus, meaning, actor: 'caller', retried: false, action };
}

export const ERROR_CODES = {
  public_api_disabled: wait(
    503,
    'The public API is switched off for the moment.',
    'Nothing to do: the call is repeated with back-off until the API is back.',
  ),
  api_key_missing: operator(
    401,
    'The request carried no API key.',
    'Give the Worker a key (RIVYA_API_KEY or RIVYA_API_KEY_FILE), then resume.',
  ),
  api_key_invalid: operator(
    401,
    'The API key cannot be verified.',
    'Check the key that the Worker uses, replace it if needed, then resume.',
  ),
  api_key_revoked: operator(
    401,
    'The API key was revoked in the Rivya settings.',
    'Create a new key, give it to the Worker, then resume.',
  ),
  api_key_expired: operator(
    401,
    'The API key is past its validity.',
    'Create a new key, give it to the Worker, then resume.',
  ),
  api_scope_denied: operator(
    403,
    'The API key lacks the scope that this call needs.',
    'Create a key that has the scope, give it to the Worker, then resume.',
  ),
  rate_limited: wait(
    429,
    'Too many calls in the current window.',
    'Nothing to do: the call is repeated with exponential back-off. If it happens often, lower RIVYA_RATE_LIMIT_PER_MINUTE.',
  ),
  validation_failed: caller(
    400,
    'The API refuses the body, the model, the prompt or the params.',
    'Compare the input with the reference of the model and start again with corrected input.',
  ),
  not_found: caller(
    404,
    'There is no such task in the account of this API key.',
    'Check the task ID, and that the Worker uses a key of the account that created the task.',
  ),
  webhook_url_rejected: caller(
    400,
    'The address of the webhook endpoint is not allowed.',
    'Use a public HTTPS address without credentials or fragment.',
  ),
  chat_model_not_supported: caller(
    400,
    'The Chat API does not offer this model.',
    'Choose a chat model from the list of models.',
  ),
  chat_session_conflict: caller(
    409,
    'The chat session cannot be used for this request.',
    'Use a session that this account created through the API for the same model, and send one message at a time to it.',
  ),
  chat_attachment_not_supported: caller(
    400,
    'The Chat API does not take this attachment.',
    'Upload an image through the Files API and pass its file_id.',
  ),
  idempotency_conflict: caller(
    409,
    'The idempotency key was used before with another body.',
    'Send exactly the same body again, or start a new generation under another Workflow ID.',
  ),
  insufficient_credits: operator(
    402,
    'The account has too few credits for this request.',
    'Add credits to the account, then resume.',
  ),
  internal_error: wait(
    500,
    'The API could not complete the request; a task may exist all the same.',
    'Nothing to do: the same request is repeated under the same idempotency key. If it lasts, give the requestId to Rivya support.',
  ),
} as const satisfies Record<string, ErrorCodeRow>;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * Codes of tasks that ended `failed`: true where the same input may well succeed when it is paid for again. Any other
 * code is taken for wrong input, which never does. The API page shows `generation_failed` alone.
 */
export const TASK_ERRORS = { generation_failed: true, internal_error: true, validation_failed: false } as const;

/** Failure types after which Temporal repeats no paid call and no status check: `nonRetryableErrorTypes` of their retry policies. */
export const NOT_RETRIED: readonly string[] = [
  ...Object.entries(ERROR_CODES).flatMap(([code, { retried }]) => (retried ? [] : [code])),
  FAILURE.InvalidInput,
  FAILURE.InputChanged,
  FAILURE.SubmitUnresolved,
  FAILURE.BudgetReached,
  FAILURE.PolicyDenied,
];

export type TaskError = keyof typeof TASK_ERRORS;

/** HTTP statuses that are worth a repetition when the code is not in the table (or there is none). */
const RETRIED_STATUSES = new Set([408, 425, 429]);

/**
 * The row for a code. New codes may appear without a new API version, so an unknown one is judged by its HTTP status:
 * 408, 425, 429 and 5xx are repeated, everything else is for the caller.
 */
export function errorCodeRow(code: string | null, httpStatus: number | null): ErrorCodeRow {
  if (code !== null && Object.hasOwn(ERROR_CODES, code)) return ERROR_CODES[code as ErrorCode];
  const status = httpStatus ?? 0;
  // No status at all means that no reply arrived: a network failure, which the API page says to repeat.
  const retried = status === 0 || RETRIED_STATUSES.has(status) || status >= 500;
  return retried
    ? wait(
        status,
        'The API or the network gave no usable answer.',
        'Nothing to do: the call is repeated with back-off.',
      )
    : caller(
        status,
        'The API refuses the request with a code that this version does not know.',
        'Read the message, correct the input or update rivya-temporal, and start again.',
      );
}
