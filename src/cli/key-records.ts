/**
 * What was paid for, as one list from memos and receipts: `charges` prints it, `recover` looks for what nobody waits
 * for. It reads nothing and writes nothing: `activities/facts.ts` judges each memo and receipt.
 */
import { factOfMemo, factsOfReceipts, type Fact, type PaidRun } from '../../activities/facts.js';
import { CHAT_WORKFLOW_TYPE, isOpen, UNKNOWN_FINGERPRINT, type GenerationMemo } from '../contract/index.js';
import type { ChatReceipt, KeyFolder, ReceiptHead, TaskReceipt } from '../storage/index.js';

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
export function recordsOfReceipts({ submit, answers }: KeyFolder<TaskReceipt>): KeyRecord[] {
  const tasks = answers.map((receipt) => {
    const { taskId, status, reservedCredits, finalCredits, simulated, at } = receipt;
    const time = new Date(receipt.createdAt ?? Number.NaN);
    // One way to write a time, so that they sort.
    const createdAt = Number.isNaN(time.getTime()) ? at : time.toISOString();
    return { ...receipt, answer: { taskId, status, reservedCredits, finalCredits, createdAt, simulated } };
  });
  return factsOfReceipts({ submit, answers: tasks });
}

/** What the receipts of a chat say. It has no task; its answer stands in the place of one. */
export function recordsOfChat({ submit, answers }: KeyFolder<ChatReceipt>): KeyRecord[] {
  const tasks = answers.map(({ answer, ...head }) => {
    const taskId = answer.id ?? answer.messageId ?? answerUnder(head.idempotencyKey);
    return { ...answer, ...head, taskId, status: 'succeeded' };
  });
  return recordsOfReceipts({ submit, answers: tasks });
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
  // Of attempts that failed the memo keeps no keys, and the credits of those that this run has seen.
  const failed = fact.earlier.map((taskId, index) => {
    const credits = paid.earlierCredits?.[taskId] ?? null;
    const answer = { ...known, taskId, status: 'failed', reservedCredits: null, finalCredits: credits };
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
