import { Context, log } from '@temporalio/activity';
import { isGrpcServiceError } from '@temporalio/client';
import { MEMO_FIELD, type Fence, type GenerationMemo } from '../src/contract/index.js';

// gRPC: the time-skipping test server has no visibility; a Cloud key may lack the right to list.
const CANNOT_LIST = new Set([7 /* PERMISSION_DENIED */, 12 /* UNIMPLEMENTED */]);

const EMPTY = {
  idempotencyKey: null,
  taskId: null,
  bodyDigest: '',
  unanswered: null,
  riskAccepted: false,
  earlier: [],
};

type Remembered = Pick<GenerationMemo, keyof typeof EMPTY>;

/** What other runs of this Workflow ID know of a key. */
export interface Recalled {
  /** Null when none of them got a task. */
  readonly taskId: string | null;
  /** Digest of the request body for which it was used. */
  readonly bodyDigest: string;
  /** What the newest of them left unanswered. */
  readonly unanswered: Fence | null;
}

/**
 * Looks in the memo of the other runs of this Workflow ID for what became of a key; null when they do not know it. It
 * saves what the API may have forgotten: a reset or a second start then posts nothing. A Service that cannot list is no
 * reason to stop, one that does not answer is: the attempt fails and is repeated.
 */
export async function recall(idempotencyKey: string): Promise<Recalled | null> {
  const { client, info } = Context.current();
  const { workflowExecution } = info;
  const query = workflowExecution === undefined ? null : queryFor(workflowExecution.workflowId);
  if (workflowExecution === undefined || query === null) return null;
  const { workflowId, runId } = workflowExecution;
  const known: { memo: Remembered; startedAt: number }[] = [];
  try {
    for await (const run of client.workflow.list({ query })) {
      if (run.workflowId !== workflowId || run.runId === runId) continue;
      const written = run.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | undefined;
      if (written === undefined) continue;
      // A run of an earlier version did not write every field.
      const memo = { ...EMPTY, ...written };
      const keys = [memo.idempotencyKey, ...memo.earlier.map((task) => task.idempotencyKey)];
      if (keys.includes(idempotencyKey)) known.push({ memo, startedAt: run.startTime.getTime() });
    }
  } catch (error) {
    const reason = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
    if (!isGrpcServiceError(reason) || !CANNOT_LIST.has(reason.code)) throw error;
    log.warn('earlier runs cannot be listed, so a task of theirs is not looked up', { reason: reason.details });
    return null;
  }
  // A run that never came to an answer knows nothing, however new it is.
  const telling = known
    .filter(({ memo }) => memo.unanswered !== null || memo.riskAccepted || taskOf(memo, idempotencyKey) !== null)
    .toSorted((a, b) => b.startedAt - a.startedAt)
    .map(({ memo }) => memo);
  const [newest] = telling;
  if (newest === undefined) return null;
  const withTask = telling.find((memo) => taskOf(memo, idempotencyKey) !== null);
  const { bodyDigest } = withTask ?? newest;
  const taskId = withTask === undefined ? null : taskOf(withTask, idempotencyKey);
  // An earlier attempt's key was answered, whatever the later one left open.
  const unanswered = newest.idempotencyKey === idempotencyKey ? newest.unanswered : null;
  return { taskId, bodyDigest, unanswered };
}

function taskOf(memo: Remembered, idempotencyKey: string): string | null {
  if (memo.idempotencyKey === idempotencyKey && memo.taskId !== null) return memo.taskId;
  return memo.earlier.find((task) => task.idempotencyKey === idempotencyKey)?.taskId ?? null;
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
