/**
 * What memos and receipts say of a generation or chat: the one place where they are read and judged.
 *
 * It guarantees that a record is either told whole or named as unread, never passed over. Recall pays by these facts;
 * `charges`, `recover` and `list` show them. It never writes.
 */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import {
  CHAT_WORKFLOW_TYPE,
  isOpen,
  MEMO_FIELD,
  UNKNOWN_FINGERPRINT,
  WORKFLOW_TYPE,
  type GenerationMemo,
  type Position,
} from '../src/contract/index.js';
import { memoProblem } from '../src/policy/index.js';
import type { ChatReceipt, KeyFolder, KeyReceipts, ReceiptHead, TaskReceipt } from '../src/storage/index.js';
import { decoded, describeRun, listedRuns, Unreadable } from './runs.js';

/** Visibility query for all that is paid: generations and chats. */
export const PAID_RUNS = `WorkflowType IN ('${WORKFLOW_TYPE}', '${CHAT_WORKFLOW_TYPE}')`;

type Run = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'type' | 'status' | 'startTime' | 'closeTime'>;

/** A run with what its memo says. */
export interface PaidRun extends Run {
  /** Null where it wrote none, or none that can be read. */
  readonly paid: GenerationMemo | null;
  /** Why its memo cannot be read. */
  readonly unread?: string;
}

/** The runs that a query finds, newest first. */
export async function* paidRuns(client: Client, query: string): AsyncGenerator<PaidRun> {
  const { loadedDataConverter, namespace } = client.options;
  for await (const raw of listedRuns(client, query)) {
    const ours = raw.memo?.fields?.[MEMO_FIELD];
    // What else stands in a memo may be under another codec, and says nothing here.
    raw.memo = null;
    const info = await executionInfoFromRaw(raw, loadedDataConverter, raw, namespace);
    const memo = decoded(client, info.workflowId, 'memo', ours);
    const told = await memo.then(judged, ({ message }: Error) => ({ paid: null, unread: message }));
    yield { ...info, ...told };
  }
}

function judged(memo: unknown): Pick<PaidRun, 'paid' | 'unread'> {
  if (memo == null) return { paid: null };
  const problem = memoProblem(memo);
  if (problem === null) return { paid: memo as GenerationMemo };
  return { paid: null, unread: `the memo of the Workflow is none of ours: ${problem}` };
}

/**
 * Of these runs, the newest first, those that count, until one had looked itself: its memo holds all that was known before
 * it. The memos of a list trail by seconds, so each run is described: that is what it wrote last.
 * @param counts - Judges a run by a memo in which anything may stand, and by its type.
 * @throws Unreadable where a memo that counts cannot be read.
 */
export async function* runsThatCount(
  client: Client,
  workflowId: string,
  runIds: Iterable<string>,
  counts: (memo: Partial<GenerationMemo>, type: string) => boolean,
): AsyncGenerator<PaidRun & { readonly paid: GenerationMemo }> {
  for (const runId of runIds) {
    const run = await describeRun(client, workflowId, runId);
    const memo = run?.memo?.[MEMO_FIELD] ?? null;
    if (run === null || memo === null || !counts(memo, run.type)) continue;
    const { paid, unread } = judged(memo);
    if (paid === null) throw new Unreadable(`run ${runId}: ${unread}`);
    yield { ...run, paid };
    if (paid.lookedBy === runId) return;
  }
}

/** What one memo or receipt says of a key number. */
export interface Fact<Answer> extends Position {
  readonly idempotencyKey: string;
  /** What was paid for under the key number, or null. */
  readonly answer: Answer | null;
  /** Digest of the request; null where nothing was or may have been paid for it, so that another one may take its place. */
  readonly bodyDigest: string | null;
  /** True for receipts: nobody but a Worker writes them, while anybody who starts a Workflow can write a memo. */
  readonly proven: boolean;
}

export function factOfMemo<Answer>(memo: GenerationMemo, answer: Answer | null): Fact<Answer> {
  const { keyNumber, attempt, mayPostSince, earlier } = memo;
  const unanswered = answer === null ? mayPostSince : null;
  const binds = answer !== null || unanswered !== null || earlier.length > 0;
  const idempotencyKey = memo.idempotencyKey ?? memo.baseKey ?? '';
  const bodyDigest = binds ? memo.bodyDigest : null;
  return { keyNumber, attempt, idempotencyKey, answer, unanswered, earlier, bodyDigest, proven: false };
}

/** A fact for each answer, oldest first, and one for the last submit. */
export function factsOfReceipts<Answer>({ submit, answers }: KeyFolder<ReceiptHead & { readonly answer: Answer }>) {
  const common = { runId: null, unanswered: null, earlier: [], proven: true, riskReason: null };
  const facts = answers.map((receipt) => ({ ...common, ...receipt }));
  if (submit === null) return facts;
  const bodyDigest = submit.unanswered === null ? null : submit.bodyDigest;
  return [...facts, { ...common, ...submit, bodyDigest, answer: null }];
}

