/** What memos and receipts say of each key number of a generation or chat: the one shape that `charges` and `recover` judge. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { ValueError } from '@temporalio/common';
import { memoOf } from '../client.js';
import {
  CHAT_WORKFLOW_TYPE,
  isOpen,
  UNKNOWN_FINGERPRINT,
  WORKFLOW_TYPE,
  type GenerationMemo,
} from '../contract/index.js';
import type { ChatReceipt, KeyReceipts, ReceiptHead, Receipts, TaskReceipt } from '../storage/index.js';
import { listedRuns } from '../../activities/runs.js';

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

const SHOWN = 10;

/** Runs that could not be read, by their Workflow IDs. */
export function notRead(workflowIds: readonly string[]): string {
  const shown = workflowIds.slice(0, SHOWN).join(', ');
  const more = workflowIds.length > SHOWN ? ' and others (--json names all)' : '';
  return `Not read, under a codec that this command does not have: ${shown}${more}. Look at them in the Temporal UI with your codec server.`;
}

/** A task that was created at Rivya. */
export interface PaidTask extends Pick<TaskReceipt, 'taskId' | 'status' | 'reservedCredits' | 'finalCredits'> {
  /** ISO 8601: by the API's clock, or when this side first knew of it. */
  readonly createdAt: string;
  /** True when the emulator made it; null where the source does not tell. */
  readonly simulated: boolean | null;
}

/** What one receipt or memo says of one task of a generation or chat, or of a submit without one. */
export interface KeyRecord extends Pick<ReceiptHead, 'namespace' | 'workflowId' | 'model' | 'labels' | 'keyNumber'> {
  /** The run whose memo says it; null for a receipt. */
  readonly runId: string | null;
  /** Number of the paid attempt; null for a task that was taken up by its ID. */
  readonly attempt: number | null;
  /** Null where the source does not tell. */
  readonly idempotencyKey: string | null;
  readonly task: PaidTask | null;
  /** ISO 8601: since when a submit has no answer, or null. */
  readonly unansweredSince: string | null;
  /** Why a person had it posted again although a task might exist, or null. */
  readonly riskReason: string | null;
}

const NOTHING = { runId: null, task: null, unansweredSince: null, riskReason: null } as const;

/** What the receipts of a store say. */
export async function recordsOfReceipts(receipts: Receipts): Promise<KeyRecord[]> {
  const records: KeyRecord[] = [];
  for await (const found of receipts.all()) records.push(...ofReceipts(found));
  for await (const { submit, answers } of receipts.chats.all()) {
    records.push(...ofReceipts({ submit, tasks: answers.map(asTask) }));
  }
  return records;
}

/** A record for each receipt of a generation: of each task, oldest first, and of the last submit. */
export function ofReceipts({ submit, tasks }: KeyReceipts): KeyRecord[] {
  const made = tasks.map((receipt): KeyRecord => {
    const { taskId, status, reservedCredits, finalCredits, simulated, at } = receipt;
    const time = new Date(receipt.createdAt ?? Number.NaN);
    // One way to write a time, so that they sort.
    const createdAt = Number.isNaN(time.getTime()) ? at : time.toISOString();
    return { ...receipt, ...NOTHING, task: { taskId, status, reservedCredits, finalCredits, createdAt, simulated } };
  });
  if (submit === null) return made;
  const { riskReason, unanswered } = submit;
  return [...made, { ...submit, ...NOTHING, riskReason, unansweredSince: iso(unanswered?.firstPostedAt) }];
}

/** A chat has no task; its answer stands in its place. */
function asTask({ answer, ...head }: ChatReceipt): TaskReceipt {
  const taskId = answer.id ?? answer.messageId ?? answerUnder(head.idempotencyKey);
  return { ...answer, ...head, taskId, status: 'succeeded' };
}

function answerUnder(key: string | null): string {
  return `answer under ${key}`;
}

