// The real schedule of this package, with counts learned from earlier jobs. Times are seconds.
import { NO_DURATIONS, withDuration } from '../dist/src/policy/durations.js';
import { planOf, plannedWait } from '../dist/src/policy/expectation.js';
import { nextWait } from '../dist/src/policy/schedule.js';
import { costOf } from './waiting-limit.mjs';

const SECOND = 1_000;

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
export function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Counts with so many jobs more. */
export function learn(known, distribution, jobs, random) {
  let counts = known;
  for (let job = 0; job < jobs; job++) {
    const ms = SECOND * distribution.sample(random);
    counts = withDuration(counts, { fromMs: ms, toMs: ms });
  }
  return counts;
}

/** The same where the API tells no end: each job lies between the check that saw it end and the one before. */
export function learnBetweenChecks(is, jobs, { price, kind, random }) {
  let counts = NO_DURATIONS;
  for (let job = 0; job < jobs; job++) {
    const next = schedule({ counts, price, kind, random });
    let [from, to] = [0, 0];
    for (const end = is.sample(random); to < end;) [from, to] = [to, to + next(to, to === 0)];
    counts = withDuration(counts, { fromMs: from * SECOND, toMs: to * SECOND });
  }
  return counts;
}

/** The schedule with these counts, as `costOf` wants it. */
export function schedule({ counts = NO_DURATIONS, price, kind, random }) {
  const plan = planOf(counts, price);
  return (age, first) => {
    const ageMs = age * SECOND;
    const plannedMs = plannedWait(plan, ageMs, first);
    return nextWait({ ageMs, kind, first, plannedMs, random: random() }) / SECOND;
  };
}

/** Mean cost, calls and lag of what so many rounds give, each with numbers of its own. */
export function mean(rounds, work) {
  const results = Array.from({ length: rounds }, (_, round) => work(numbers(1 + round)));
  const of = (field) => results.reduce((sum, result) => sum + result[field], 0) / rounds;
  return { cost: of('cost'), calls: of('calls'), lag: of('lag') };
}

/** The mean over rounds that each learn anew from so many jobs. */
export function learned({ from, grid, jobs, price, kind, rounds }) {
  return mean(rounds, (random) => {
    const counts = learn(NO_DURATIONS, from, jobs, random);
    return costOf(grid, schedule({ counts, price, kind, random }), price);
  });
}
