import { ApplicationFailure } from '@temporalio/common';
import { NOTHING_KNOWN, type FailureDetails, type Fence } from '../src/contract/index.js';
import type { CallFailure, Verdict } from '../src/policy/index.js';

/** What the failure of a call carries into the Workflow and into the Pending Activities of the UI. */
export interface CallFacts {
  readonly taskId?: string;
  readonly idempotencyKey?: string;
  readonly fence?: Fence | null;
  /** Number of this attempt. */
  readonly attempt: number;
  /** Delay until the next attempt; required for a failure that is repeated. */
  readonly retryInMs?: number;
}

export function callFailure(error: CallFailure, verdict: Verdict, facts: CallFacts): ApplicationFailure {
  const details: FailureDetails = {
    ...NOTHING_KNOWN,
    code: verdict.type,
    httpStatus: error.httpStatus,
    requestId: error.requestId,
    taskId: facts.taskId ?? null,
    idempotencyKey: facts.idempotencyKey ?? null,
    action: verdict.row.action,
    attempts: facts.attempt,
    ...(facts.fence && { fence: facts.fence }),
  };
  return ApplicationFailure.create({
    type: verdict.type,
    // Pending Activities shows the message alone, so it names the action too.
    message: `${error.message} ${verdict.row.action}`,
    nonRetryable: !verdict.retry,
    details: [details],
    ...(verdict.retry && facts.retryInMs !== undefined && { nextRetryDelay: facts.retryInMs }),
  });
}
