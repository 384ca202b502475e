/** The runs of a Workflow ID, and what they have been started with, as the Service tells them. */
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { decodeOptionalSinglePayload } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { MEMO_FIELD } from '../src/contract/index.js';

// gRPC UNIMPLEMENTED: the test server that skips time has no list.
const NO_LIST = 12;

export type ListedRun = Awaited<ReturnType<Client['workflowService']['listWorkflowExecutions']>>['executions'][number];

/** The runs that a visibility query finds, as the Service sends them: no memo is decoded. The list trails the truth by seconds. */
export async function* listedRuns(client: Client, query: string): AsyncGenerator<ListedRun> {
  const { namespace } = client.options;
  let nextPageToken = new Uint8Array();
  do {
    const page = await client.workflowService.listWorkflowExecutions({ namespace, query, nextPageToken });
    yield* page.executions;
    nextPageToken = Uint8Array.from(page.nextPageToken);
  } while (nextPageToken.length > 0);
}

/**
 * Run IDs of a Workflow ID, newest first; null where the server has no list at all. Ask each run by itself for what it says.
 */
export async function runIdsOf(client: Client, workflowId: string): Promise<string[] | null> {
  const runs: { readonly runId: string; readonly startedAt: number }[] = [];
  try {
    for await (const { execution, startTime } of listedRuns(client, queryFor(workflowId))) {
      if (execution?.workflowId !== workflowId) continue;
      const startedAt = Number(startTime?.seconds ?? 0) * 1_000 + (startTime?.nanos ?? 0) / 1e6;
      runs.push({ runId: execution.runId ?? '', startedAt });
    }
  } catch (error) {
    if (isGrpcServiceError(error) && (error.code as number) === NO_LIST) return null;
    throw error;
  }
  return runs.toSorted((a, b) => b.startedAt - a.startedAt).map(({ runId }) => runId);
}

/** Condition of a visibility query that finds at least all runs of the ID. */
export function queryFor(workflowId: string): string {
  return sureStart(workflowId) === workflowId ? `WorkflowId = ${literal(workflowId)}` : startsWith(workflowId);
}

/** The same for all IDs that begin so. */
export function startsWith(prefix: string): string {
  return `WorkflowId STARTS_WITH ${literal(sureStart(prefix))}`;
}

/**
 * The Service does not find values with a double quote, a backslash or a control character, however they are escaped, so
 * those are found by what stands before.
 */
function sureStart(text: string): string {
  return /^[^"\\\p{Cc}]*/u.exec(text)?.[0] ?? '';
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A memo or an input that cannot be read: it is under a codec that is not here, no JSON (Python writes `NaN`), or none of ours. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

function undecodable(what: 'memo' | 'input', cause: unknown): Unreadable {
  return new Unreadable(
    `the ${what} of the Workflow cannot be decoded: ${cause instanceof Error ? cause.message : String(cause)}`,
  );
}

/**
 * The value of a payload that a Workflow carries; undefined where there is none.
 * @throws Unreadable
 */
export async function decoded(
  { options: { namespace, loadedDataConverter } }: Client,
  workflowId: string,
  what: 'memo' | 'input',
  payload: Payload | null | undefined,
): Promise<unknown> {
  const context = { type: 'workflow', namespace, workflowId } as const;
  try {
    return await decodeOptionalSinglePayload(loadedDataConverter, payload, context);
  } catch (error) {
    throw undecodable(what, error);
  }
}

/**
 * A run as it stands, by default the latest of its ID; null where the Service knows none: its retention has passed. What else
 * stands in its memo, perhaps under another codec, is left out where it cannot be decoded.
 * @throws Unreadable where our own memo cannot be decoded.
 */
export async function describeRun(
  client: Client,
  workflowId: string,
  runId?: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    if (error instanceof ServiceError || isGrpcServiceError(error)) throw error;
    return withOurMemo(client, workflowId, runId);
  }
}

async function withOurMemo(client: Client, workflowId: string, runId = ''): Promise<WorkflowExecutionDescription> {
  const { namespace, loadedDataConverter } = client.options;
  const execution = { workflowId, runId };
  const raw = await client.workflowService.describeWorkflowExecution({ namespace, execution });
  const info = raw.workflowExecutionInfo ?? {};
  const ours = info.memo?.fields?.[MEMO_FIELD];
  // A copy would lose the defaults of the wire format.
  info.memo = null;
  const described = await executionInfoFromRaw(info, loadedDataConverter, raw, namespace);
  const memo = ours == null ? {} : { [MEMO_FIELD]: await decoded(client, workflowId, 'memo', ours) };
  return { ...described, memo } as unknown as WorkflowExecutionDescription;
}

/**
 * What the latest run of a Workflow ID has been started with, also while it runs. One call to the Service.
 * @throws Unreadable
 */
export async function startOf(
  client: Client,
  workflowId: string,
  runId?: string,
): Promise<{ readonly type: string; readonly input: unknown }> {
  const { namespace } = client.options;
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace,
    execution: { workflowId, ...(runId !== undefined && { runId }) },
    maximumPageSize: 1,
  });
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  const input = await decoded(client, workflowId, 'input', started?.input?.payloads?.[0]);
  return { type: started?.workflowType?.name ?? '', input };
}
