/** The record of an item that has ended, from its run and its files, and its start. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { GenerationClient, GenerationError, memoOf } from '../client.js';
import { ENDED_BY_OTHERS, FAILURE, isOpen, SEARCH_ATTRIBUTES, withoutEnd, WORKFLOW_TYPE } from '../contract/index.js';
import type { BatchItem, BatchOutcome, GenerateMediaInput, GenerationMemo } from '../contract/index.js';
import type { GenerationResult, StoredFile } from '../contract/index.js';
import {
  attemptCredits,
  creditsBefore,
  creditsOfEarlier,
  identityOf,
  InvalidInput,
  readInput,
} from '../policy/index.js';
import { StoreSettingError, type Store } from '../storage/store.js';
import { describeRun, listedRuns, startOf } from '../temporal/runs.js';
import { userMetadata } from '../temporal/user-metadata.js';
import type { BatchFiles } from './files.js';
import { inLanes } from './lanes.js';
import { placeOf, uriOf } from './results.js';
import { closedQuery } from './running.js';

/** Calls at a time. A start is one transaction of the Service; the default Service does some 30 a second. */
export const CALLS = 10;
// Below single generations, whose priority is the default of 3.
const PRIORITY = { priorityKey: 4 };

type Place = { readonly client: Client; readonly batchId: string; readonly taskQueue: string };

/** What a record is written with. */
export interface Records {
  readonly client: Client;
  readonly store: Store;
  readonly files: BatchFiles;
  /** As `batchApi` names it. */
  readonly api: string;
}

/**
 * Writes the records of items that have ended and have none, as far as manifests of the store have them: no look of the batch has
 * seen their end. The list lags by seconds.
 */
export async function recordUnseen(records: Records, stopped = (): boolean => false): Promise<void> {
  const { client, files } = records;
  const hasRecord = await files.ended();
  const ids = new Set<string>();
  for await (const { execution } of listedRuns(client, closedQuery(files.batchId))) {
    const workflowId = execution?.workflowId ?? '';
    if (!hasRecord(workflowId)) ids.add(workflowId);
  }
  if (ids.size === 0) return;
  await inLanes(await files.itemsNamed(ids), CALLS, async (item) => {
    const run = stopped() ? null : await describeRun(client, item.workflowId);
    if (run !== null && !isOpen(run.status.name)) await recordEnd(records, item, run, 0);
  });
}

/** Writes the record of an item whose run has ended. A record of this run stays: it may ask to start the item again. */
export async function recordEnd(
  { client, store, files, api }: Records,
  item: BatchItem,
  run: WorkflowExecutionDescription,
  expected: number,
): Promise<BatchOutcome> {
  const { batchId } = files;
  const previous = await files.outcome(item.workflowId);
  if (previous !== null && previous.runId === run.runId) return previous;
  const known = { store, batchId, previous, expected, simulated: api === 'emulator' };
  const outcome = await outcomeOf(client, item, run, known);
  await files.writeOutcome(outcome);
  return outcome;
}

interface Known {
  readonly store: Store;
  readonly batchId: string;
  /** The record that the item has had. */
  readonly previous: BatchOutcome | null;
  /** Credits that an item of its class is expected to cost. */
  readonly expected: number;
  readonly simulated: boolean;
}

/**
 * The record of a run that has ended. A run of another request under the ID of the item is none of its, and a success whose files
 * are not in the store is none: waiting for its task again fetches them.
 */
