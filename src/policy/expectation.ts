/**
 * When a task is expected to end, and when its next check is worth a call, from counts of durations. It guarantees that two
 * checks are never closer than the API page advises, and that no gap is long while little is known. The Worker plans with
 * it; no Workflow does, so a better plan needs no `patched`.
 */
import type { Expectation } from '../contract/index.js';
import { SECOND } from './duration.js';
import { COUNTERS, durationQuantile, placeOf, durationAt, totalOf, type DurationCounts } from './durations.js';
import { leastWait, MIN_WAIT_MS } from './schedule.js';

/** Durations from which a plan trusts what it knows. */
export const ENOUGH = 20;
// Before that, no gap is longer than this, or than this share of the age.
const SHORT_GAP_MS = 10 * SECOND;
const SHORT_GAP_SHARE = 0.25;
/**
 * Share of the tasks that may end at any time, whatever was learned: it leaves a check where no task was seen to end. While
 * less is known the share is larger, as if such a task had been seen too.
 */
const ANY_TIME = 0.05;
/** One of 100 tasks takes longer: the plan ends there, and the fixed schedule goes on. */
const LATE = 0.99;
// Times of a check for each counter, 2 % apart.
const PLACES = 8;

/** A time at which a check may be made: the share of tasks that have ended by then, and the integral of that share. */
interface Moment {
  readonly ms: number;
  readonly ended: number;
  readonly area: number;
}

/** The checks of tasks like those that were counted, from any age on. */
export interface Plan {
  /** Tasks that it rests on. */
  readonly known: number;
  /** Age from which the fixed schedule goes on; 0 where nothing was learned. */
  readonly lateMs: number;
  readonly moments: readonly Moment[];
  readonly price: number;
  /** Cost of all that follows a check at each moment, times the share of tasks that still run then. */
  readonly rest: Float64Array;
}

/** @param price - Status calls that it is worth to see the end a second earlier, above 0. */
export function planOf(counts: DurationCounts, price: number): Plan {
  const known = totalOf(counts);
  const lateMs = known < 1 ? null : durationQuantile(counts, LATE);
  if (lateMs === null) return { known, lateMs: 0, moments: [], price, rest: new Float64Array() };
  const anyTime = known < ENOUGH ? 1 / (known + 1) : ANY_TIME;
  const moments = momentsOf(counts.map((count) => ((1 - anyTime) * count) / known + anyTime / COUNTERS));
  return { known, lateMs, moments, price, rest: costsAfter(moments, price) };
}

/**
 * Milliseconds until the next status check of a task, such that expected calls + price × expected lag are least. Null where
 * the fixed schedule counts: nothing was learned, or the task takes longer than nearly all others.
 * @param first - True before the first check of a task that was submitted just now.
 */
export function plannedWait(plan: Plan, ageMs: number, first: boolean): number | null {
  const { known, lateMs, moments } = plan;
  if (ageMs >= lateMs) return null;
  const leastMs = leastWait(first);
  const next = cheapestNext(momentAt(moments, ageMs), leastMs, plan);
  const longest = known < ENOUGH ? Math.max(SHORT_GAP_MS, ageMs * SHORT_GAP_SHARE) : Infinity;
  return Math.max(leastMs, Math.round(Math.min(next.ms - ageMs, longest, lateMs - ageMs)));
}

/** The expectation for a task of this age that has not ended; null where nothing was learned. */
export function expectationOf(
  counts: DurationCounts,
  { price, ageMs, first }: { readonly price: number; readonly ageMs: number; readonly first: boolean },
): Expectation | null {
  const [p50Ms, p90Ms] = [0.5, 0.9].map((share) => durationQuantile(counts, share));
  const runs = Math.round(totalOf(counts));
  if (runs < 1 || p50Ms == null || p90Ms == null) return null;
  const checkInMs = plannedWait(planOf(counts, price), ageMs, first);
  return { runs, p50Ms: Math.round(p50Ms), p90Ms: Math.round(p90Ms), checkInMs };
}

function momentsOf(shares: readonly number[]): readonly Moment[] {
  const start: Moment = { ms: durationAt(0), ended: 0, area: 0 };
  let moment = start;
  const later = shares.flatMap((share, counter) =>
    Array.from({ length: PLACES }, (_, place) => {
      const ms = durationAt(counter + (place + 1) / PLACES);
      const ended = moment.ended + share / PLACES;
      const area = moment.area + ((moment.ended + ended) / 2) * (ms - moment.ms);
      return (moment = { ms, ended, area });
    }),
  );
  return [start, ...later];
}

function momentAt(moments: readonly Moment[], ms: number): Moment {
  const index = Math.floor(placeOf(ms) * PLACES);
  const [before, after] = [moments[index], moments[index + 1]];
  if (before === undefined || after === undefined || ms <= before.ms) return { ms, ended: 0, area: 0 };
  const part = (ms - before.ms) / (after.ms - before.ms);
  const between = (a: number, b: number): number => a + part * (b - a);
  return { ms, ended: between(before.ended, after.ended), area: between(before.area, after.area) };
}

/** The moment of the next check after one that found the task running, and the cost from there on. */
function cheapestNext(
  now: Moment,
  leastMs: number,
  { moments, price, rest }: Pick<Plan, 'moments' | 'price' | 'rest'>,
): { ms: number; cost: number } {
  const running = 1 - now.ended;
  let best = { ms: Infinity, cost: Infinity };
  for (let index = Math.ceil(placeOf(now.ms + leastMs) * PLACES); index < moments.length; index++) {
    const { ms, area } = moments[index] as Moment;
    // Each task that ends until then waits for this check.
    const lagMs = area - now.area - now.ended * (ms - now.ms);
    const cost = running + (price * lagMs) / SECOND;
    if (cost >= best.cost) break;
    const whole = cost + (rest[index] ?? 0);
    if (whole < best.cost) best = { ms, cost: whole };
  }
  return best;
}

/** Backwards from the last moment, because what a check is worth depends on those after it. */
function costsAfter(moments: readonly Moment[], price: number): Float64Array {
  const rest = new Float64Array(moments.length);
  for (let index = moments.length - 2; index >= 0; index--) {
    const { cost } = cheapestNext(moments[index] as Moment, MIN_WAIT_MS, { moments, price, rest });
    rest[index] = Number.isFinite(cost) ? cost : 0;
  }
  return rest;
}
