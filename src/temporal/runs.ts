/**
 * The runs of a Workflow ID and their inputs, as the Service keeps them. It guarantees that our memo of a described run
 * is current, and that a value which cannot be decoded is named, never passed over. Activities, the client and the
 * command call it. It changes no Workflow.
 */
import { isGrpcServiceError, ServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { WorkflowExecutionDescription as Description } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { decodeOptionalSinglePayload } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { MEMO_FIELD } from '../contract/index.js';

// gRPC UNIMPLEMENTED: the test server that skips time has no list.
const NO_LIST = 12;

type ListedRun = Awaited<ReturnType<Client['workflowService']['listWorkflowExecutions']>>['executions'][number];

/** The runs that a visibility query finds, as the Service sends them: no memo is decoded, and the list lags by seconds. */
export async function* listedRuns(client: Client, query: string): AsyncGenerator<ListedRun> {
  const { namespace } = client.options;
  let nextPageToken = new Uint8Array();
  do {
    const page = await client.workflowService.listWorkflowExecutions({ namespace, query, nextPageToken });
    yield* page.executions;
    nextPageToken = Uint8Array.from(page.nextPageToken);
  } while (nextPageToken.length > 0);
}

/** Run IDs of a Workflow ID, newest first; null where the server has no list at all. `describeRun` gives the memo of each. */
export async function runIdsOf(client: Client, workflowId: string): Promise<string[] | null> {
  const isFindable = findablePart(workflowId) === workflowId;
  // With the start of an ID alone the list has other IDs too, which are left out below.
  const query = isFindable ? `WorkflowId = ${quoted(workflowId)}` : startsWith(workflowId);
  const runs: { readonly runId: string; readonly startedAt: number }[] = [];
  try {
    for await (const { execution, startTime } of listedRuns(client, query)) {
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

/** Condition of a visibility query that finds at least all Workflow IDs with this prefix. */
export function startsWith(prefix: string): string {
  return `WorkflowId STARTS_WITH ${quoted(findablePart(prefix))}`;
}

/** The start of a text, up to the first character that the Service finds in no value, however it is escaped. */
function findablePart(text: string): string {
  return /^[^"\\\p{Cc}]*/u.exec(text)?.[0] ?? '';
}

/** A text as a literal of a visibility query. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A memo or an input that cannot be read: it is under a codec that is not here, no JSON (Python writes `NaN`), or none of ours. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

/** The value of a payload that a Workflow carries; undefined where there is none. @throws Unreadable */
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
    const cause = error instanceof Error ? error.message : String(error);
    throw new Unreadable(`the ${what} of the Workflow cannot be decoded: ${cause}`);
  }
}

/**
 * The description of a run, by default of the latest one of its ID; null where its retention has passed. Fields of its memo
 * that are not ours, perhaps under another codec, are left out where they cannot be decoded.
 * @throws Unreadable where our own memo cannot be decoded.
 */
export async function describeRun(client: Client, workflowId: string, runId?: string): Promise<Description | null> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    if (error instanceof ServiceError || isGrpcServiceError(error)) throw error;
    return describeWithOurMemo(client, workflowId, runId);
  }
}

async function describeWithOurMemo(client: Client, workflowId: string, runId = ''): Promise<Description> {
  const { namespace, loadedDataConverter } = client.options;
  const execution = { workflowId, runId };
  const raw = await client.workflowService.describeWorkflowExecution({ namespace, execution });
  const info = raw.workflowExecutionInfo ?? {};
  const ours = info.memo?.fields?.[MEMO_FIELD];
  // A copy would lose the defaults of the wire format.
  info.memo = null;
  const described = await executionInfoFromRaw(info, loadedDataConverter, raw, namespace);
  const memo = ours == null ? {} : { [MEMO_FIELD]: await decoded(client, workflowId, 'memo', ours) };
  return { ...described, memo } as unknown as Description;
}

/** Type and input of a run, by default of the latest one of its ID, also while it runs. @throws Unreadable */
export async function startOf(client: Client, workflowId: string, runId?: string) {
  const { namespace } = client.options;
  const execution = { workflowId, ...(runId !== undefined && { runId }) };
  const request = { namespace, execution, maximumPageSize: 1 };
  const { history } = await client.workflowService.getWorkflowExecutionHistory(request);
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  const input = await decoded(client, workflowId, 'input', started?.input?.payloads?.[0]);
  return { type: started?.workflowType?.name ?? '', input };
}
