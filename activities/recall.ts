import { Context, log } from '@temporalio/activity';
import { isGrpcServiceError } from '@temporalio/client';
import { MEMO_FIELD, type GenerationMemo } from '../src/contract/index.js';

// gRPC: the time-skipping test server has no visibility; a Cloud key may lack the right to list.
const CANNOT_LIST = new Set([7 /* PERMISSION_DENIED */, 12 /* UNIMPLEMENTED */]);

/** A task and the input that it was paid for. */
export interface Recalled {
  readonly taskId: string;
  readonly bodyDigest: string | null;
}

/**
 * The task that another run of this Workflow ID got for this key, from its memo; null when there is none. It saves what
 * the API may have forgotten: a reset or a second start then posts nothing. A Service that cannot list is no reason to
 * stop, one that does not answer is: the attempt fails and is repeated.
 */
export async function recallTask(idempotencyKey: string): Promise<Recalled | null> {
  const { client, info } = Context.current();
  const { workflowExecution } = info;
  if (workflowExecution === undefined) return null;
  const { workflowId, runId } = workflowExecution;
  const query = queryFor(workflowId);
  if (query === null) return null;
  try {
    for await (const run of client.workflow.list({ query })) {
      if (run.workflowId !== workflowId || run.runId === runId) continue;
      const memo = run.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | undefined;
      if (memo?.idempotencyKey !== idempotencyKey || typeof memo.taskId !== 'string') continue;
      return { taskId: memo.taskId, bodyDigest: memo.bodyDigest ?? null };
    }
  } catch (error) {
    const reason = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
    if (!isGrpcServiceError(reason) || !CANNOT_LIST.has(reason.code)) throw error;
    log.warn('earlier runs cannot be listed, so a task of theirs is not looked up', { reason: reason.details });
  }
  return null;
}

/**
 * Finds at least all runs of the ID. The Service does not find values with a double quote, a backslash or a control
 * character, however they are escaped, so those are found by what stands before; null when nothing does.
 */
function queryFor(workflowId: string): string | null {
  const sure = /^[^"\\\p{Cc}]*/u.exec(workflowId)?.[0] ?? '';
  if (sure === '') return null;
  const literal = `'${sure.replaceAll("'", "''")}'`;
  return sure === workflowId ? `WorkflowId = ${literal}` : `WorkflowId STARTS_WITH ${literal}`;
}
