import { errorCodeRow, FAILURE, TASK_ERRORS, type ErrorCode, type TaskError } from '../contract/index.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const KEY_CODES = new Set<string>([
  'api_key_missing',
  'api_key_invalid',
  'api_key_revoked',
  'api_key_expired',
  'api_scope_denied',
] satisfies ErrorCode[]);

/**
 * Milliseconds until a held call is tried again without a person, or null for never. A key file may have changed, so
 * key codes are tried each minute; the others after 5 min, growing to an hour. An unresolved submit is never tried: a
 * task may exist.
 */
export function holdRecheckDelay(code: string, tries: number, random: number): number | null {
  if (code === FAILURE.SubmitUnresolved) return null;
  const delay = KEY_CODES.has(code) ? MINUTE : Math.min(5 * MINUTE * 2 ** Math.min(tries, 10), HOUR);
  return Math.round(delay * (1 + 0.2 * random));
}

/** Codes that only a person at the account can mend (credits, key, scope). */
export function needsOperator(code: string): boolean {
  return errorCodeRow(code, null).actor === 'operator';
}

/** True where another paid attempt may follow a failed task (`maxAttempts` above 1). A failure without a code may pass. */
export function mayAttemptAgain(errorCode: string | null): boolean {
  return errorCode === null || (Object.hasOwn(TASK_ERRORS, errorCode) && TASK_ERRORS[errorCode as TaskError]);
}
