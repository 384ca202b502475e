import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { NOTHING_KNOWN, NOT_RETRIED, type FailureDetails, type UnansweredPost } from '../src/contract/index.js';
import { retryDelay, type CallFailure, type Paid, type Verdict } from '../src/policy/index.js';

/** What the failure of a call carries into the Workflow and into the Pending Activities of the UI. */
interface CallFacts {
  readonly taskId?: string;
  readonly idempotencyKey?: string;
  /** A POST under the key without an answer. */
  readonly unanswered?: UnansweredPost | null;
  /** What the call makes, where it pays. Default `task`. */
  readonly paid?: Paid;
  /** Number of this attempt. */
  readonly attempt: number;
  /** Delay until the next attempt; required for a failure that is repeated. */
  readonly retryInMs?: number;
}

/** What every failure of a call says, of which no other fact is known yet. */
export function nothingKnown(): Omit<FailureDetails, 'code' | 'action'> {
  const { workflowExecution } = activityInfo();
  return { ...NOTHING_KNOWN, ...(workflowExecution && { runId: workflowExecution.runId }) };
}

/** A failure that is not repeated. */
export function finalFailure(
  code: string,
  message: string,
  more: Partial<FailureDetails> & Pick<FailureDetails, 'action'>,
): ApplicationFailure {
  const details: FailureDetails = { ...nothingKnown(), code, ...more };
  return ApplicationFailure.nonRetryable(message, code, details);
}

/** Milliseconds until this attempt, which has failed, is repeated. */
export function retryIn(
  { code, retryAfterMs }: Pick<CallFailure, 'code' | 'retryAfterMs'> = { code: null, retryAfterMs: null },
  minMs?: number,
): number {
  const { attempt } = activityInfo();
  return retryDelay({ attempt, code, retryAfterMs, random: Math.random(), ...(minMs !== undefined && { minMs }) });
}

// What the table says for the refusal would read as if nothing was paid, or ask for a new generation.
const REPEATED: Readonly<Record<Paid, string>> = {
  task: 'A task may exist from an earlier submit. Nothing to do: the same request is repeated until its answer is known.',
  answer:
    'An earlier submit may have been answered and paid. Nothing to do: the same request is repeated until its answer is known.',
};

export function callFailure(error: CallFailure, verdict: Verdict, facts: CallFacts): ApplicationFailure {
  const open = facts.unanswered != null;
  const action =
    verdict.retry && error.outcome === 'refused' && open ? REPEATED[facts.paid ?? 'task'] : verdict.row.action;
  const details: FailureDetails = {
    ...nothingKnown(),
    code: verdict.code,
    httpStatus: error.httpStatus,
    requestId: error.requestId,
    taskId: facts.taskId ?? null,
    idempotencyKey: facts.idempotencyKey ?? null,
    action,
    attempts: facts.attempt,
  };
  return ApplicationFailure.create({
    type: verdict.type,
    // Pending Activities shows the message alone, so it names the action too.
    message: `${error.message} ${action}`,
    // The retry policy knows the codes of the table; a refusal with any other code says so by itself.
    nonRetryable: !verdict.retry && !NOT_RETRIED.includes(verdict.type),
    details: [details],
    ...(verdict.retry && facts.retryInMs !== undefined && { nextRetryDelay: facts.retryInMs }),
  });
}
