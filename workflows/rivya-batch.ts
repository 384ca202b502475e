/**
 * The Workflow `rivyaBatch`: a batch of generations, which it looks at again and again until each has ended. It guarantees that
 * its state is a place and some counters: a look finds all else in the store and in Temporal, so a batch that was ended goes on
 * under the same ID. The command starts it. It starts no item by itself: `rivyaBatchTick` does. Deterministic.
 */
import { ActivityFailure, allHandlersFinished, CancellationScope, CancelledFailure } from '@temporalio/workflow';
import { condition, continueAsNew, isCancellation, TimeoutFailure, workflowInfo } from '@temporalio/workflow';
import type { BatchInput, BatchResult } from '../src/contract/index.js';
import { formatDuration, readBatchInput } from '../src/policy/index.js';
import { activities } from './activities.js';
import { registerBatchHandlers } from './batch-handlers.js';
import { BatchRun, type CarriedBatch } from './batch-run.js';
import { orFailure, refuseForeignCarried } from './input.js';

// A look is 6 events and a memo a minute; this is far below the 51,200 that a history may have.
const EVENTS = 3_500;

/**
 * Runs a batch whose manifest is in the store of the Worker, up to the last record. The Workflow ID is the ID of the batch.
 * Started again after its end, it goes on: items that have a record are not started.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 */
export async function rivyaBatch(input: BatchInput, carried?: CarriedBatch): Promise<BatchResult> {
  const { workflowId } = workflowInfo();
  const read = orFailure('', () => readBatchInput(input));
  refuseForeignCarried(carried);
  const run = new BatchRun(read, workflowId, carried);
  registerBatchHandlers(run);
  run.update({}, true);
  try {
    for (;;) {
      const { waitMs, done } = await look(run);
      if (done) break;
      if (!run.changed && waitMs !== 0) await pause(run, waitMs);
      const { historyLength, continueAsNewSuggested } = workflowInfo();
      if (historyLength < EVENTS && !continueAsNewSuggested) continue;
      await condition(allHandlersFinished);
      await continueAsNew<typeof rivyaBatch>(input, run.carried);
    }
  } catch (error) {
    // Memo and current details say what a cancel leaves: the items that run.
    if (isCancellation(error)) run.update({ phase: 'cancelled', hold: null }, true);
    throw error;
  }
  await condition(allHandlersFinished);
  const { counts, spentCredits } = run.state;
  return { counts, spentCredits };
}

/** One look. A request that comes meanwhile ends its wait for the next one. */
async function look(run: BatchRun): Promise<{ readonly waitMs: number | null; readonly done: boolean }> {
  const { input, take } = run.look();
  const scope = new CancellationScope();
  let isOver = false;
  const looked = scope
    .run(() => activities.batchTick(workflowInfo().taskQueue).rivyaBatchTick(input))
    .catch((error: unknown) => {
      // Cancelled between two attempts, or while its Worker was gone: the next look finds what they have done.
      if (isCancellation(error) || (scope.consideredCancelled && isTimeout(error))) return null;
      throw error;
    })
    .finally(() => (isOver = true));
  // A cancel of the Workflow ends this wait, and cancels the look too.
  await condition(() => isOver || run.changed).catch(() => undefined);
  if (!isOver) scope.cancel();
  const result = await looked;
  if (result !== null) take(result);
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('Cancelled');
  return { waitMs: result === null ? 0 : result.waitMs, done: result?.done === true && !run.changed };
}

function isTimeout(error: unknown): boolean {
  return error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;
}

async function pause(run: BatchRun, waitMs: number | null): Promise<void> {
  if (waitMs === null) await condition(() => run.changed);
  else await condition(() => run.changed, waitMs, { summary: `looked at again in ${formatDuration(waitMs)}` });
}