/** A task that was created at Rivya, or the answer of a chat in its place. */
export interface PaidTask extends Pick<TaskReceipt, 'taskId' | 'status' | 'reservedCredits' | 'finalCredits'> {
  /** ISO 8601: by the API's clock, or when this side first knew of it. */
  readonly createdAt: string;
  /** True when the emulator made it; null where the source does not tell. */
  readonly simulated: boolean | null;
}

/** A fact of one task of a generation or chat, or of a submit without one, with whose it is. */
export interface KeyRecord
  extends
    Pick<Fact<PaidTask>, 'keyNumber' | 'answer' | 'unanswered'>,
    Pick<ReceiptHead, 'namespace' | 'workflowId' | 'model' | 'labels'> {
  /** The run whose memo says it; null for a receipt. */
  readonly runId: string | null;
  /** Number of the paid attempt; null for a task that was taken up by its ID. */
  readonly attempt: number | null;
  /** Null where the source does not tell. */
  readonly idempotencyKey: string | null;
  /** Why a person had it posted again although a task might exist, or null. */
  readonly riskReason: string | null;
}

/** What the receipts of a generation say. */
export function recordsOfReceipts({ submit, tasks }: KeyReceipts): KeyRecord[] {
  const answers = tasks.map((receipt) => {
    const { taskId, status, reservedCredits, finalCredits, simulated, at } = receipt;
    const time = new Date(receipt.createdAt ?? Number.NaN);
    // One way to write a time, so that they sort.
    const createdAt = Number.isNaN(time.getTime()) ? at : time.toISOString();
    return { ...receipt, answer: { taskId, status, reservedCredits, finalCredits, createdAt, simulated } };
  });
  return factsOfReceipts({ submit, answers });
}

/** What the receipts of a chat say. It has no task; its answer stands in the place of one. */
export function recordsOfChat({ submit, answers }: KeyFolder<ChatReceipt>): KeyRecord[] {
  const tasks = answers.map(({ answer, ...head }) => {
    const taskId = answer.id ?? answer.messageId ?? answerUnder(head.idempotencyKey);
    return { ...answer, ...head, taskId, status: 'succeeded' };
  });
  return recordsOfReceipts({ submit, tasks });
}

/** What all runs of one Workflow ID say. What has no answer is judged by the newest one that had looked at those before it. */
export function recordsOfRuns(runs: readonly PaidRun[], namespace: string): KeyRecord[] {
  const records: KeyRecord[] = [];
  let looked = false;
  for (const run of runs.toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime())) {
    if (run.paid === null) continue;
    for (const record of recordsOfRun(run, namespace)) records.push(looked ? { ...record, unanswered: null } : record);
    const { lookedBy, baseKey, status } = run.paid;
    // A task that a person has named is the answer as well.
    looked ||= lookedBy === run.runId || (baseKey === null && status !== null);
  }
  return records;
}

/** What one run says: of each attempt that failed, and of the last one. */
export function recordsOfRun(run: PaidRun, namespace: string): KeyRecord[] {
  const { workflowId, runId, type, status, startTime, paid } = run;
  if (paid === null) return [];
  const { model, labels, riskReason, reservedCredits, finalCredits, baseKey } = paid;
  const known = { createdAt: startTime.toISOString(), simulated: null };
  const made = taskIn(paid, type);
  const fact = factOfMemo<PaidTask>(paid, made && { ...known, ...made, reservedCredits, finalCredits });
  // A submit that waits for its turn is no alarm.
  const queued = isOpen(status.name) && fact.unanswered?.fingerprint === UNKNOWN_FINGERPRINT;
  const head = { namespace, workflowId, runId, model, labels, riskReason };
  const last = { ...fact, ...head, ...(queued && { unanswered: null }) };
  // Of attempts that failed the memo keeps neither the credits nor the keys.
  const failed = fact.earlier.map((taskId, index) => {
    const answer = { ...known, taskId, status: 'failed', reservedCredits: null, finalCredits: null };
    const unknown = { keyNumber: 0, idempotencyKey: null, unanswered: null, riskReason: null };
    return { ...last, ...unknown, attempt: index + 1, answer };
  });
  return [...failed, baseKey === null ? { ...last, attempt: null, idempotencyKey: null } : last];
}

function taskIn({ phase, taskId, status, idempotencyKey }: GenerationMemo, type: string) {
  if (type === CHAT_WORKFLOW_TYPE) {
    return phase === 'succeeded' ? { taskId: answerUnder(idempotencyKey), status: 'succeeded' } : null;
  }
  // Without a status the task is only what the input named.
  return taskId === null || status === null ? null : { taskId, status };
}

function answerUnder(key: string | null): string {
  return `answer under ${key}`;
}

/** Submits that no task answers. A key number is used only where no task can exist under those before. */
export function unansweredOf(records: readonly KeyRecord[]): KeyRecord[] {
  // Under which key a task was made that a person has named, nobody knows.
  const made = records.filter(({ answer, attempt }) => answer !== null && attempt !== null);
  const answered = Math.max(0, ...made.map(({ keyNumber }) => keyNumber));
  return records.filter(({ unanswered, keyNumber }) => unanswered !== null && keyNumber > answered);
}
