/**
 * The failures of Activities, as the Workflow and the Pending Activities of the UI get them. It guarantees that each
 * failure says what happened and what to do next, and carries no secret. All Activities call it. It does not judge
 * whether a call is repeated: `src/policy/retry.ts` does.
 */
import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { failureEnd, NOTHING_KNOWN, NOT_RETRIED } from '../src/contract/index.js';
import type { FailureDetails, UnansweredPost } from '../src/contract/index.js';
import { retryDelay, unansweredText, type CallFailure, type Paid, type Verdict } from '../src/policy/index.js';

type Facts = Partial<FailureDetails> & Pick<FailureDetails, 'action'>;

/** A failure of this Activity. Pending Activities shows the message alone, so it names the action too. */
export function activityFailure(
  code: string,
  problem: string,
  facts: Facts,
  retry: { readonly type?: string; readonly nonRetryable?: boolean; readonly nextRetryDelay?: number },
): ApplicationFailure {
  const { workflowExecution } = activityInfo();
  const run = workflowExecution && { runId: workflowExecution.runId };
  const details: FailureDetails = { ...NOTHING_KNOWN, ...run, code, ...facts };
  const message = `${problem} ${failureEnd(code, facts.action)}`;
  return ApplicationFailure.create({ type: code, message, details: [details], ...retry });
}

/** A failure that Temporal does not repeat. */
export function finalFailure(code: string, problem: string, facts: Facts): ApplicationFailure {
  return activityFailure(code, problem, facts, { nonRetryable: true });
}

const NO_REPLY = { code: null, retryAfterMs: null, httpStatus: null };

/** Milliseconds until Temporal repeats this attempt, which has failed. */
export function retryIn(
  { code, retryAfterMs, httpStatus }: Pick<CallFailure, 'code' | 'retryAfterMs' | 'httpStatus'> = NO_REPLY,
  minMs?: number,
): number {
  // A call that this Worker has held back asked for nothing in vain: the next one comes when the pause is over.
  const heldBack = code === 'rate_limited' && httpStatus === null;
  const attempt = heldBack ? 1 : activityInfo().attempt;
  return retryDelay({ attempt, code, retryAfterMs, random: Math.random(), ...(minMs !== undefined && { minMs }) });
}

interface CallFacts {
  readonly taskId?: string;
  readonly idempotencyKey?: string;
  /** A POST under the key without an answer. */
  readonly unanswered?: UnansweredPost | null;
  /** What a call that pays makes. Default `task`. */
  readonly paid?: Paid;
  /** Lowest delay before a repetition, in milliseconds. Default 1,000. */
  readonly minDelayMs?: number;
}

/** The failure for a call to the API that was judged. */
export function callFailure(error: CallFailure, { code, type, retry, row }: Verdict, facts: CallFacts) {
  const { taskId = null, idempotencyKey = null, unanswered = null, paid = 'task', minDelayMs } = facts;
  const { httpStatus, requestId } = error;
  // The action of the table would read as if nothing was paid, or ask for a new generation.
  const refusedLater = retry && error.outcome === 'refused' && unanswered !== null;
  const repeated = `${unansweredText(paid)} Nothing to do: the same request is repeated until its answer is known.`;
  const action = refusedLater ? repeated : row.action;
  const details = { httpStatus, requestId, taskId, idempotencyKey, action, attempts: activityInfo().attempt };
  return activityFailure(code, error.message, details, {
    type,
    // The retry policy lists the codes of the table; a refusal with any other code says by itself that it is final.
    nonRetryable: !retry && !NOT_RETRIED.includes(type),
    ...(retry && { nextRetryDelay: retryIn(error, minDelayMs) }),
  });
}
