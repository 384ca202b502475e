import { setTimeout as sleep } from 'node:timers/promises';
import { Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, type FailureDetails } from '../src/contract/index.js';
import { MIN_WAIT_MS } from '../src/policy/index.js';
import type { Receipts } from '../src/storage/index.js';
import { nothingKnown } from './failure.js';
import { holdersFor } from './holders.js';
import { cannotList } from './recall.js';

// Room for a small namespace. What takes longer goes on, and the next attempt asks for it again.
const LOOK_MS = 8_000;

/**
 * The Workflow ID of another generation that has this task, or null as far as receipts and memos tell.
 * @throws ApplicationFailure, to be repeated, while the memos are still being read.
 */
export async function otherOwner(
  taskId: string,
  claimedFor: string,
  receipts: Receipts | null,
): Promise<string | null> {
  const owner = (await receipts?.ownerOf(taskId)) ?? null;
  if (owner !== null) return owner.firstKey === claimedFor ? null : owner.workflowId;
  const { client, info } = Context.current();
  try {
    // The same for every attempt, so that what one has waited for serves the next.
    const look = holdersFor(client, `${info.workflowExecution?.runId} ${info.activityId}`);
    const holders = await Promise.race([look, sleep(LOOK_MS, null, { ref: false })]);
    if (holders === null) throw stillLooking(taskId);
    return holders.get(taskId)?.find(({ firstKey }) => firstKey !== claimedFor)?.workflowId ?? null;
  } catch (error) {
    const reason = cannotList(error);
    if (reason === null) throw error;
    log.warn('other generations cannot be listed, so nobody looked whether the task is theirs', { taskId, reason });
    return null;
  }
}

function stillLooking(taskId: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'stillLooking',
    message: `The other generations of this namespace are still being looked through, for one that has task ${taskId}. Nothing to do: it goes on.`,
    nextRetryDelay: MIN_WAIT_MS,
  });
}

export function taken(taskId: string, workflowId: string): ApplicationFailure {
  const details: FailureDetails = {
    ...nothingKnown(),
    code: FAILURE.InvalidInput,
    field: 'taskId',
    action: 'Look for another task in the Rivya Studio, made when this one was submitted.',
  };
  const message = `taskId: task ${taskId} belongs to Workflow "${workflowId}", so it is not that of this submit.`;
  return ApplicationFailure.nonRetryable(message, FAILURE.InvalidInput, details);
}
