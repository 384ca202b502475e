import { isGrpcServiceError, type Client, type WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { ValueError } from '@temporalio/common';
import { memoOf } from '../client.js';
import { CHAT_WORKFLOW_TYPE, WORKFLOW_TYPE, type GenerationMemo } from '../contract/index.js';
import { listedRuns } from '../../activities/runs.js';
import { UsageError } from './errors.js';

// gRPC INVALID_ARGUMENT: the Service refuses a query.
const REFUSED_QUERY = 3;

/** Visibility query for all that is paid: generations and chats. */
export const PAID_RUNS = `WorkflowType IN ('${WORKFLOW_TYPE}', '${CHAT_WORKFLOW_TYPE}')`;

/** A run with its memo: null where it wrote none, undefined where it is under a codec that the command line does not have. */
export interface PaidRun extends Pick<
  WorkflowExecutionInfo,
  'workflowId' | 'runId' | 'type' | 'status' | 'startTime' | 'closeTime'
> {
  readonly paid: GenerationMemo | null | undefined;
}

/** The runs that a query finds, newest first. */
export async function* paidRuns(client: Client, query: string): AsyncGenerator<PaidRun> {
  const { loadedDataConverter, namespace } = client.options;
  for await (const raw of listedRuns(client, query)) {
    const infoOf = (run: typeof raw): Promise<WorkflowExecutionInfo> =>
      executionInfoFromRaw(run, loadedDataConverter, raw, namespace);
    const whole = await readable(() => infoOf(raw));
    const info = whole ?? (await infoOf({ ...raw, memo: null }));
    yield { ...info, paid: whole && memoOf(whole) };
  }
}

/** Undefined where it is under a codec that the command line does not have. */
export async function readable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ValueError) return undefined;
    throw error;
  }
}

/** Runs that could not be read, by their Workflow IDs. */
export function notRead(workflowIds: readonly string[]): string {
  const shown = workflowIds.slice(0, SHOWN).join(', ');
  const more = workflowIds.length > SHOWN ? ' and others (--json names all)' : '';
  return `Not read, under a codec that this command does not have: ${shown}${more}. Look at them in the Temporal UI with your codec server.`;
}

const SHOWN = 10;

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
