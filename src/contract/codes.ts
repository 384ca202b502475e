/**
 * The stable error codes of the Rivya API, from its page "API Errors and Limits". Retry policies, holds, failure
 * messages, the emulator, the documentation and the tests all derive from this one table.
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

const rowFor = (actor: Actor) => (httpStatus: number, about: Pick<ErrorCodeRow, 'meaning' | 'action'>) =>
  ({ httpStatus, ...about, actor, retried: actor === 'nobody' }) satisfies ErrorCodeRow;
const [wait, operator, caller] = [rowFor('nobody'), rowFor('operator'), rowFor('caller')];
const NEW_KEY = 'Create a new key, give it to the Worker, then resume.';

export const ERROR_CODES = {
  public_api_disabled: wait(503, {
    meaning: 'The public API is switched off for the moment.',
    action: 'Nothing to do: the call is repeated with back-off until the API is back.',
  }),
  api_key_missing: operator(401, {
    meaning: 'The request carried no API key.',
    action: 'Give the Worker a key (RIVYA_API_KEY or RIVYA_API_KEY_FILE), then resume.',
  }),
  api_key_invalid: operator(401, {
    meaning: 'The API key cannot be verified.',
    action: 'Check the key that the Worker uses, replace it if needed, then resume.',
  }),
  api_key_revoked: operator(401, { meaning: 'The API key was revoked in the Rivya settings.', action: NEW_KEY }),
  api_key_expired: operator(401, { meaning: 'The API key is past its validity.', action: NEW_KEY }),
  api_scope_denied: operator(403, {
    meaning: 'The API key lacks the scope that this call needs.',
    action: 'Create a key that has the scope, give it to the Worker, then resume.',
  }),
  rate_limited: wait(429, {
    meaning: 'Too many calls in the current window.',
    action:
      'Nothing to do: the call is repeated with exponential back-off. If it happens often, lower RIVYA_RATE_LIMIT_PER_MINUTE.',
  }),
  validation_failed: caller(400, {
    meaning: 'The API refuses the body, the model, the prompt or the params.',
    action: 'Compare the input with the reference of the model and start again with corrected input.',
  }),
  not_found: caller(404, {
    meaning: 'There is no such task in the account of this API key.',
    action: 'Check the task ID, and that the Worker uses a key of the account that created the task.',
  }),
  webhook_url_rejected: caller(400, {
    meaning: 'The address of the webhook endpoint is not allowed.',
    action: 'Use a public HTTPS address without credentials or fragment.',
  }),
  chat_model_not_supported: caller(400, {
    meaning: 'The Chat API does not offer this model.',
    action: 'Choose a chat model from the list of models.',
  }),
  chat_session_conflict: caller(409, {
    meaning: 'The chat session cannot be used for this request.',
    action:
      'Use a session that this account created through the API for the same model, and send one message at a time to it.',
  }),
  chat_attachment_not_supported: caller(400, {
    meaning: 'The Chat API does not take this attachment.',
    action: 'Upload an image through the Files API and pass its file_id.',
  }),
  idempotency_conflict: caller(409, {
    meaning: 'The idempotency key was used before with another body.',
    action: 'Send exactly the same body again, or start a new generation under another Workflow ID.',
  }),
  insufficient_credits: operator(402, {
    meaning: 'The account has too few credits for this request.',
    action: 'Add credits to the account, then resume.',
  }),
  internal_error: wait(500, {
    meaning: 'The API could not complete the request; a task may exist all the same.',
    action:
      'Nothing to do: the same request is repeated under the same idempotency key. If it lasts, give the requestId to Rivya support.',
  }),
} as const satisfies Record<string, ErrorCodeRow>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Code of the stop switch, which is none of the API: a person has told all Workers to submit nothing (`stopSubmits`). */
export const STOPPED = 'stopped';

// A Worker that reads the switch has made no call, so there is no HTTP status.
const STOPPED_ROW: ErrorCodeRow = operator(0, {
  meaning: 'A person has stopped all submits. Nothing was sent and nothing was paid.',
  action: 'Allow submits again: rivya-temporal account allow. Those that are held then go on by themselves.',
});

