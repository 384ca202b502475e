import { isGrpcServiceError, WorkflowNotFoundError, type Client, type WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { ValueError } from '@temporalio/common';
import { queryFor, rawRuns, RUNS } from '../../activities/index.js';
import { UsageError } from './errors.js';

// gRPC status by which the Service refuses a query.
const REFUSED_QUERY = new Set([3]);

export type RawRun = WorkflowExecutionInfo['raw'];

export function idOf(run: RawRun): string {
  return run.execution?.workflowId ?? '';
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
    if (!isGrpcServiceError(error) || !REFUSED_QUERY.has(error.code)) throw error;
    throw new UsageError(`--query: ${error.details}. Nothing was started.`);
  }
}

/**
 * All runs of an ID that are like this, newest first and at most as many as a submit looks at; null where the Service
 * cannot look the ID up.
 */
export async function runsOf(client: Client, workflowId: string, like: string): Promise<RawRun[] | null> {
  const query = queryFor(workflowId);
  if (query === null) return null;
  const runs: RawRun[] = [];
  for await (const run of rawRuns(client, `${like} AND ${query}`)) {
    if (idOf(run) === workflowId) runs.push(run);
    if (runs.length === RUNS) break;
  }
  return runs;
}

/** @throws ValueError where its memo is under a codec that the command line does not have. */
export function infoOf(client: Client, raw: RawRun): Promise<WorkflowExecutionInfo> {
  const { loadedDataConverter, namespace } = client.options;
  return executionInfoFromRaw(raw, loadedDataConverter, raw, namespace);
}

/** Null where it is under a codec that the command line does not have, undefined where the run is gone by now. */
export async function readable<T>(read: () => Promise<T>): Promise<T | null | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ValueError) return null;
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
