/**
 * The check of a task that a person names for an unanswered POST. It guarantees that the task fits the time of the POST
 * and belongs to no other generation, as far as API, receipts and search attributes say. `rivyaCheck` calls it. It
 * changes nothing.
 */
import { Context } from '@temporalio/activity';
import type { ApplicationFailure } from '@temporalio/common';
import { FAILURE, MEMO_FIELD, type TaskSnapshot, type UnansweredPost } from '../src/contract/index.js';
import { readMemo } from '../src/policy/index.js';
import type { Receipts } from '../src/storage/index.js';
import { hasAttributes } from '../src/temporal/search-attributes.js';
import { finalFailure } from './failure.js';
import { describeRun, listedRuns, quoted } from '../src/temporal/runs.js';

// Clocks of Workers and of the API differ; a person names a task by the minute.
const TOLERANCE_MS = 2 * 60_000;

/** @throws ApplicationFailure `InvalidInput`, which is not repeated, for a task that this POST cannot have made. */
export async function refuseUnfit(
  { taskId, ageMs }: TaskSnapshot,
  { firstPostedAt, lastPostedAt = Number.POSITIVE_INFINITY }: UnansweredPost,
  baseKey: string | undefined,
  receipts: Receipts | null,
): Promise<void> {
  const owner = (await receipts?.ownerOf(taskId)) ?? null;
  if (owner !== null && owner.baseKey !== baseKey) {
    const { workflowId, namespace } = owner;
    throw unfit(
      taskId,
      `belongs to Workflow "${workflowId}" (namespace ${namespace}), so this generation does not wait for it`,
    );
  }
  const other = await listedOwner(taskId);
  if (other !== null) throw unfit(taskId, `belongs to Workflow "${other}", so this generation does not wait for it`);
  if (ageMs === null) return;
  const createdAt = Date.now() - ageMs;
  if (createdAt >= firstPostedAt - TOLERANCE_MS && createdAt <= lastPostedAt + TOLERANCE_MS) return;
  const [created, from] = [createdAt, firstPostedAt].map((time) => new Date(time).toISOString());
  const problem = `was created at ${created}, not when this submit was sent (first at ${from}), so this generation does not wait for it`;
  throw unfit(taskId, problem);
}

/** Another Workflow ID that is listed with the task, where the namespace has the search attributes; else null. */
async function listedOwner(taskId: string): Promise<string | null> {
  const { client, info } = Context.current();
  if (!(await hasAttributes(client))) return null;
  for await (const { execution } of listedRuns(client, `RivyaTaskId = ${quoted(taskId)}`)) {
    const { workflowId, runId } = execution ?? {};
    if (workflowId == null || runId == null || workflowId === info.workflowExecution?.workflowId) continue;
    // A generation without a key has the task ID from its input: it waits for the task and has not paid for it.
    const memo = readMemo((await describeRun(client, workflowId, runId))?.memo?.[MEMO_FIELD]);
    if (memo?.baseKey != null) return workflowId;
  }
  return null;
}

function unfit(taskId: string, problem: string): ApplicationFailure {
  const action = 'Look for the right task in the Rivya Studio and name that.';
  return finalFailure(FAILURE.InvalidInput, `taskId: task ${taskId} ${problem}.`, { field: 'taskId', action });
}
