/**
 * What a failed call means: whether Temporal repeats it, when, and what the Workflow does after the last attempt. It
 * guarantees that a refusal follows the table of error codes, and that after an unknown outcome only the same request,
 * a task ID or a person decides. Activities and Workflows call it.
 */
import {
  errorCodeRow,
  FAILURE,
  NOT_RETRIED,
  repeatedRow,
  type ErrorCode,
  type ErrorCodeRow,
} from '../contract/index.js';
import { needsOperator } from './hold.js';

// Below 1 s the Service takes a whole second anyway, and a delay of 0 ends the retries at once.
const MIN_DELAY_MS = 1_000;
// A header may ask for hours. Ten minutes keeps a stuck call visible and costs six calls an hour.
const MAX_DELAY_MS = 10 * 60_000;
// A rate limit counts by the minute: a call after one second would only use up the next window.
const RATE_LIMITED_BASE_MS = 5_000;
// In the next minute the API takes calls again; attempts that the Worker has held back itself must not add up to more.
const RATE_LIMITED_MAX_MS = 60_000;
const BASE_MS = 1_000;

/** A failed call to the API. */
export interface CallFailure {
  /** `refused`: the API certainly did nothing. `unknown`: a task may exist. */
  readonly outcome: 'refused' | 'unknown';
  readonly code: string | null;
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  /** Parsed `Retry-After` in milliseconds, or null. */
  readonly retryAfterMs: number | null;
  readonly message: string;
}

interface DelayInput extends Pick<CallFailure, 'code' | 'retryAfterMs'> {
  /** Number of the attempt that failed, from 1. */
  readonly attempt: number;
  readonly random: number;
  /** Lowest delay for this call, for example 5 s between two status checks. */
  readonly minMs?: number;
}

/**
 * Milliseconds until the next attempt: exponential from 1 s (after `rate_limited` from 5 s to a minute) with half of it
 * random, or what the API asked for plus up to a tenth, always between 1 s and 10 min.
 */
export function retryDelay({ attempt, code, retryAfterMs, random, minMs = MIN_DELAY_MS }: DelayInput): number {
  const [base, longest] =
    code === 'rate_limited' ? [RATE_LIMITED_BASE_MS, RATE_LIMITED_MAX_MS] : [BASE_MS, MAX_DELAY_MS];
  // 2^20 s is far beyond the cap; the bound keeps the power finite after thousands of attempts.
  const backoff = base * 2 ** Math.min(attempt - 1, 20);
  const jittered = Math.min(backoff, longest) * (0.5 + 0.5 * random);
  const asked = retryAfterMs === null ? 0 : retryAfterMs * (1 + 0.1 * random);
  return Math.round(Math.min(MAX_DELAY_MS, Math.max(minMs, MIN_DELAY_MS, jittered, asked)));
}

/**
 * Milliseconds that an attempt must wait where the Service hands it out before its time, as it may after a restart; at most
 * `minMs`. A time further away than any delay comes from another clock, such as that of a test server that skips time.
 */
export function earlyBy({ dueAt, now, minMs }: { dueAt: number; now: number; minMs: number }): number {
  const early = dueAt - now;
  return early > 0 && early <= MAX_DELAY_MS ? Math.min(early, minMs) : 0;
}

/** The judgement of a failed call. */
export interface Verdict {
  /** Rivya's error code, or `http_<status>`, or `network_error` where no reply arrived. */
  readonly code: string;
  /**
   * Failure type: the code; or `repeated:<code>` where a call must be repeated after an unknown outcome although the code
   * stands in `nonRetryableErrorTypes` of the retry policy.
   */
  readonly type: string;
  readonly retry: boolean;
  readonly row: ErrorCodeRow;
}

const CHECK_REFUSED =
  'The task is not affected and nothing more is paid. Look for it in the Rivya Studio, update rivya-temporal or ask Rivya support with the requestId, then resume.';

/** Judges a failed call that costs nothing: all but a refusal by the API is repeated. */
export function judgeFree(failure: CallFailure): Verdict {
  return judge(failure, failure.outcome === 'unknown');
}

/** Judges a failed read outside of a generation: it fails without a hold, so there is nothing to resume. */
export function judgeRead(failure: CallFailure): Verdict {
  const verdict = judgeFree(failure);
  const action = verdict.row.action.replace('then resume', 'then ask again');
  return { ...verdict, row: { ...verdict.row, action } };
}

/** Judges a failed status check. */
export function judgeCheck(failure: CallFailure): Verdict {
  const verdict = judgeFree(failure);
  const { row, code } = verdict;
  // The actions of the table are for a submit: after a check they would lead to a second payment.
  const refused = row.actor === 'caller' && code !== ('not_found' satisfies ErrorCode);
  return refused ? { ...verdict, row: { ...row, action: CHECK_REFUSED } } : verdict;
}

const CONFLICTS = new Set<string | null>(['idempotency_conflict', 'chat_session_conflict'] satisfies ErrorCode[]);

/**
 * Judges a failed submit. A refusal follows the table. After an unknown outcome the same request is repeated, because only
 * its answer says whether a task exists. A conflict is repeated only where an earlier POST of the key has no answer and may
 * still run.
 */
export function judgeSubmit(failure: CallFailure, unanswered: boolean): Verdict {
  if (failure.outcome === 'unknown') return judge(failure, true);
  return judge(failure, unanswered && CONFLICTS.has(failure.code));
}

interface SubmitEnd {
  readonly code: string;
  readonly unanswered: boolean;
  /** True when the time for repetitions was over. */
  readonly outOfTime: boolean;
}

/** What the Workflow does when Temporal has stopped repeating a submit. */
export function afterSubmit(end: SubmitEnd): 'fail' | 'hold' | 'unresolved' | 'neverAccepted' {
  const { code, unanswered, outOfTime } = end;
  if (code === FAILURE.SubmitUnresolved) return 'unresolved';
  // A task may exist, so no refusal fails the Workflow: only a task ID or a person ends the doubt.
  if (unanswered) return needsOperator(code) && !outOfTime ? 'hold' : 'unresolved';
  if (outOfTime) return 'neverAccepted';
  return needsOperator(code) ? 'hold' : 'fail';
}

function judge(failure: CallFailure, repeatAnyway: boolean): Verdict {
  const listed = errorCodeRow(failure.code, failure.httpStatus);
  // After an unknown outcome the same request is sent again, so no action may ask for another one.
  const isRepeated = failure.outcome === 'unknown' && !listed.retried;
  const row = isRepeated ? repeatedRow(failure.code, failure.httpStatus) : listed;
  const code = failure.code ?? (failure.httpStatus === null ? 'network_error' : `http_${failure.httpStatus}`);
  const retry = row.retried || repeatAnyway;
  return { code, type: retry && NOT_RETRIED.includes(code) ? `repeated:${code}` : code, retry, row };
}
