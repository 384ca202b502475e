import type { GenerationMemo, TaskSnapshot } from '../contract/index.js';

/** States of a run that has not ended. */
export const GOES_ON: ReadonlySet<string> = new Set(['RUNNING', 'PAUSED']);

/** A run of a generation, as far as its memo and its history tell. */
export interface PastGeneration {
  readonly runId: string;
  /** In the words of the Service: `RUNNING`, `COMPLETED`, … */
  readonly status: string;
  /** Null where it ended before it wrote one. */
  readonly memo: GenerationMemo | null;
  /** Of a run that was cut off: what it learned last may not have come to its memo. */
  readonly submit: LastSubmit | null;
}

/** The last submit in the history of a run. */
export interface LastSubmit {
  readonly idempotencyKey: string;
  /** The first key of its attempt. */
  readonly firstKey: string;
  /** The task that it got, or null. */
  readonly task: TaskSnapshot | null;
  /** False where the run ended before it could read an answer, so that a task may exist. */
  readonly answered: boolean;
}

/** What a generation left open at Rivya, and the run that knows of it. */
export type Open =
  | {
      readonly kind: 'task';
      readonly runId: string;
      readonly taskId: string;
      readonly model: string;
      /** The API's last word on it. */
      readonly status: string;
      readonly reservedCredits: number | null;
    }
  | {
      readonly kind: 'unanswered';
      readonly runId: string;
      /** The first key of its attempt. */
      readonly firstKey: string | null;
      readonly idempotencyKey: string | null;
    };

/** What one run knows of one attempt. */
interface Fact {
  /** The first key of the attempt; null for a task that was taken up by its ID. */
  readonly firstKey: string | null;
  readonly open: Open;
  /** True for a task that has failed or was delivered. */
  readonly settled: boolean;
}

/**
 * What the runs of one take of a Workflow ID left open: paid tasks that nobody waits for, and submits that nobody
 * answered. Each task is judged by itself, by all that any run knows of it.
 *
 * @param runs - Newest first.
 */
export function openOf(runs: readonly PastGeneration[]): Open[] {
  // It waits for its task, or asks for it under the same key.
  if (runs.some(({ status }) => GOES_ON.has(status))) return [];
  const delivered = runs.some(({ status }) => status === 'COMPLETED');
  const facts = runs.flatMap(factsOf);
  const answered = new Set(
    facts.flatMap(({ open, firstKey }) => (open.kind === 'task' && firstKey !== null ? [firstKey] : [])),
  );
  const settled = new Set(facts.flatMap((fact) => (fact.settled ? [nameOf(fact)] : [])));
  const found = new Map<string | null, Open>();
  for (const fact of facts) {
    const { open, firstKey } = fact;
    const left = open.kind === 'task' ? !settled.has(nameOf(fact)) : !delivered && !answered.has(firstKey ?? '');
    if (left && !found.has(nameOf(fact))) found.set(nameOf(fact), open);
  }
  return [...found.values()];
}

function nameOf({ open }: Fact): string | null {
  return open.kind === 'task' ? open.taskId : open.firstKey;
}

/** What a run knows, its history before its memo: that is never newer. */
function factsOf({ runId, status: end, memo, submit }: PastGeneration): Fact[] {
  const facts: Fact[] = [];
  const addTask = (firstKey: string | null, task: KnownTask, settled = false): void => {
    facts.push({ firstKey, open: openTask(runId, task), settled: settled || task.status === 'failed' });
  };
  const addUnanswered = (firstKey: string | null, idempotencyKey: string | null): void => {
    facts.push({ firstKey, open: { kind: 'unanswered', runId, idempotencyKey, firstKey }, settled: false });
  };
  if (submit !== null) {
    const { task, idempotencyKey, firstKey, answered } = submit;
    if (task !== null) addTask(firstKey, { ...task, model: task.model ?? memo?.model ?? 'unknown' });
    else if (!answered) addUnanswered(firstKey, idempotencyKey);
  }
  if (memo === null) return facts;
  const { model, taskId, status, idempotencyKey } = memo;
  // A run of an earlier version did not write every field.
  const firstKey = memo.firstKey ?? idempotencyKey;
  // Another attempt begins when the task of the last one has failed.
  const failed = submit !== null && firstKey !== null && submit.firstKey !== firstKey;
  // Without a status the task is only what the input or a person named: the API never said that it exists.
  if (taskId !== null && status !== null) addTask(firstKey, { ...memo, taskId, status }, failed || end === 'COMPLETED');
  else if ((memo.unanswered ?? null) !== null && !failed) addUnanswered(firstKey, idempotencyKey);
  for (const task of memo.earlier ?? []) {
    addTask(task.firstKey ?? task.idempotencyKey, {
      model,
      taskId: task.taskId,
      status: 'failed',
      reservedCredits: null,
    });
  }
  return facts;
}

type KnownTask = Pick<GenerationMemo, 'model' | 'reservedCredits'> & {
  readonly taskId: string;
  readonly status: string;
};

export function openTask(runId: string, { taskId, model, status, reservedCredits }: KnownTask): Open {
  return { kind: 'task', runId, taskId, model, status, reservedCredits };
}
