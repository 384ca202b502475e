/** The items of a batch that run, as the Service lists them: the list lags by seconds. */
import type { Client } from '@temporalio/client';
import { OPEN_QUERY } from '../contract/index.js';
import { listedRuns, quoted } from '../temporal/runs.js';

/** Visibility query for the items of a batch that run. */
export function runningQuery(batchId: string): string {
  return `RivyaBatchId = ${quoted(batchId)} AND ${OPEN_QUERY}`;
}

/** Visibility query for the runs of items of a batch that have ended. */
export function closedQuery(batchId: string): string {
  return `RivyaBatchId = ${quoted(batchId)} AND NOT ${OPEN_QUERY} AND ExecutionStatus != 'ContinuedAsNew'`;
}

/**
 * Workflow IDs of the items that run.
 * @param condition - Of a visibility query, which they meet too.
 */
export async function runningIds(client: Client, batchId: string, condition?: string): Promise<string[]> {
  const query = condition === undefined ? runningQuery(batchId) : `${runningQuery(batchId)} AND ${condition}`;
  const ids: string[] = [];
  for await (const { execution } of listedRuns(client, query)) ids.push(execution?.workflowId ?? '');
  return ids;
}
