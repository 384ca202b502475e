import type { WorkflowExecutionInfo } from '@temporalio/client';
import { CUT_OFF, rawRuns, readRun, startInput, type PastRun } from '../../activities/index.js';
import { memoOf } from '../client.js';
import {
  WORKFLOW_TYPE,
  type ChatAnswer,
  type GenerateMediaInput,
  type GenerationMemo,
  type TaskSnapshot,
} from '../contract/index.js';
import type { ChatReceipt, KeyReceipts, Receipts, TaskReceipt } from '../storage/index.js';
import type { KeyRecord, PaidTask } from './charges.js';
import type { Temporal } from './context.js';
import { infoOf, readable } from './runs.js';

/** What the receipts of a store say. */
export async function recordsOfReceipts(receipts: Receipts): Promise<KeyRecord[]> {
  const records: KeyRecord[] = [];
  for await (const key of receipts.all()) records.push(...ofReceipts(key));
  for await (const { submit, answers } of receipts.chats.all()) {
    records.push(...ofReceipts({ submit, tasks: answers.map(asTask) }));
  }
  return records;
}

/** A record for each key of the attempt: a stored refusal moves it to another one. */
function ofReceipts({ submit, tasks }: KeyReceipts): KeyRecord[] {
  const heads = new Map([...(submit === null ? [] : [submit]), ...tasks].map((head) => [head.idempotencyKey, head]));
  return [...heads.values()].map(({ idempotencyKey, ...head }): KeyRecord => {
    const { namespace, workflowId, step, take, attempt, model, labels } = head;
    const own = submit?.idempotencyKey === idempotencyKey ? submit : null;
    const unansweredSince = own?.unanswered == null ? null : iso(own.unanswered.firstPostedAt);
    const made = tasks.filter((task) => task.idempotencyKey === idempotencyKey).map(ofTaskReceipt);
    const risk = { unansweredSince, riskReason: own?.riskReason ?? null };
    return { namespace, workflowId, step, take, attempt, model, labels, idempotencyKey, ...risk, tasks: made };
  });
}

function asTask({ answer, ...head }: ChatReceipt): TaskReceipt {
  return { ...head, ...ofAnswer(answer, head.idempotencyKey) };
}

type Seen = Omit<PaidTask, 'createdAt'> & Pick<TaskSnapshot, 'createdAt'>;

/** A chat has no task; its answer stands in its place. */
export function ofAnswer(answer: ChatAnswer, idempotencyKey: string): Seen & { readonly simulated: boolean } {
  const { id, messageId, reservedCredits, finalCredits, createdAt, simulated } = answer;
  const taskId = id ?? messageId ?? `answer under ${idempotencyKey}`;
  return { taskId, status: 'succeeded', reservedCredits, finalCredits, createdAt, simulated };
}

function ofTaskReceipt(receipt: TaskReceipt): PaidTask {
  return paidTask(receipt, receipt.at);
}

/** @param knownSince - ISO 8601, for a task whose own time is not known. */
export function paidTask(task: Seen, knownSince: string): PaidTask {
  const { taskId, status, reservedCredits, finalCredits, createdAt, simulated } = task;
  const made = new Date(createdAt ?? Number.NaN);
  // One way to write a time, so that they sort.
  const written = Number.isNaN(made.getTime()) ? knownSince : made.toISOString();
  return { taskId, status, reservedCredits, finalCredits, createdAt: written, simulated };
}

/**
 * What the runs of generations say in their memos, and of those that were cut off also in their histories.
 * @returns `oldest`: when the first of them began, or null. `unread`: how many could not be read.
 */
