/**
 * When a task should end, and what its end teaches: both from the durations that the Worker has learned. It fails nothing, because a
 * paid answer is in its hands. `rivyaSubmit` and `rivyaCheck` call it.
 */
import { activityInfo, log } from '@temporalio/activity';
import type { Expectation, TaskSnapshot, TaskTiming } from '../src/contract/index.js';
import { isSettled, SECOND, type TaskLike } from '../src/policy/index.js';
import { durationOf, type DurationSample } from '../src/policy/durations.js';

/** The durations that a Worker has learned. */
export interface Learned {
  note(task: TaskLike, sample: DurationSample): void;
  expect(
    task: TaskLike,
    at: { readonly ageMs: number; readonly first: boolean; readonly saturated: boolean },
  ): Expectation | null;
}

// An Activity that waited longer for its turn found a queue before it.
const TURN_MS = 5 * SECOND;

/** True where this attempt had to wait for its turn. To be asked first of all. */
export function waitedForTurn(): boolean {
  return Date.now() - activityInfo().currentAttemptScheduledTimestampMs > TURN_MS;
}

interface Seen extends Omit<TaskTiming, 'runningAt'> {
  /** When a check last found it running; null at its submit, which teaches nothing. */
  readonly runningAt: number | null;
  readonly saturated: boolean;
}

/** The task with what earlier ones say about its end, as long as it runs; one that a check finds ended is counted. */
export function withExpectation(task: TaskSnapshot, learned: Learned | null | undefined, seen: Seen): TaskSnapshot {
  if (learned == null) return task;
  try {
    return judged(task, learned, seen);
  } catch (error) {
    log.warn('the end of a task could not be planned; it is checked by the fixed schedule', { error });
    return task;
  }
}

function judged(task: TaskSnapshot, learned: Learned, seen: Seen): TaskSnapshot {
  const { model, likeness, bornAt, runningAt, saturated } = seen;
  const like = { model, kind: task.kind, likeness };
  const now = Date.now();
  // Our own clock knows of the task only since its answer was taken.
  const ageMs = Math.max(0, now - bornAt, task.ageMs ?? 0);
  if (!isSettled(task)) {
    const expectation = learned.expect(like, { ageMs, first: runningAt === null, saturated });
    return expectation === null ? task : { ...task, expectation };
  }
  if (runningAt === null) return task;
  const sample = durationOf({ ...task, runningMs: Math.max(0, runningAt - bornAt), endedMs: ageMs });
  if (sample !== null) learned.note(like, sample);
  return task;
}
