import { isGrpcServiceError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { GenerationClient, GenerationError, memoOf } from '../client.js';
import { WORKFLOW_TYPE, type GenerateMediaInput } from '../contract/index.js';
import type { Receipts } from '../storage/index.js';
import { describeRun, listedRuns, runIdsOf, startOf } from '../../activities/runs.js';
import { UsageError } from './errors.js';
import { ofReceipts, ofRun, unansweredOf, type KeyRecord } from './records.js';

// gRPC INVALID_ARGUMENT: the Service refuses a query.
const REFUSED_QUERY = 3;
// A run that continued as new, or that a reset ended, is not the last of its ID; one that completed has its result.
const ENDED = new Set(['TERMINATED', 'TIMED_OUT', 'CANCELLED', 'FAILED']);
const QUERY = `WorkflowType = '${WORKFLOW_TYPE}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed')`;

/** A paid task that nobody waits for, or, without a task ID, a submit that nobody answered; and what can wait for it again. */
export type Found = NonNullable<Awaited<ReturnType<typeof leftOpen>>>;

/** Workflow IDs with a run that ended without a result; a visibility query chooses among them. */
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
export async function leftOpen(client: Client, workflowId: string, receipts: Receipts | null) {
  const latest = await describeRun(client, workflowId);
  if (latest === null || !ENDED.has(latest.status.name) || latest.type !== WORKFLOW_TYPE) return null;
  const open = openOf(await recordsOf(client, latest, receipts));
  if (open === null) return null;
  const { input } = await startOf(client, workflowId, open.runId ?? latest.runId);
  const handle = new GenerationClient(client).handle(workflowId);
  const failure: unknown =
    latest.status.name === 'FAILED' ? await handle.result().catch((error: unknown) => error) : null;
  const code = failure instanceof GenerationError ? ` (${failure.code})` : '';
  const ended = `${latest.status.name.toLowerCase().replace('_', ' ')}${code}`;
  const { model, idempotencyKey } = open;
  const { taskId = null, status = null, reservedCredits = null } = open.task ?? {};
  const told = { workflowId, ended, model, idempotencyKey };
  return { ...told, taskId, status, reservedCredits, input: input as GenerateMediaInput, taskQueue: latest.taskQueue };
}

/** What its runs say, from the latest to the one that had looked at those before it, and then the receipts of its tasks. */
async function recordsOf(client: Client, latest: WorkflowExecutionDescription, receipts: Receipts | null) {
  const { workflowId, runId: latestId } = latest;
  const records: KeyRecord[] = [];
  let baseKey: string | null = null;
  for (const runId of new Set([latestId, ...((await runIdsOf(client, workflowId)) ?? [])])) {
    const run = runId === latestId ? latest : await describeRun(client, workflowId, runId);
    const memo = run === null ? null : memoOf(run);
    if (run?.type !== WORKFLOW_TYPE || memo === null) continue;
    records.push(...ofRun({ ...run, paid: memo }, client.options.namespace));
    baseKey ??= memo.baseKey;
    if (memo.lookedBy === runId) break;
  }
  if (baseKey === null || receipts === null) return records;
  const { tasks } = await receipts.find(baseKey);
  return [...records, ...ofReceipts({ submit: null, tasks: tasks.toReversed() })];
}

/** The last thing that a generation left open, by all that is known of it, newest first; null for nothing. */
export function openOf(records: readonly KeyRecord[]): KeyRecord | null {
  const made = records.flatMap(({ task }) => task ?? []);
  const failed = new Set(made.filter(({ status }) => status === 'failed').map(({ taskId }) => taskId));
  const paid = records.find(({ task }) => task !== null && !failed.has(task.taskId));
  return paid ?? unansweredOf(records)[0] ?? null;
}

/**
 * Has the Service judge a query as it was given. Among conditions of ours one that closes our parentheses would mean
 * something else; in parentheses it must be good too.
 * @throws UsageError
 */
export async function checkQuery(client: Client, query: string): Promise<void> {
  const { namespace } = client.options;
  try {
    for (const asked of [query, `(${query})`]) {
      await client.workflowService.listWorkflowExecutions({ namespace, query: asked, pageSize: 1 });
    }
  } catch (error) {
    if (!isGrpcServiceError(error) || (error.code as number) !== REFUSED_QUERY) throw error;
    throw new UsageError(`--query: ${error.details}. Nothing was started.`);
  }
}
