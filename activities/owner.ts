import { Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, MEMO_FIELD, WORKFLOW_TYPE, type FailureDetails, type GenerationMemo } from '../src/contract/index.js';
import type { Receipts } from '../src/storage/index.js';
import { nothingKnown } from './failure.js';
import { cannotList } from './recall.js';

// Memos cannot be searched, so they are read: a thousand in about a second, and a person waits for the answer once.
const RUNS = 10_000;

/** The Workflow ID of another generation that has this task, or null as far as receipts and memos tell. */
export async function otherOwner(
  taskId: string,
  claimedFor: string,
  receipts: Receipts | null,
): Promise<string | null> {
  const owner = (await receipts?.ownerOf(taskId)) ?? null;
  if (owner !== null) return owner.firstKey === claimedFor ? null : owner.workflowId;
  const { client } = Context.current();
  const query = `WorkflowType = '${WORKFLOW_TYPE}'`;
  let seen = 0;
  try {
    for await (const run of client.workflow.list({ query })) {
      const memo = run.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | undefined;
      if (has(memo, taskId, claimedFor)) return run.workflowId;
      seen += 1;
      if (seen === RUNS) break;
    }
  } catch (error) {
    const reason = cannotList(error);
    if (reason === null) throw error;
    log.warn('other generations cannot be listed, so nobody looked whether the task is theirs', { taskId, reason });
  }
  return null;
}

/** Whoever waits for a task without a key has only been told its ID. */
function has(memo: Partial<GenerationMemo> | undefined, taskId: string, claimedFor: string): boolean {
  const { firstKey = null, earlier = [] } = memo ?? {};
  const now = memo?.taskId === taskId && firstKey !== null && firstKey !== claimedFor;
  return now || earlier.some((task) => task.taskId === taskId && task.firstKey !== claimedFor);
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
