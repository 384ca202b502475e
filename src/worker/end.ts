/**
 * The end of a Worker that has failed. Where the Service refuses the polls of a Worker for a minute, the SDK's `run` either
 * never settles or rejects with an error of its own clean-up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NativeConnection, Worker } from '@temporalio/worker';
import { refusalOf } from '../temporal/refusal.js';

const LOOK_MS = 1_000;
// A `run` that settles does so at once, and knows the cause.
const SETTLES_MS = 5_000;
const ASK_MS = 5_000;

/** A Worker has failed. The message is the words with which the Service refuses it, or where to find them. */
export class WorkerFailed extends Error {
  override readonly name = 'WorkerFailed';
}

/** Runs a Worker to its end. @throws what `run` throws, or WorkerFailed where that does not say why the Worker has failed */
export async function runToEnd(
  worker: Pick<Worker, 'run' | 'getState'>,
  connection: Pick<NativeConnection, 'workflowService' | 'withDeadline'>,
  namespace: string,
): Promise<void> {
  const ended = new AbortController();
  const run = worker.run().finally(() => ended.abort());
  const end = run.catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== 'IllegalStateError' || worker.getState() !== 'FAILED') throw error;
  });
  await Promise.race([end, failed(worker, ended.signal)]);
  await Promise.race([end, sleep(SETTLES_MS, undefined, { ref: false })]);
  if (worker.getState() !== 'FAILED') return;
  const asked = connection.withDeadline(Date.now() + ASK_MS, () =>
    connection.workflowService.describeNamespace({ namespace }),
  );
  const refusal = await asked.then(() => null, refusalOf);
  throw new WorkerFailed(refusal?.words ?? 'see "Worker failed" in the log');
}

/** Resolves when the Worker has failed, or its run has ended. */
async function failed(worker: Pick<Worker, 'getState'>, ended: AbortSignal): Promise<void> {
  while (worker.getState() !== 'FAILED' && !ended.aborted) {
    await sleep(LOOK_MS, undefined, { signal: ended, ref: false }).catch(() => undefined);
  }
}
