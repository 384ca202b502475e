/**
 * The Activity `rivyaBatchTick`: one look at a batch, and the wait until another look is worth its events. It guarantees that
 * all starts come at its beginning, by the settings with which the Workflow has just scheduled it. `rivyaBatch` calls it. It
 * keeps nothing between two looks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { BatchTickInput, BatchTickResult } from '../src/contract/index.js';
import { countEvery, isLookDue, shownHolds, TIMEOUTS } from '../src/policy/index.js';
import { lookAtBatch, type Look } from '../src/batch/look.js';
import { runningQuery } from '../src/batch/running.js';
import type { BatchDependencies } from './context.js';

export async function rivyaBatchTick(
  input: BatchTickInput,
  { store, api, isStopping }: BatchDependencies,
): Promise<BatchTickResult> {
  const context = Context.current();
  const { client, info, cancellationSignal } = context;
  const batchId = info.workflowExecution?.workflowId ?? '';
  const stopped = (): boolean => cancellationSignal.aborted;
  const timer = setInterval(() => context.heartbeat(), TIMEOUTS.heartbeatEvery);
  try {
    const look = await lookAtBatch(input, { client, store, api, batchId, taskQueue: info.taskQueue, stopped });
    await untilDue(look, input, batchId, () => stopped() || isStopping());
    const { progress, seen, hold, done, waitMs } = look;
    return { progress, seen, hold, done, waitMs };
  } finally {
    clearInterval(timer);
  }
}

/** Waits until enough items have ended, or for a minute. The wait is here, because a timer and a look cost 11 events. */
async function untilDue(
  { running: before, waitMs, ...look }: Look,
  { settings: { maxInFlight }, shown }: BatchTickInput,
  batchId: string,
  isOver: () => boolean,
): Promise<void> {
  const { client, cancellationSignal: signal } = Context.current();
  const begun = Date.now();
  let now = before;
  // People see a hold at once: it is the result of this look that says so.
  if (before === 0 || waitMs !== 0 || shownHolds(look.hold, look.seen?.heldBy ?? {}) !== shown) return;
  for (;;) {
    const waitedMs = Date.now() - begun;
    if (isOver() || isLookDue({ ...look, before, now, maxInFlight, waitedMs })) return;
    await sleep(countEvery(waitedMs), undefined, { signal }).catch(() => undefined);
    if (isOver()) return;
    now = (await client.workflow.count(runningQuery(batchId))).count;
  }
}
