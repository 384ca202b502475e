/**
 * When a task should end, and what its end teaches: both from the durations that the Worker has learned. It guarantees nothing
 * about a single task, and fails nothing. `rivyaSubmit` and `rivyaCheck` call it.
 */
import { activityInfo } from '@temporalio/activity';
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

/** The task with what earlier ones say about its end, as long as it runs; one that has ended is counted. */
export function withExpectation(
  task: TaskSnapshot,
  learned: Learned | null | undefined,
  { model, likeness, postedAt, runningAt }: TaskTiming,
  first: boolean,
): TaskSnapshot {
  if (learned == null) return task;
  const like = { model, kind: task.kind, likeness };
  const now = Date.now();
  const ageMs = Math.max(0, now - postedAt);
  if (isSettled(task)) {
    const sample = durationOf({ ...task, runningMs: Math.max(0, runningAt - postedAt), endedMs: ageMs });
    if (sample !== null) learned.note(like, sample);
    return task;
  }
  const saturated = now - activityInfo().currentAttemptScheduledTimestampMs > TURN_MS;
  const expectation = learned.expect(like, { ageMs, first, saturated });
  return expectation === null ? task : { ...task, expectation };
}
