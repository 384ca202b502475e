import type { WorkflowExecutionInfo } from '@temporalio/client';
import { CUT_OFF, readRun, startInput } from '../../activities/index.js';
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

/** What the runs of generations say in their memos, and when the oldest of them began. */
export async function recordsOfTemporal({
  client,
  namespace,
}: Pick<Temporal, 'client' | 'namespace'>): Promise<{ records: KeyRecord[]; oldest: string | null }> {
  const records: KeyRecord[] = [];
  let oldest: string | null = null;
  for await (const run of client.workflow.list({ query: `WorkflowType = '${WORKFLOW_TYPE}'` })) {
    const startedAt = run.startTime.toISOString();
    if (oldest === null || startedAt < oldest) oldest = startedAt;
    const memo = memoOf(run);
    if (memo !== null) records.push(...ofMemo(memo, run, namespace));
    if (!CUT_OFF.has(run.status.name)) continue;
    const { submits } = await readRun(client, run);
    const last = submits.at(-1);
    const fence = last?.open ?? null;
    const task = last?.result?.task ?? null;
    if (last === undefined || (fence === null && task === null)) continue;
    // It has a memo only if it came to an answer before.
    const facts = memo ?? ((await startInput(client, run)) as Partial<GenerateMediaInput>);
    const identity = { ...identityOf(facts, run, namespace), idempotencyKey: last.idempotencyKey };
    const tasks = task === null ? [] : [{ ...task, createdAt: startedAt, simulated: task.simulated }];
    records.push({
      ...identity,
      tasks,
      unansweredSince: fence === null ? null : iso(fence.firstPostedAt),
      riskReason: null,
    });
  }
  return { records, oldest };
}

type Identity = Pick<KeyRecord, 'namespace' | 'workflowId' | 'step' | 'take' | 'attempt' | 'model' | 'labels'>;

function identityOf(
  // A run of an earlier version did not write every field.
  { take, attempt, model = '', labels }: Partial<Pick<GenerationMemo, 'take' | 'attempt' | 'model' | 'labels'>>,
  { workflowId }: WorkflowExecutionInfo,
  namespace: string,
): Identity {
  return { namespace, workflowId, step: null, take: take ?? 1, attempt: attempt ?? 1, model, labels: labels ?? {} };
}

function ofMemo(memo: GenerationMemo, run: WorkflowExecutionInfo, namespace: string): KeyRecord[] {
  const identity = identityOf(memo, run, namespace);
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
