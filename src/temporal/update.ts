/** An Update that is not lost where no Worker runs. The client of users' programs and the commands call it. */
import { WorkflowUpdateRPCTimeoutOrCancelledError, type Client, type WorkflowHandle } from '@temporalio/client';

// An Update needs a Worker; a Signal can wait for one.
const UPDATE_TIMEOUT_MS = 10_000;

/**
 * Sends an Update to a handler that is a Signal too. Returns its answer; null where no Worker answers within 10 s, so that
 * the request waits as a Signal until one does.
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
    if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
    await handle.signal<unknown[]>(name, ...(argument === undefined ? [] : [argument]));
    return null;
  }
}
