import { isGrpcServiceError, type Client } from '@temporalio/client';
import {
  recordsOfReceipts,
  recordsOfRun,
  runsThatCount,
  unansweredOf,
  type KeyRecord,
} from '../../activities/facts.js';
import { describeRun, listedRuns, runIdsOf } from '../../activities/runs.js';
import { GenerationClient, GenerationError } from '../client.js';
import { WORKFLOW_TYPE } from '../contract/index.js';
import type { Receipts } from '../storage/index.js';
import { UsageError } from './errors.js';

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
 * @throws Unreadable, BrokenReceipt
 */
export async function leftOpen(client: Client, workflowId: string, receipts: Receipts | null) {
  const latest = await describeRun(client, workflowId);
  if (latest === null || !ENDED.has(latest.status.name) || latest.type !== WORKFLOW_TYPE) return null;
  const records: KeyRecord[] = [];
  let baseKey: string | null = null;
  const runIds = new Set([latest.runId, ...((await runIdsOf(client, workflowId)) ?? [])]);
  for await (const run of runsThatCount(client, workflowId, runIds, (_, type) => type === WORKFLOW_TYPE)) {
    records.push(...recordsOfRun(run, client.options.namespace));
    baseKey ??= run.paid.baseKey;
  }
  const { tasks } = baseKey === null || receipts === null ? { tasks: [] } : await receipts.find(baseKey);
  const open = openOf([...records, ...recordsOfReceipts({ submit: null, tasks: tasks.toReversed() })]);
  if (open === null) return null;
  const handle = new GenerationClient(client).handle(workflowId);
  const failure: unknown =
    latest.status.name === 'FAILED' ? await handle.result().catch((error: unknown) => error) : null;
  const code = failure instanceof GenerationError ? ` (${failure.code})` : '';
  const ended = `${latest.status.name.toLowerCase().replace('_', ' ')}${code}`;
  const { model, idempotencyKey } = open;
  const { taskId = null, status = null, reservedCredits = null } = open.answer ?? {};
  const row = { workflowId, ended, model, idempotencyKey, taskId, status, reservedCredits };
  return { row, runId: open.runId ?? latest.runId, taskQueue: latest.taskQueue };
}

/** The last thing that a generation left open, by all that is known of it, newest first; null for nothing. */
export function openOf(records: readonly KeyRecord[]): KeyRecord | null {
  const made = records.flatMap(({ answer }) => answer ?? []);
  const failed = new Set(made.filter(({ status }) => status === 'failed').map(({ taskId }) => taskId));
  const paid = records.find(({ answer }) => answer !== null && !failed.has(answer.taskId));
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
    throw new UsageError(`--query: ${error.details}. Nothing was done.`);
  }
}
