import { isGrpcServiceError, type Client } from '@temporalio/client';
import { runsThatCount } from '../../activities/facts.js';
import { describeRun, listedRuns, runIdsOf } from '../temporal/runs.js';
import { GenerationClient, GenerationError } from '../client.js';
import { WORKFLOW_TYPE } from '../contract/index.js';
import type { Receipts } from '../storage/index.js';
import { UsageError } from './errors.js';
import { recordsOfReceipts, recordsOfRun, unansweredOf, type KeyRecord } from './key-records.js';

// gRPC INVALID_ARGUMENT: the Service refuses a query.
const REFUSED_QUERY = 3;
// A run that continued as new, or that a reset ended, is not the last of its ID; one that completed has its result.
const ENDED = new Set(['TERMINATED', 'TIMED_OUT', 'CANCELLED', 'FAILED']);
const QUERY = `WorkflowType = '${WORKFLOW_TYPE}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed')`;

/** A paid task that nobody waits for, or, without a task ID, a submit that nobody answered. */
export type Leftover = NonNullable<Awaited<ReturnType<typeof leftoverOf>>>;

/** Workflow IDs with a run that ended without a result; a visibility query chooses among them. */
export async function endedIds(client: Client, query: string | undefined): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { execution } of listedRuns(client, query === undefined ? QUERY : `${QUERY} AND (${query})`)) {
    ids.add(execution?.workflowId ?? '');
  }
  return ids;
}

/** Null for nothing, also where the latest run goes on or has its result. @throws Unreadable, BrokenReceipt */
export async function leftoverOf(client: Client, workflowId: string, receipts: Receipts | null) {
  const latest = await describeRun(client, workflowId);
  if (latest === null || !ENDED.has(latest.status.name) || latest.type !== WORKFLOW_TYPE) return null;
  const records: KeyRecord[] = [];
  let baseKey: string | null = null;
  const runIds = new Set([latest.runId, ...((await runIdsOf(client, workflowId)) ?? [])]);
  const describe = async (runId: string) => (runId === latest.runId ? latest : describeRun(client, workflowId, runId));
  for await (const run of runsThatCount(runIds, describe, (_, type) => type === WORKFLOW_TYPE)) {
    records.push(...recordsOfRun(run, client.options.namespace));
    baseKey ??= run.paid.baseKey;
  }
  const { answers } = baseKey === null || receipts === null ? { answers: [] } : await receipts.find(baseKey);
  const last = lastLeftover([...records, ...recordsOfReceipts({ submit: null, answers: answers.toReversed() })]);
  if (last === null) return null;
  const handle = new GenerationClient(client).handle(workflowId);
  const isFailed = latest.status.name === 'FAILED';
  const failure: unknown = isFailed && (await handle.result().catch((error: unknown) => error));
  const code = failure instanceof GenerationError ? ` (${failure.code})` : '';
  const ended = `${latest.status.name.toLowerCase().replace('_', ' ')}${code}`;
  const { model, idempotencyKey } = last;
  const { taskId = null, status = null, reservedCredits = null } = last.answer ?? {};
  const row = { workflowId, ended, model, idempotencyKey, taskId, status, reservedCredits };
  return { row, runId: last.runId ?? latest.runId, taskQueue: latest.taskQueue };
}

/** The newest record of a task that did not fail, or else of a submit without an answer; null for neither. */
export function lastLeftover(records: readonly KeyRecord[]): KeyRecord | null {
  const made = records.flatMap(({ answer }) => answer ?? []);
  const failed = new Set(made.filter(({ status }) => status === 'failed').map(({ taskId }) => taskId));
  const paid = records.find(({ answer }) => answer !== null && !failed.has(answer.taskId));
  return paid ?? unansweredOf(records)[0] ?? null;
}

/** Has the Service judge a query alone and in parentheses, which it must not close. @throws UsageError */
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
