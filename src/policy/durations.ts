/**
 * Counters of how long tasks took, and the judge of which durations they count. They guarantee that nonsense of a clock
 * never counts, that newer tasks count more than older ones, and that counters stay small. The Worker keeps some for each
 * model; the schedule of checks is planned from them.
 */
import { DAY, HOUR, SECOND } from './duration.js';

/** Counters of one set of counts. Each reaches 17 % further than the one before it. */
export const COUNTERS = 64;
/** The shortest duration that is told apart from shorter ones: nothing is checked earlier. */
export const SHORTEST_MS = 2 * SECOND;
const LONGEST_MS = 12 * HOUR;
/** Length of one counter, on the scale of logarithms. */
export const WIDTH = Math.log(LONGEST_MS / SHORTEST_MS) / COUNTERS;
/**
 * Tasks that counts stand for at most. With each further one all others fade, so that counts follow a model that changes:
 * after 20 tasks of another duration, 40 % of what counts is theirs. With 100, those after a drift would be seen too late.
 */
export const REMEMBERED = 40;
// An interval is spread as the counts are, and this share of it evenly, so that each counter can begin.
const EVEN = 0.05;

/** Counts of durations, in tasks. The first counter has all that is shorter, the last one all that is longer. */
export type DurationCounts = readonly number[];

export const NO_DURATIONS: DurationCounts = Array.from({ length: COUNTERS }, () => 0);

/** The duration of a task in milliseconds: between two bounds, which are the same where it is known exactly. */
export interface DurationSample {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Number of tasks that counts stand for, from 0 to 40. */
export function totalOf(counts: DurationCounts): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * The counts of one task, given those that it comes to: an interval is spread over its counters as it is likely by those
 * counts.
 */
export function oneDuration(known: DurationCounts, { fromMs, toMs }: DurationSample): DurationCounts {
  const [from, to] = [placeOf(fromMs), placeOf(toMs)];
  const even = (1 + EVEN * totalOf(known)) / COUNTERS;
  const weights = known.map((count, index) => {
    const overlap = Math.min(to, index + 1) - Math.max(from, index);
    return overlap > 0 ? overlap * (count + even) : 0;
  });
  const sum = totalOf(weights);
  if (sum > 0) return weights.map((weight) => weight / sum);
  // The two bounds are the same: one duration.
  const exact = Math.min(COUNTERS - 1, Math.floor(to));
  return known.map((_, index) => Number(index === exact));
}

/** Both counts together: those of two Workers, or of one more task. */
export function mergedDurations(a: DurationCounts, b: DurationCounts): DurationCounts {
  return faded(a.map((count, index) => count + (b[index] ?? 0)));
}

/** Counts with one more task. */
export function withDuration(counts: DurationCounts, sample: DurationSample): DurationCounts {
  return mergedDurations(counts, oneDuration(counts, sample));
}

/** Counts from a file; null for anything else. */
export function readDurations(value: unknown): DurationCounts | null {
  if (!Array.isArray(value) || value.length !== COUNTERS) return null;
  // What this package writes adds up to 40, and a bit more where it was rounded.
  const fits = value.every((count) => typeof count === 'number' && count >= 0 && count <= REMEMBERED + 1);
  return fits ? faded(value as number[]) : null;
}

/** The duration below which this share of the tasks stays, in milliseconds; null where there are none. */
export function durationQuantile(counts: DurationCounts, share: number): number | null {
  const total = totalOf(counts);
  if (total === 0) return null;
  let left = share * total;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && left <= count) return durationAt(index + left / count);
    left -= count;
  }
  return LONGEST_MS;
}

/** Place of a duration on the scale of the counters: 0 is the beginning of the first. */
export function placeOf(ms: number): number {
  return Math.min(COUNTERS, Math.max(0, Math.log(ms / SHORTEST_MS) / WIDTH));
}

/** The duration at a place on the scale of the counters, in milliseconds. */
export function durationAt(place: number): number {
  return SHORTEST_MS * Math.exp(place * WIDTH);
}

/** The same shares, of no more than so many tasks. */
export function atMost(counts: DurationCounts, tasks: number): DurationCounts {
  const total = totalOf(counts);
  return total <= tasks ? counts : counts.map((count) => (count * tasks) / total);
}

function faded(counts: DurationCounts): DurationCounts {
  return atMost(counts, REMEMBERED);
}

/** The end of a task, as a check saw it. Ages are milliseconds since the POST, on a clock of our own. */
export interface EndSeen {
  /** ISO 8601, as the API said; null where it did not. */
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  /** Age of the task at this check, by the API's clocks. */
  readonly ageMs: number | null;
  /** Age at the last check that found the task running; 0 where there was none. */
  readonly runningMs: number;
  /** Age at this check. */
  readonly endedMs: number;
}

// Longer than a reply is under way, and than clocks that are set right are apart.
const SLACK_MS = 5 * SECOND;
// An end so close to the check may be the moment of the check itself: the header `Date` has whole seconds.
const MOMENT_MS = 2 * SECOND;
// The longest deadline.
const TOO_LONG_MS = 30 * DAY;
// A clock that was never set begins at 1970.
const TOO_EARLY = Date.UTC(2020, 0, 1);

/**
 * The duration of a task, from the times that the API gives, as far as they agree with our own clock. Where `updatedAt` is
 * missing, or may be the time of the check that saw the end, it is the interval since the check before. Null where the
 * times contradict each other.
 */
export function durationOf({ createdAt, updatedAt, ageMs, runningMs, endedMs }: EndSeen): DurationSample | null {
  if (!(runningMs >= 0 && runningMs <= endedMs && endedMs <= TOO_LONG_MS)) return null;
  if (ageMs !== null && Math.abs(ageMs - endedMs) > SLACK_MS) return null;
  const seen = { fromMs: runningMs, toMs: endedMs };
  if (createdAt === null || updatedAt === null) return seen;
  const created = Date.parse(createdAt);
  const took = Date.parse(updatedAt) - created;
  const fits = created >= TOO_EARLY && took > 0 && took >= runningMs - SLACK_MS && took <= endedMs + SLACK_MS;
  if (!fits) return null;
  const isMoment = took > (ageMs ?? endedMs) - MOMENT_MS;
  return isMoment ? { fromMs: Math.min(runningMs, took), toMs: took } : { fromMs: took, toMs: took };
}
