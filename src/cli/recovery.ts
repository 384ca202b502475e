import type { GenerationMemo, TaskSnapshot } from '../contract/index.js';

/** A run that ended without a result, as far as its memo tells. */
export interface EndedRun {
  readonly runId: string;
  /** Null where it ended before it wrote one. */
  readonly memo: GenerationMemo | null;
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

/** What a Workflow ID left open at Rivya, and the run that knows of it. */
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

/**
 * What the runs of one Workflow ID left open: a paid task that nobody waits for, or a submit that nobody answered. The
 * newest run that tells anything decides; null when its task has failed, or when nothing was ever paid.
 *
 * @param runs - Newest first.
 * @param submit - Of the newest run: what it learned last may not have come to its memo.
 */
export function openOf(runs: readonly EndedRun[], submit: LastSubmit | null): Open | null {
  const answered = new Set(runs.flatMap(({ memo }) => (memo === null ? [] : keysWithTask(memo))));
  const [newest] = runs;
  if (newest !== undefined && submit !== null && !answered.has(submit.firstKey)) {
    const { runId } = newest;
    const { task, idempotencyKey, firstKey } = submit;
    if (task !== null) return openTask(runId, { ...task, model: task.model ?? newest.memo?.model ?? 'unknown' });
    if (!submit.answered) return { kind: 'unanswered', runId, idempotencyKey, firstKey };
  }
  for (const { runId, memo } of runs) {
    if (memo === null) continue;
    const { taskId, status, idempotencyKey } = memo;
    // A run of an earlier version did not write every field.
    const unanswered = memo.unanswered ?? null;
    const firstKey = memo.firstKey ?? idempotencyKey;
    // A later run may have got the task of this very attempt.
    if (unanswered !== null && !answered.has(firstKey ?? ''))
      return { kind: 'unanswered', runId, idempotencyKey, firstKey };
    // Without a status the task is only what the input named: the API never said that it exists.
    if (taskId !== null && status !== null) return openTask(runId, { ...memo, taskId, status });
  }
  return null;
}

/** A task as what is open, or null where it has failed and nothing is left of it. */
export function openTask(
  runId: string,
  task: Pick<GenerationMemo, 'model' | 'reservedCredits'> & { readonly taskId: string; readonly status: string },
): Open | null {
  const { taskId, model, status, reservedCredits } = task;
  return status === 'failed' ? null : { kind: 'task', runId, taskId, model, status, reservedCredits };
}

/** First keys of the attempts that have a task. */
function keysWithTask({ taskId, status, idempotencyKey, firstKey, earlier }: GenerationMemo): string[] {
  // A run of an earlier version did not write every field.
  const key = firstKey ?? idempotencyKey;
  const current = taskId !== null && status !== null && key !== null ? [key] : [];
  return [...current, ...(earlier ?? []).map((task) => task.firstKey ?? task.idempotencyKey)];
}