async function outcomeOf(
  client: Client,
  item: BatchItem,
  run: WorkflowExecutionDescription,
  { store, batchId, previous, expected, simulated }: Known,
): Promise<BatchOutcome> {
  const { runId, startTime, closeTime, status } = run;
  if (!(await isRunOf(client, item, run))) {
    const earlier = creditsBefore(previous, expected);
    return { ...unstarted(item, simulated), runId, status: 'failed', earlierCredits: earlier, error: otherRun(item) };
  }
  const memo = memoOf(run);
  const { taskId = null, status: taskStatus = null, idempotencyKey = null } = memo ?? {};
  const { reservedCredits = null, finalCredits = null } = memo ?? {};
  const ending = await new GenerationClient(client)
    .handle(item.workflowId, runId)
    .result()
    .catch((error: unknown) => {
      if (error instanceof GenerationError) return error;
      throw error;
    });
  const task = { taskId, taskStatus, idempotencyKey, reservedCredits, finalCredits };
  const mayExist = taskId === null && (memo?.mayPostSince ?? memo?.riskReason ?? null) !== null;
  // A wait that ended before its first answer has no memo yet.
  const waitedFor = previous?.retry === 'wait' ? previous : null;
  const ofTask =
    ending instanceof GenerationError
      ? {
          ...(taskId === null && waitedFor !== null ? taskOf(waitedFor) : task),
          ...failureOf(ending, simulated, mayExist),
        }
      : { ...successOf(ending), taskStatus: 'succeeded' };
  const made = (memo?.earlier.length ?? 0) + (taskId !== null || (memo?.mayPostSince ?? null) !== null ? 1 : 0);
  const attempts = Math.max(made, 'attempts' in ofTask ? ofTask.attempts : 0, previous?.attempts ?? 0);
  const stopped = status.name === 'CANCELLED' || status.name === 'TERMINATED';
  const earlierTasks = earlierTasksOf(memo, previous, ofTask.taskId);
  const lost = ending instanceof GenerationError ? null : await missingFile(store, batchId, ending.files);
  return {
    version: 1,
    itemId: item.id,
    workflowId: item.workflowId,
    runId,
    status: lost !== null ? 'failed' : status.name === 'COMPLETED' ? 'succeeded' : stopped ? 'cancelled' : 'failed',
    digest: item.digest,
    priceClass: item.priceClass,
    model: item.input.model,
    ...ofTask,
    ...(lost !== null && { files: [], error: filesGone(lost) }),
    attempts,
    ...(Object.keys(earlierTasks).length > 0 && { earlierTasks }),
    earlierCredits: earlierCredits(attempts, memo, previous, ofTask.reservedCredits ?? expected),
    startedAt: startTime.toISOString(),
    endedAt: (closeTime ?? new Date()).toISOString(),
    retry: null,
  };
}

/** True where a run is of the same request as an item, whoever has started it. */
async function isRunOf(
  client: Client,
  item: BatchItem,
  { type, runId }: WorkflowExecutionDescription,
): Promise<boolean> {
  if (type !== WORKFLOW_TYPE) return false;
  const { input } = await startOf(client, item.workflowId, runId);
  try {
    return identityOf(readInput(input)).digest === item.digest;
  } catch (error) {
    // It has failed by the name of a field, as the item would.
    if (error instanceof InvalidInput) return true;
    throw error;
  }
}

function otherRun({ id, workflowId }: BatchItem): BatchOutcome['error'] {
  const message = `Workflow ID "${workflowId}" belongs to a Workflow with another input, so this item was not started and nothing was paid for it.`;
  const action = `Give the item another id than "${id}" in the input, or start the batch under another --id.`;
  return { code: FAILURE.InputChanged, message, action };
}

/** The first of these files that is not in the store, or null. */
async function missingFile(store: Store, batchId: string, files: readonly StoredFile[]): Promise<string | null> {
  for (const { uri } of files) {
    const place = placeOf(uri, batchId);
    // The store may have another address by now.
    const address = place === null ? uri : uriOf(store, batchId, place);
    try {
      if ((await store.open(address)) === null) return address;
    } catch (error) {
      // Of another store, which is not looked into.
      if (!(error instanceof StoreSettingError)) throw error;
    }
  }
  return null;
}

function filesGone(uri: string): BatchOutcome['error'] {
  const message = `The task has succeeded, and its file ${uri} is not in the store any more.`;
  const action = 'Wait for its task again, which fetches the file anew and is free: rivya-temporal batch retry';
  return { code: FAILURE.ResultMissing, message, action };
}

/** The record of an item that no run was started for. */
export function unstarted({ id, workflowId, digest, priceClass, input }: BatchItem, simulated: boolean): BatchOutcome {
  const nothing = { taskId: null, taskStatus: null, idempotencyKey: null, reservedCredits: null, finalCredits: null };
  return {
    version: 1,
    itemId: id,
    workflowId,
    runId: null,
    status: 'skipped',
    digest,
    priceClass,
    model: input.model,
    ...nothing,
    earlierCredits: 0,
    attempts: 0,
    statusChecks: 0,
    files: [],
    urls: [],
    error: null,
    simulated,
    startedAt: null,
    endedAt: new Date().toISOString(),
    retry: null,
  };
}

