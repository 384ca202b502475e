import { isGrpcServiceError, WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { readRun, startInput, type PastRun } from '../../activities/index.js';
import { memoOf } from '../client.js';
import { WORKFLOW_TYPE, type GenerateMediaInput } from '../contract/index.js';
import type { Receipts } from '../storage/index.js';
import type { Temporal } from './context.js';
import { UsageError } from './errors.js';
import { openOf, openTask, type EndedRun, type LastSubmit, type Open } from './recovery.js';

// gRPC status by which the Service refuses a query.
const REFUSED_QUERY = new Set([3]);

// A run that continued as new, or that a reset ended, is not the last of its ID; one that completed has its result.
export const ENDED = {
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed out',
  CANCELLED: 'cancelled',
  FAILED: 'failed',
} as const;
const QUERY = `WorkflowType = '${WORKFLOW_TYPE}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed')`;

/** A generation that ended and left something open. */
export interface Found {
  readonly workflowId: string;
  readonly ended: string;
  readonly open: Open;
  /** Of the run that knows of it. */
  readonly input: GenerateMediaInput;
  readonly taskQueue: string;
  /** Its Workflow ID has gone on to another take, so it cannot be waited for under it. */
  readonly ofEarlierTake?: true;
}

/**
 * Runs of generations that ended without a result, by Workflow ID, newest first.
 * @param query - A visibility query that narrows them.
 * @throws UsageError for a query that the Service does not take.
 */
export async function endedRuns({ client }: Temporal, query: string | undefined): Promise<Map<string, EndedRun[]>> {
  const found = new Map<string, (EndedRun & { startedAt: number })[]>();
  try {
    for await (const run of client.workflow.list({ query: query === undefined ? QUERY : `${QUERY} AND (${query})` })) {
      const { workflowId, runId, startTime } = run;
      const runs = found.get(workflowId) ?? [];
      found.set(workflowId, [...runs, { runId, memo: memoOf(run), startedAt: startTime.getTime() }]);
    }
  } catch (error) {
    const reason = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
    if (query === undefined || !isGrpcServiceError(reason) || !REFUSED_QUERY.has(reason.code)) throw error;
    throw new UsageError(`--query: ${reason.details}. Nothing was started.`);
  }
  for (const runs of found.values()) runs.sort((a, b) => b.startedAt - a.startedAt);
  return found;
}

/** What an ID left open; null when it runs again, has its result by now, or left nothing. */
export async function leftOpen(
  temporal: Temporal,
  workflowId: string,
  runs: readonly EndedRun[],
  receipts: Receipts | null,
): Promise<Found | null> {
  const { client } = temporal;
  const latest = await describe(temporal, workflowId);
  const ended = latest === null ? undefined : ENDED[latest.status.name as keyof typeof ENDED];
  if (latest === null || latest.type !== WORKFLOW_TYPE) return null;
  if (ended === undefined) return ofEarlierTake(temporal, latest, runs);
  // The list trails the truth, and a query may leave out the last run.
  const { runId } = latest;
  const newest = await readRun(client, { workflowId, runId });
  const others = runs.filter((run) => run.runId !== runId);
  let open = openOf([{ runId, memo: memoOf(latest) }, ...others], lastSubmit(newest));
  if (open?.kind === 'unanswered' && open.firstKey !== null && receipts !== null) {
    // A POST that outlived its Workflow still left a receipt.
    const task = (await receipts.find(open.firstKey)).tasks.at(-1);
    if (task !== undefined) open = openTask(open.runId, task);
  }
  if (open === null) return null;
  const input = await startInput(client, { workflowId, runId: open.runId });
  const how = newest.failure === null ? ended : `${ended} (${newest.failure})`;
  return { workflowId, ended: how, open, input: input as GenerateMediaInput, taskQueue: latest.taskQueue };
}

/** What an earlier take left behind: another one that runs or has its result does not wait for that task. */
async function ofEarlierTake(
  { client }: Temporal,
  latest: WorkflowExecutionDescription,
  runs: readonly EndedRun[],
): Promise<Found | null> {
  const take = memoOf(latest)?.take;
  const others = runs.filter(({ memo }) => memo !== null && memo.take !== take);
  const open = openOf(others, null);
  if (open?.kind !== 'task') return null;
  const { workflowId, taskQueue } = latest;
  const input = (await startInput(client, { workflowId, runId: open.runId })) as GenerateMediaInput;
  const earlier = others.find(({ runId }) => runId === open.runId)?.memo?.take ?? 1;
  return { workflowId, ended: `take ${earlier}`, open, input, taskQueue, ofEarlierTake: true };
}

function lastSubmit({ submits }: PastRun): LastSubmit | null {
  const last = submits.at(-1);
  if (last === undefined) return null;
  const { idempotencyKey, firstKey, result, open } = last;
  return { idempotencyKey, firstKey, task: result?.task ?? null, answered: open === null };
}

/** The latest run of an ID, or null where the Service knows none. */
export async function describe({ client }: Temporal, workflowId: string): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    // Its retention has passed since it was listed.
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
