import { ActivityFailure, ApplicationFailure, CancelledFailure, TimeoutFailure } from '@temporalio/workflow';
import type { FailureDetails, Fence, GenerationState } from '../src/contract/index.js';
import { errorCodeRow } from '../src/contract/index.js';

/** What a call to the API through an Activity ended with, once Temporal stopped repeating it. */
export interface CallEnd {
  /** Rivya's error code or our failure type; `deadline` when the time for retries was over. */
  readonly code: string;
  readonly message: string;
  readonly details: Partial<FailureDetails>;
  /** Present while a POST may have created a task that nobody has seen. */
  readonly fence: Fence | null;
  /** True when Temporal stopped because the schedule-to-close time was over. */
  readonly outOfTime: boolean;
}

/** Reads the failure of one of our Activities. Anything else (a cancellation, a bug) is thrown on. */
export function callEnd(error: unknown): CallEnd {
  if (!(error instanceof ActivityFailure)) throw error;
  // The last attempt failed for a reason of its own, but nobody wants another one.
  if (error.retryState === 'CANCEL_REQUESTED')
    throw new CancelledFailure('Cancelled while a call was repeated', [], error);
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
    return {
      code: cause.type ?? 'unknown',
      message: cause.message,
      details,
      fence: details.fence ?? null,
      outOfTime: error.retryState === 'TIMEOUT',
    };
  }
  if (cause instanceof TimeoutFailure) {
    // The last acknowledged heartbeat tells whether a POST is unanswered.
    const fence = (cause.lastHeartbeatDetails ?? null) as Fence | null;
    return { code: 'timeout', message: cause.message, details: {}, fence, outOfTime: true };
  }
  throw error;
}

/** A failure that ends the Workflow and says all that is known about the task and the money. */
export function failure(
  type: string,
  message: string,
  state: GenerationState,
  more: Partial<FailureDetails> & { action: string },
): ApplicationFailure {
  const details: FailureDetails = {
    code: type,
    httpStatus: null,
    requestId: null,
    taskId: state.taskId,
    idempotencyKey: state.idempotencyKey,
    reservedCredits: state.reservedCredits,
    finalCredits: state.finalCredits,
    ...more,
  };
  return ApplicationFailure.create({
    type,
    message: `${message} ${more.action}`,
    nonRetryable: true,
    details: [details],
  });
}

/** The action for a code: what the API said for this call, else the table's. */
export function actionFor(end: CallEnd): string {
  return end.details.action ?? errorCodeRow(end.code, end.details.httpStatus ?? null).action;
}

/** What a failure of ours takes over from the failed call. */
export function facts(end: CallEnd): Partial<FailureDetails> & { action: string } {
  const { httpStatus = null, requestId = null } = end.details;
  return { action: actionFor(end), httpStatus, requestId, ...(end.fence && { fence: end.fence }) };
}
