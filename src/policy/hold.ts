/** Which failures a person or another attempt can help, and when a held call is tried again. The Workflows call it. */
import { DEAD_LINK, errorCodeRow, FAILURE, SHARED_CODES, TASK_ERRORS } from '../contract/index.js';
import { HOUR, MINUTE, SECOND } from './duration.js';

// Two minutes: some stores show a new object late, and a link that has just expired is replaced.
const FRESH_LINKS_AFTER = [5, 10, 20, 40, 45];

/**
 * Milliseconds until a held call is tried again without a person, or null for never. A cause that many share is probed and
 * released by the account; each call is tried by itself after 30 to 60 min, in case the account cannot. The others are
 * tried after 5 min, growing to an hour. An unresolved submit is never tried: a task may exist.
 */
export function holdRecheckDelay(code: string, tries: number, random: number): number | null {
  if (code === FAILURE.SubmitUnresolved) return null;
  // Far apart: thousands that are held by one cause must not come back at once.
  if (SHARED_CODES.includes(code)) return Math.round(30 * MINUTE * (1 + random));
  const delay = Math.min(5 * MINUTE * 2 ** Math.min(tries, 10), HOUR);
  return Math.round(delay * (1 + 0.2 * random));
}

/**
 * Milliseconds until fresh links are asked for and tried, where a file could not be stored; null where the Workflow holds.
 * Dead links are tried for about two minutes. Whatever else is in the way, the Activity has repeated already.
 * @param tries - Tries in vain before this one.
 */
export function freshLinksDelay(tries: number, httpStatus: number | null): number | null {
  const isDead = httpStatus !== null && DEAD_LINK.has(httpStatus);
  const seconds = tries === 0 || isDead ? FRESH_LINKS_AFTER[tries] : undefined;
  return seconds === undefined ? null : seconds * SECOND;
}

/** True for a code that only the operator of the account can clear (credits, key, scope, stop switch). */
export function needsOperator(code: string): boolean {
  return errorCodeRow(code, null).actor === 'operator';
}

/** True where another attempt may follow a failed task (`maxAttempts` above 1), also after a failure without a code. */
export function mayAttemptAgain(errorCode: string | null): boolean {
  return errorCode === null || (TASK_ERRORS as Readonly<Record<string, unknown>>)[errorCode] === true;
}
