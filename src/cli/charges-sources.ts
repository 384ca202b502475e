import type { Client } from '@temporalio/client';
import { CHAT_WORKFLOW_TYPE, isOpen, UNKNOWN_FINGERPRINT, type GenerationMemo } from '../contract/index.js';
import type { ChatReceipt, KeyReceipts, Receipts, TaskReceipt } from '../storage/index.js';
import type { KeyRecord, PaidTask } from './charges.js';
import { PAID_RUNS, paidRuns, type PaidRun } from './runs.js';

/** What the receipts of a store say. */
export async function recordsOfReceipts(receipts: Receipts): Promise<KeyRecord[]> {
  const records: KeyRecord[] = [];
  for await (const receipt of receipts.all()) records.push(...ofReceipts(receipt));
  for await (const { submit, answers } of receipts.chats.all()) {
    records.push(...ofReceipts({ submit, tasks: answers.map(asTask) }));
  }
  return records;
}

/** A record for each receipt: of the last submit, and of each task. */
function ofReceipts({ submit, tasks }: KeyReceipts): KeyRecord[] {
  const made = tasks.map((receipt): KeyRecord => ({ ...receipt, ...NOTHING, task: ofTaskReceipt(receipt) }));
  if (submit === null) return made;
  const unansweredSince = submit.unanswered === null ? null : iso(submit.unanswered.firstPostedAt);
  return [...made, { ...submit, ...NOTHING, unansweredSince, riskReason: submit.riskReason }];
}

const NOTHING = { task: null, unansweredSince: null, riskReason: null } as const;

/** A chat has no task; its answer stands in its place. */
function asTask({ answer, ...head }: ChatReceipt): TaskReceipt {
  const taskId = answer.id ?? answer.messageId ?? answerUnder(head.idempotencyKey);
  return { ...answer, ...head, taskId, status: 'succeeded' };
}

function answerUnder(key: string | null): string {
  return `answer under ${key}`;
}

function ofTaskReceipt({
  taskId,
  status,
  reservedCredits,
  finalCredits,
  createdAt,
  simulated,
  at,
}: TaskReceipt): PaidTask {
  const made = new Date(createdAt ?? Number.NaN);
  // One way to write a time, so that they sort.
  const written = Number.isNaN(made.getTime()) ? at : made.toISOString();
  return { taskId, status, reservedCredits, finalCredits, createdAt: written, simulated };
}

/** What Temporal says. */
export interface TemporalRecords {
  readonly records: readonly KeyRecord[];
  /** When the first run began, or null. */
  readonly oldest: string | null;
  /** Workflow IDs of runs whose memo could not be decoded. */
  readonly unread: readonly string[];
}

/** What the runs of generations and chats say in their memos. */
export async function recordsOfTemporal(client: Client): Promise<TemporalRecords> {
  const { namespace } = client.options;
  const runs = new Map<string, PaidRun[]>();
  const unread = new Set<string>();
  let oldest: string | null = null;
  for await (const run of paidRuns(client, PAID_RUNS)) {
    const { workflowId, startTime, paid } = run;
    if (paid === undefined) unread.add(workflowId);
    runs.set(workflowId, [...(runs.get(workflowId) ?? []), run]);
    const startedAt = startTime.toISOString();
    if (oldest === null || startedAt < oldest) oldest = startedAt;
  }
  const records = [...runs.values()].flatMap((own) => ofRuns(own, namespace));
  return { records, oldest, unread: [...unread] };
}

/** What all runs of one Workflow ID say. What has no answer is judged by the newest one that had looked at those before it. */
export function ofRuns(runs: readonly PaidRun[], namespace: string): KeyRecord[] {
  const records: KeyRecord[] = [];
  let looked = false;
  for (const run of runs.toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime())) {
    if (run.paid == null) continue;
    for (const record of ofMemo(run.paid, run, namespace)) {
      records.push(looked ? { ...record, unansweredSince: null } : record);
    }
    const { lookedBy, baseKey, status } = run.paid;
    // A task that a person has named is the answer as well.
    looked ||= lookedBy === run.runId || (baseKey === null && status !== null);
  }
  return records;
}

function ofMemo(memo: GenerationMemo, run: PaidRun, namespace: string): KeyRecord[] {
  const { model, labels, keyNumber, idempotencyKey, mayPostSince, riskReason } = memo;
  const attempt = memo.baseKey === null ? null : memo.attempt;
  const head = { namespace, workflowId: run.workflowId, model, labels };
  const known = { createdAt: run.startTime.toISOString(), simulated: null };
  // Of attempts that failed the memo keeps neither the credits nor the keys.
  const failed = memo.earlier.map((taskId, index): KeyRecord => {
    const task = { ...known, taskId, status: 'failed', reservedCredits: null, finalCredits: null };
    return { ...head, ...NOTHING, keyNumber: 0, attempt: index + 1, idempotencyKey: null, task };
  });
  // A submit that waits for its turn is no alarm.
  const queued = isOpen(run.status.name) && mayPostSince?.fingerprint === UNKNOWN_FINGERPRINT;
  const unansweredSince = mayPostSince === null || queued ? null : iso(mayPostSince.firstPostedAt);
  const paid = paidFor(memo, run);
  const task = paid && { ...known, ...paid };
  return [...failed, { ...head, keyNumber, attempt, idempotencyKey, task, unansweredSince, riskReason }];
}

function paidFor(memo: GenerationMemo, { type }: PaidRun): Omit<PaidTask, 'createdAt' | 'simulated'> | null {
  const { phase, taskId, status, idempotencyKey, reservedCredits, finalCredits } = memo;
  const credits = { reservedCredits, finalCredits };
  if (type === CHAT_WORKFLOW_TYPE) {
    return phase === 'succeeded' ? { taskId: answerUnder(idempotencyKey), status: 'succeeded', ...credits } : null;
  }
  // Without a status the task is only what the input named.
  return taskId === null || status === null ? null : { taskId, status, ...credits };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