/**
 * Codes of tasks that ended `failed`: true where the same input may well succeed when it is paid for again. Any other
 * code is taken for wrong input, which never does. The API page shows `generation_failed` alone.
 */
export const TASK_ERRORS = { generation_failed: true, internal_error: true, validation_failed: false } as const;

export type TaskError = keyof typeof TASK_ERRORS;

/** Failure types after which Temporal repeats no paid call and no status check: `nonRetryableErrorTypes` of their retry policies. */
export const NOT_RETRIED: readonly string[] = [
  ...Object.entries(ERROR_CODES).flatMap(([code, { retried }]) => (retried ? [] : [code])),
  FAILURE.InvalidInput,
  FAILURE.InputChanged,
  FAILURE.SubmitUnresolved,
  FAILURE.BudgetReached,
  FAILURE.PolicyDenied,
  STOPPED,
];

/** Statuses of a link that has expired, or is not there yet: a fresh one from the status endpoint may work. */
export const DEAD_LINK: ReadonlySet<number> = new Set([401, 403, 404, 410]);

/** Codes of `GenerationError` for a Workflow that a person or the Service has ended. */
export const ENDED_BY_OTHERS = ['Cancelled', 'Terminated', 'TimedOut'] as const;

const EXPLAINED = new Set<string>([...Object.keys(ERROR_CODES), ...Object.keys(FAILURE), ...ENDED_BY_OTHERS, STOPPED]);
// The path of a page in the package.
const REFERENCE = 'rivya-temporal/docs/reference.md';

/** The end of a failure message: what to do next, and where the reference explains the code. */
export function failureEnd(code: string, action: string): string {
  return `${action} (see ${REFERENCE}#${EXPLAINED.has(code) ? code.toLowerCase() : 'other-codes'})`;
}

/** A failure message without its end: only what happened. */
export function withoutEnd(message: string, action = ''): string {
  const text = message.replace(new RegExp(String.raw` \(see ${REFERENCE}#[\w-]+\)$`), '');
  return action !== '' && text.endsWith(` ${action}`) ? text.slice(0, -action.length - 1) : text;
}

const UNKNOWN_CODE = {
  meaning: 'The API refuses the request with a code that this version does not know.',
  action: 'Read the message, correct the input or update rivya-temporal, and start again.',
};
const CORRECT_WAY = 'correct RIVYA_BASE_URL or HTTPS_PROXY, or have the network on the way changed.';
const NO_CODE = {
  meaning: 'Something between this machine and the API answered in its place, or there is no API at this address.',
  action: `C${CORRECT_WAY.slice(1)}`,
};
// Statuses below 500 that are repeated where the code is not in the table.
const RETRIED_STATUSES = new Set([408, 425, 429]);

/**
 * The row for a code. New codes may appear without a new API version, so an unknown one is judged by its HTTP status:
 * 408, 425, 429 and 5xx are repeated, all others are for the caller.
 */
export function errorCodeRow(code: string | null, httpStatus: number | null): ErrorCodeRow {
  if (code !== null && Object.hasOwn(ERROR_CODES, code)) return ERROR_CODES[code as ErrorCode];
  if (code === STOPPED) return STOPPED_ROW;
  const status = httpStatus ?? 0;
  // No status at all means that no reply arrived: a network failure, which the API page says to repeat.
  const retried = status === 0 || RETRIED_STATUSES.has(status) || status >= 500;
  if (!retried) return caller(status, code === null ? NO_CODE : UNKNOWN_CODE);
  return repeatedRow(code, httpStatus);
}

/** The row for a call that is repeated, whatever its status says. A reply without a code may be that of a proxy. */
export function repeatedRow(code: string | null, httpStatus: number | null): ErrorCodeRow {
  const repeated = 'the call is repeated with back-off.';
  const isForeign = code === null && httpStatus !== null;
  return wait(httpStatus ?? 0, {
    meaning: 'The API or the network gave no usable answer.',
    action: isForeign ? `Where it lasts, ${CORRECT_WAY} Until then ${repeated}` : `Nothing to do: ${repeated}`,
  });
}
