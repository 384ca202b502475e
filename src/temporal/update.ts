/** An Update that is not lost where no Worker runs. The client of users' programs and the commands call it. */
import { ApplicationFailure, type Client, type WorkflowHandle } from '@temporalio/client';
import { WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';

// An Update needs a Worker; a Signal can wait for one.
const UPDATE_TIMEOUT_MS = 10_000;

/**
 * Sends an Update to a handler that is a Signal too. Returns its answer; null where no Worker answers within 10 s, where one
 * completed its Workflow Task without an answer, or where its Workflow Tasks fail, so that the request waits as a Signal.
 * @throws WorkflowUpdateFailedError with what its validator says, WorkflowNotFoundError where no run is open.
 */
export async function updateOrSignal(
  client: Client,
  handle: WorkflowHandle,
  name: string,
  argument?: unknown,
): Promise<{ readonly answer: unknown } | null> {
  try {
    const answer = await client.withDeadline(Date.now() + UPDATE_TIMEOUT_MS, () =>
      argument === undefined
        ? handle.executeUpdate<unknown, []>(name)
        : handle.executeUpdate<unknown, [unknown]>(name, { args: [argument] }),
    );
    return { answer };
  } catch (error) {
    const isTimeout = error instanceof WorkflowUpdateRPCTimeoutOrCancelledError;
    if (!isTimeout && !isUnprocessed(error) && !isFailing(error)) throw error;
    await handle.signal<unknown[]>(name, ...(argument === undefined ? [] : [argument]));
    return null;
  }
}

/** The Service's own words: a Worker that is slow, or has just started, completed the Workflow Task without the Update. */
function isUnprocessed(error: unknown): boolean {
  if (!(error instanceof WorkflowUpdateFailedError)) return false;
  return error.cause instanceof ApplicationFailure && error.cause.type === 'UnprocessedUpdate';
}

/** The Service's own words: it takes no Update where the last Workflow Task has failed. A Signal waits. */
function isFailing(error: unknown): boolean {
  return error instanceof Error && /Workflow Task in failed state/.test(`${error.message} ${String(error.cause)}`);
}
