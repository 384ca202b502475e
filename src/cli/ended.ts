import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { GenerationClient, GenerationError, memoOf } from '../client.js';
import { WORKFLOW_TYPE, type GenerateMediaInput, type GenerationMemo } from '../contract/index.js';
import type { Receipts, TaskReceipt } from '../storage/index.js';
import { listedRuns, runIdsOf, startOf } from '../../activities/runs.js';

// A run that continued as new, or that a reset ended, is not the last of its ID; one that completed has its result.
const ENDED: Readonly<Record<string, string>> = {
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed out',
  CANCELLED: 'cancelled',
  FAILED: 'failed',
};
const QUERY = `WorkflowType = '${WORKFLOW_TYPE}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed')`;

/** A run of a generation with its memo; null where it ended before it wrote one. */
export interface PastRun {
  readonly runId: string;
  readonly memo: GenerationMemo | null;
}

/** What a generation left open at Rivya: a paid task that nobody waits for, or, without a task ID, a submit that nobody answered. */
export interface Open extends Pick<
  GenerationMemo,
  'taskId' | 'status' | 'model' | 'reservedCredits' | 'idempotencyKey'
> {
  /** The run that knows of it; null where only a receipt does. */
  readonly runId: string | null;
}

/** The same, with what waits for it again. */
export interface Found extends Open {
  readonly workflowId: string;
  readonly ended: string;
  readonly input: GenerateMediaInput;
  readonly taskQueue: string;
}

/**
 * Workflow IDs with a run that ended without a result.
 * @param query - A visibility query that chooses among them.
 */
export async function endedIds(client: Client, query: string | undefined): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { execution } of listedRuns(client, query === undefined ? QUERY : `${QUERY} AND (${query})`)) {
    ids.add(execution?.workflowId ?? '');
  }
  return ids;
}

/**
 * What an ID left open; null for nothing, also where its latest run goes on or has its result.
 * @throws ValueError where a codec is missing.
 */
export async function leftOpen(client: Client, workflowId: string, receipts: Receipts | null): Promise<Found | null> {
  const latest = await describe(client, workflowId);
  const ended = ENDED[latest?.status.name ?? ''];
  if (latest === null || ended === undefined || latest.type !== WORKFLOW_TYPE) return null;
  const runs = await runsOf(client, latest);
  const baseKey = runs.find(({ memo }) => memo !== null && memo.baseKey !== null)?.memo?.baseKey;
  const known = baseKey == null || receipts === null ? null : await receipts.find(baseKey);
  const open = openOf(runs, known?.tasks ?? []);
  if (open === null) return null;
  const { input } = await startOf(client, workflowId, open.runId ?? latest.runId);
  const failure = ended === ENDED['FAILED'] ? await failureOf(client, workflowId) : null;
  const how = failure === null ? ended : `${ended} (${failure})`;
  return { ...open, workflowId, ended: how, input: input as GenerateMediaInput, taskQueue: latest.taskQueue };
}

/** From the latest run to the one that had looked at those before it: its memo holds what they knew. */
async function runsOf(client: Client, latest: WorkflowExecutionDescription): Promise<PastRun[]> {
  const { workflowId, runId: latestId } = latest;
  const runs: PastRun[] = [];
  const others = (await runIdsOf(client, workflowId)) ?? [];
  for (const runId of new Set([latestId, ...others])) {
    const run = runId === latestId ? latest : await describe(client, workflowId, runId);
    const memo = run === null ? null : memoOf(run);
    runs.push({ runId, memo });
    if (memo?.lookedBy === runId) break;
  }
  return runs;
}

/**
 * The last thing that a generation left open, by all that its runs and receipts know; null for nothing.
 * @param runs - Newest first.
 * @param receipts - Oldest first.
 */
export function openOf(runs: readonly PastRun[], receipts: readonly TaskReceipt[]): Open | null {
  const memos = runs.flatMap(({ runId, memo }) => (memo === null ? [] : [{ ...memo, runId }]));
  const told = [...memos, ...receipts.toReversed().map((receipt) => ({ ...receipt, runId: null, earlier: [] }))];
  const failed = new Set(
    told.flatMap(({ taskId, status, earlier }) => [status === 'failed' ? taskId : '', ...earlier]),
  );
  // Without a status the task is only what the input or a person named: the API never said that it exists.
  const tasks = told.filter(({ taskId, status }) => taskId !== null && status !== null);
  // A key number is used only where no task can exist under those before.
  const answered = Math.max(0, ...tasks.flatMap(({ baseKey, keyNumber }) => (baseKey === null ? [] : keyNumber)));
  const open =
    tasks.find(({ taskId }) => !failed.has(taskId)) ??
    memos.find(({ mayPostSince, keyNumber }) => mayPostSince !== null && keyNumber > answered);
  if (open === undefined) return null;
  const { taskId, status, model, reservedCredits, idempotencyKey, runId } = open;
  return { taskId, status, model, reservedCredits, idempotencyKey, runId };
}

/** By which failure its latest run ended. */
async function failureOf(client: Client, workflowId: string): Promise<string | null> {
  const ending = new GenerationClient(client).handle(workflowId).result();
  return ending.then(
    () => null,
    (error: unknown) => (error instanceof GenerationError ? error.code : null),
  );
}

/** A run, by default the latest of its ID; null where the Service knows none. */
async function describe(
  client: Client,
  workflowId: string,
  runId?: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    // Its retention has passed since it was listed.
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