function successOf(result: GenerationResult) {
  const { taskId, idempotencyKey, reservedCredits, finalCredits, attempts, statusChecks, files, urls, simulated } =
    result;
  const money = { taskId, idempotencyKey, reservedCredits, finalCredits };
  return { ...money, attempts, statusChecks, files, urls, simulated, error: null };
}

function taskOf({ taskId, taskStatus, idempotencyKey, reservedCredits, finalCredits }: BatchOutcome) {
  return { taskId, taskStatus, idempotencyKey, reservedCredits, finalCredits };
}

function failureOf({ code, message, details }: GenerationError, simulated: boolean, mayExist: boolean) {
  const { action = null } = details;
  const said = withoutEnd(message, action ?? '');
  // Ended between a submit and its answer, it is unresolved. A failed task is known by the code that the API gives.
  const isUnresolved = mayExist && ENDED_BY_OTHERS.some((ended) => ended === code);
  const error = { code: isUnresolved ? FAILURE.SubmitUnresolved : (details.code ?? code), message: said, action };
  return { statusChecks: 0, files: [], urls: [], simulated, error };
}

/** Final credits of the tasks before the last one, as far as this run and the record before have seen them. */
function earlierTasksOf(
  memo: GenerationMemo | null,
  previous: BatchOutcome | null,
  taskId: string | null,
): Readonly<Record<string, number>> {
  const { taskId: last = null, taskStatus, finalCredits = null } = previous ?? {};
  const isAnother = last !== null && last !== taskId && taskStatus === 'failed' && finalCredits !== null;
  return { ...previous?.earlierTasks, ...(isAnother && { [last]: finalCredits }), ...memo?.earlierCredits };
}

/** Credits of all attempts before the last one, at most: `price` where nothing names them. */
function earlierCredits(
  attempts: number,
  memo: GenerationMemo | null,
  previous: BatchOutcome | null,
  price: number,
): number {
  const added = attempts - (previous?.attempts ?? 0);
  // The same task as in the record before: it was waited for again.
  if (added === 0 && previous !== null) return previous.earlierCredits;
  const before = previous === null ? 0 : previous.earlierCredits + attemptCredits(previous, price);
  // Those since the record before, which has the ones before them.
  const count = Math.max(0, added - 1);
  const named = count === 0 ? [] : (memo?.earlier.slice(-count) ?? []);
  return before + creditsOfEarlier(memo ?? {}, named, price) + (count - named.length) * price;
}

/**
 * Starts an item, unless there is a run of it already: that one is not started anew, whatever became of it. Only a record that
 * asks for it starts an item again.
 */
export async function startItem(place: Place, item: BatchItem, record: BatchOutcome | null): Promise<void> {
  const { client, taskQueue } = place;
  const { workflowId } = item;
  const retry = record?.retry ?? null;
  if (retry !== null) {
    const latest = await describeRun(client, workflowId);
    // The run that the record asks for.
    if (latest !== null && latest.runId !== record?.runId) return;
  }
  const input = retry === null || record === null ? item.input : inputAgain(item.input, record);
  try {
    await client.workflow.start(WORKFLOW_TYPE, {
      workflowId,
      taskQueue,
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: retry === null ? 'REJECT_DUPLICATE' : 'ALLOW_DUPLICATE',
      typedSearchAttributes: attributesOf(place, item),
      priority: PRIORITY,
      ...metadataOf(input),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** The input of an item that is started again: it waits for the task that it has, or may pay for one more and no others. */
function inputAgain(input: GenerateMediaInput, { retry, taskId, attempts }: BatchOutcome): GenerateMediaInput {
  const { idempotencyKey: _, options = {}, ...request } = input;
  const { maxAttempts: __, ...others } = options;
  if (retry === 'wait' && taskId !== null) return { ...request, taskId, options: others };
  return { ...input, options: { ...others, maxAttempts: attempts + 1 } };
}

function attributesOf({ batchId }: Place, { input }: BatchItem): SearchAttributePair[] {
  const values = { RivyaBatchId: batchId, RivyaStatus: 'submitting', RivyaModel: input.model } as const;
  return Object.entries(values).map(([name, value]) => ({
    key: defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name as keyof typeof values]),
    value,
  }));
}

function metadataOf(input: GenerateMediaInput): Partial<ReturnType<typeof userMetadata>> {
  try {
    return userMetadata(readInput(input));
  } catch (error) {
    // The Workflow fails with it, by the name of the field.
    if (error instanceof InvalidInput) return {};
    throw error;
  }
}
