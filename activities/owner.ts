import { Context, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, MEMO_FIELD, WORKFLOW_TYPE, type FailureDetails, type GenerationMemo } from '../src/contract/index.js';
import type { Receipts } from '../src/storage/index.js';
import { nothingKnown } from './failure.js';
import { decode, rawRuns } from './history.js';
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
  let seen = 0;
  try {
    for await (const { workflowId, memo } of generations(client)) {
      if (has(memo, taskId, claimedFor)) return workflowId;
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

/** The generations of this namespace with their memos; null where it cannot be read, as with the codec of others. */
async function* generations(
  client: Client,
): AsyncGenerator<{ workflowId: string; memo: Partial<GenerationMemo> | null }> {
  const { namespace, loadedDataConverter: converter } = client.options;
  const query = `WorkflowType = '${WORKFLOW_TYPE}'`;
  for await (const { execution, memo } of rawRuns(client, query)) {
    const workflowId = execution?.workflowId ?? '';
    const payload = memo?.fields?.[MEMO_FIELD];
    const context = { type: 'workflow', namespace, workflowId } as const;
    const read = payload && decode<Partial<GenerationMemo>>({ converter, context }, [payload]).catch(() => null);
    yield { workflowId, memo: (await read) ?? null };
  }
}

/** Whoever waits for a task without a key has only been told its ID. */
function has(memo: Partial<GenerationMemo> | null, taskId: string, claimedFor: string): boolean {
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