export async function recordsOfTemporal({
  client,
  namespace,
}: Pick<Temporal, 'client' | 'namespace'>): Promise<{ records: KeyRecord[]; oldest: string | null; unread: number }> {
  const records: KeyRecord[] = [];
  let oldest: string | null = null;
  let unread = 0;
  for await (const raw of rawRuns(client, `WorkflowType = '${WORKFLOW_TYPE}'`)) {
    const run = await readable(() => infoOf(client, raw));
    if (run == null) {
      unread += 1;
      continue;
    }
    const { workflowId } = run;
    const startedAt = run.startTime.toISOString();
    if (oldest === null || startedAt < oldest) oldest = startedAt;
    const memo = memoOf(run);
    if (memo !== null) records.push(...ofMemo(memo, run, namespace));
    if (!CUT_OFF.has(run.status.name)) continue;
    // What it learned last may not have come to its memo.
    const past = await readable(async () => {
      const { submits, checked } = await readRun(client, run);
      // Before there were receipts, a submit did not say whose it was: of the last one the memo or the input tells.
      const [last] = submits.slice(-1);
      const facts = memo ?? ((await startInput(client, run)) as Partial<GenerateMediaInput> | null) ?? {};
      const known = submits.filter((submit) => submit === last || submit.identity !== null);
      return ofSubmits({ submits: known, checked }, { namespace, workflowId, startedAt }, wholeOf(facts));
    });
    if (past === null) unread += 1;
    records.push(...(past ?? []));
  }
  return { records, oldest, unread };
}

type Whole = Pick<KeyRecord, 'step' | 'take' | 'attempt' | 'model' | 'labels'>;

/** Whose a submit is that does not say it itself. A run of an earlier version did not write every field. */
export function wholeOf({
  take,
  attempt,
  model,
  labels,
}: Partial<Pick<GenerationMemo, 'take' | 'attempt' | 'model' | 'labels'>>): Whole {
  return { step: null, take: take ?? 1, attempt: attempt ?? 1, model: model ?? '', labels: labels ?? {} };
}

/** What the history of a run tells of each submit. */
export function ofSubmits(
  { submits, checked }: Pick<PastRun, 'submits' | 'checked'>,
  { startedAt, ...run }: { namespace: string; workflowId: string; startedAt: string },
  unnamed: Whole,
): KeyRecord[] {
  return submits.map(({ identity, idempotencyKey, result, open, riskReason }): KeyRecord => {
    const { step, take, attempt, model, labels } = identity ?? unnamed;
    const submitted = result?.answer === undefined ? result?.task : ofAnswer(result.answer, idempotencyKey);
    const last = submitted && (checked.get(submitted.taskId) ?? submitted);
    const tasks = last === undefined ? [] : [paidTask(last, startedAt)];
    const unansweredSince = open === null ? null : iso(open.firstPostedAt);
    return { ...run, step, take, attempt, model, labels, idempotencyKey, tasks, unansweredSince, riskReason };
  });
}

function ofMemo(memo: GenerationMemo, run: WorkflowExecutionInfo, namespace: string): KeyRecord[] {
  const identity = { namespace, workflowId: run.workflowId, ...wholeOf(memo) };
  const { idempotencyKey, taskId, status, reservedCredits, finalCredits } = memo;
  const createdAt = run.startTime.toISOString();
  const nothing = { tasks: [], unansweredSince: null, riskReason: null };
  const earlier = (memo.earlier ?? []).map((task, index): KeyRecord => {
    // The memo does not keep the credits of attempts that failed.
    const failed = { taskId: task.taskId, status: 'failed', reservedCredits: null, finalCredits: null };
    const tasks = [{ ...failed, createdAt, simulated: null }];
    return { ...identity, ...nothing, attempt: index + 1, idempotencyKey: task.idempotencyKey, tasks };
  });
  // Without a status the task is only what the input named.
  const seen = taskId !== null && status !== null;
  const tasks = seen ? [{ taskId, status, reservedCredits, finalCredits, createdAt, simulated: null }] : [];
  const unansweredSince = memo.unanswered == null ? null : iso(memo.unanswered.firstPostedAt);
  return [...earlier, { ...identity, idempotencyKey, tasks, unansweredSince, riskReason: memo.riskReason ?? null }];
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