/** What the runs of generations and chats say in their memos; `unread` are the Workflow IDs of those under another codec. */
export async function recordsOfTemporal(client: Client) {
  const runs: PaidRun[] = [];
  for await (const run of paidRuns(client, PAID_RUNS)) runs.push(run);
  const generations = [...groupBy(runs, ({ workflowId }) => workflowId).values()];
  const records = generations.flatMap((own) => ofRuns(own, client.options.namespace));
  const unread = new Set(runs.flatMap(({ workflowId, paid }) => (paid === undefined ? workflowId : [])));
  const oldest = runs.map(({ startTime }) => startTime.toISOString()).toSorted()[0] ?? null;
  return { records, oldest, unread: [...unread] };
}

/** What all runs of one Workflow ID say. What has no answer is judged by the newest one that had looked at those before it. */
export function ofRuns(runs: readonly PaidRun[], namespace: string): KeyRecord[] {
  const records: KeyRecord[] = [];
  let looked = false;
  for (const run of runs.toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime())) {
    for (const record of ofRun(run, namespace)) records.push(looked ? { ...record, unansweredSince: null } : record);
    if (run.paid == null) continue;
    const { lookedBy, baseKey, status } = run.paid;
    // A task that a person has named is the answer as well.
    looked ||= lookedBy === run.runId || (baseKey === null && status !== null);
  }
  return records;
}

/** What one run says: of each attempt that failed, and of the last one. */
export function ofRun(run: PaidRun, namespace: string): KeyRecord[] {
  const { workflowId, runId, type, status, startTime, paid } = run;
  if (paid == null) return [];
  const { model, labels, keyNumber, idempotencyKey, mayPostSince, riskReason, reservedCredits, finalCredits } = paid;
  const head = { namespace, workflowId, runId, model, labels };
  const known = { createdAt: startTime.toISOString(), simulated: null };
  // Of attempts that failed the memo keeps neither the credits nor the keys.
  const failed = paid.earlier.map((taskId, index): KeyRecord => {
    const task = { ...known, taskId, status: 'failed', reservedCredits: null, finalCredits: null };
    return { ...NOTHING, ...head, keyNumber: 0, attempt: index + 1, idempotencyKey: null, task };
  });
  const made = taskIn(paid, type);
  const task = made && { ...known, ...made, reservedCredits, finalCredits };
  // A submit that waits for its turn is no alarm.
  const queued = isOpen(status.name) && mayPostSince?.fingerprint === UNKNOWN_FINGERPRINT;
  const unansweredSince = queued ? null : iso(mayPostSince?.firstPostedAt);
  const attempt = paid.baseKey === null ? null : paid.attempt;
  return [...failed, { ...head, keyNumber, attempt, idempotencyKey, task, unansweredSince, riskReason }];
}

function taskIn({ phase, taskId, status, idempotencyKey }: GenerationMemo, type: string) {
  if (type === CHAT_WORKFLOW_TYPE) {
    return phase === 'succeeded' ? { taskId: answerUnder(idempotencyKey), status: 'succeeded' } : null;
  }
  // Without a status the task is only what the input named.
  return taskId === null || status === null ? null : { taskId, status };
}

function iso(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** Submits that no task answers. A key number is used only where no task can exist under those before. */
export function unansweredOf(records: readonly KeyRecord[]): KeyRecord[] {
  // Under which key a task was made that a person has named, nobody knows.
  const made = records.filter(({ task, attempt }) => task !== null && attempt !== null);
  const answered = Math.max(0, ...made.map(({ keyNumber }) => keyNumber));
  return records.filter(({ unansweredSince, keyNumber }) => unansweredSince !== null && keyNumber > answered);
}

/** True where a task has ended, so that its final credits are final. */
export function isSettled({ status }: { status: string | null }): boolean {
  return status === 'succeeded' || status === 'failed';
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item)) ?? [];
    group.push(item);
    groups.set(keyOf(item), group);
  }
  return groups;
}
