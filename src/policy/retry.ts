import { errorCodeRow, FAILURE, type ErrorCodeRow } from '../contract/index.js';
import { needsOperator } from './hold.js';

// Below 1 s the Service takes a whole second anyway, and a delay of 0 ends the retries at once.
const MIN_DELAY_MS = 1_000;
// A header may ask for hours. Ten minutes keeps a stuck call visible and costs six calls an hour.
const MAX_DELAY_MS = 10 * 60_000;
// A rate limit counts by the minute: coming back after a second only spends the next window.
const RATE_LIMITED_BASE_MS = 5_000;
const BASE_MS = 1_000;

/** What a failed call tells the policy. */
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

export interface DelayInput {
  /** Number of the attempt that failed, from 1. */
  readonly attempt: number;
  readonly code: string | null;
  readonly retryAfterMs: number | null;
  readonly random: number;
  /** Lowest delay for this call, for example 5 s between two status checks. */
  readonly minMs?: number;
}

/**
 * Milliseconds until the next attempt: exponential from 1 s (5 s after `rate_limited`) with half of it random, or what
 * the API asked for plus up to a tenth, always between 1 s and 10 min.
 */
export function retryDelay({ attempt, code, retryAfterMs, random, minMs = MIN_DELAY_MS }: DelayInput): number {
  const base = code === 'rate_limited' ? RATE_LIMITED_BASE_MS : BASE_MS;
  // 2^20 s is far beyond the cap; the bound keeps the power finite after thousands of attempts.
  const backoff = base * 2 ** Math.min(attempt - 1, 20);
  const jittered = Math.min(backoff, MAX_DELAY_MS) * (0.5 + 0.5 * random);
  const asked = retryAfterMs === null ? 0 : retryAfterMs * (1 + 0.1 * random);
  return Math.round(Math.min(MAX_DELAY_MS, Math.max(minMs, MIN_DELAY_MS, jittered, asked)));
}

export interface Verdict {
  /** Failure type: the code, or the HTTP status, or `network_error` where no reply arrived. */
  readonly type: string;
  readonly retry: boolean;
  readonly row: ErrorCodeRow;
}

/** What a failed status check means. A check changes nothing, so every outcome that can pass is repeated. */
export function judgeCheck(failure: CallFailure): Verdict {
  return judge(failure, failure.httpStatus === null || (failure.code === null && failure.outcome === 'unknown'));
}

/**
 * What a failed submit means. A refusal follows the table. After an unknown outcome only the same request again can
 * tell, so it is repeated. A conflict is repeated where it may come from our own POST that still runs.
 */
export function judgeSubmit(failure: CallFailure, conflictMayBeOurs: boolean): Verdict {
  if (failure.outcome === 'unknown') return judge(failure, true);
  return judge(failure, conflictMayBeOurs && failure.code === 'idempotency_conflict');
}

/** What a Workflow does when Temporal has stopped repeating a submit. */
export type AfterSubmit = 'fail' | 'hold' | 'unresolved' | 'neverAccepted';

/**
 * After an unanswered POST no refusal is the end: a task may exist, and only its ID or a person can tell. Otherwise the
 * code decides.
 */
export function afterSubmit({
  code,
  unanswered,
  outOfTime,
}: {
  readonly code: string;
  readonly unanswered: boolean;
  /** True when the time for repetitions was over. */
  readonly outOfTime: boolean;
}): AfterSubmit {
  if (code === FAILURE.SubmitUnresolved) return 'unresolved';
  if (unanswered) return needsOperator(code) && !outOfTime ? 'hold' : 'unresolved';
  if (outOfTime) return 'neverAccepted';
  return needsOperator(code) ? 'hold' : 'fail';
}

function judge(failure: CallFailure, repeatAnyway: boolean): Verdict {
  const row = errorCodeRow(failure.code, failure.httpStatus);
  const type = failure.code ?? (failure.httpStatus === null ? 'network_error' : `http_${failure.httpStatus}`);
  return { type, retry: row.retried || repeatAnyway, row };
}
