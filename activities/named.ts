import type { ApplicationFailure } from '@temporalio/common';
import { FAILURE, type TaskSnapshot, type UnansweredPost } from '../src/contract/index.js';
import type { Receipts } from '../src/storage/index.js';
import { finalFailure } from './failure.js';

// Clocks of Workers and of the API differ; a person names a task by the minute.
const TOLERANCE_MS = 2 * 60_000;

/**
 * Refuses a task that a person has named and that this POST cannot have made: it is another generation's, as far as the
 * receipts tell, or was created at another time, as far as the API tells.
 * @throws ApplicationFailure `InvalidInput`, which is not repeated.
 */
export async function refuseUnfit(
  { taskId, ageMs }: TaskSnapshot,
  { firstPostedAt, lastPostedAt = Number.POSITIVE_INFINITY }: UnansweredPost,
  baseKey: string | undefined,
  receipts: Receipts | null,
): Promise<void> {
  const owner = (await receipts?.ownerOf(taskId)) ?? null;
  if (owner !== null && owner.baseKey !== baseKey) {
    const { workflowId, namespace } = owner;
    throw unfit(taskId, `belongs to Workflow "${workflowId}" (namespace ${namespace}), so it is not taken up`);
  }
  if (ageMs === null) return;
  const createdAt = Date.now() - ageMs;
  if (createdAt >= firstPostedAt - TOLERANCE_MS && createdAt <= lastPostedAt + TOLERANCE_MS) return;
  const [created, from] = [createdAt, firstPostedAt].map((time) => new Date(time).toISOString());
  throw unfit(
    taskId,
    `was created at ${created}, not when this submit was sent (first at ${from}), so it is not taken up`,
  );
}

function unfit(taskId: string, problem: string): ApplicationFailure {
  const action = 'Look for the right task in the Rivya Studio and name that.';
  return finalFailure(FAILURE.InvalidInput, `taskId: task ${taskId} ${problem}. ${action}`, {
    field: 'taskId',
    action,
  });
}
