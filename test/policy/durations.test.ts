import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  durationOf,
  durationQuantile,
  mergedDurations,
  NO_DURATIONS,
  readDurations,
} from '../../src/policy/durations.js';
import { totalOf, withDuration, type DurationCounts, type EndSeen } from '../../src/policy/durations.js';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const START = Date.UTC(2026, 10, 29);
const iso = (ms: number): string => new Date(ms).toISOString();

/** Counts of tasks that took exactly so many seconds. */
const countsOf = (...seconds: readonly number[]): DurationCounts =>
  seconds.reduce((counts, s) => withDuration(counts, { fromMs: s * SECOND, toMs: s * SECOND }), NO_DURATIONS);

const seconds = fc.double({ min: 0.1, max: 100_000, noNaN: true });
const counts = fc.array(seconds, { maxLength: 300 }).map((all) => countsOf(...all));

describe('counts of durations', () => {
  test('a quantile is the duration itself, to 17 %, from 2 s to 12 h', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 2, max: 12 * 3_600, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (s, q) => {
          const found = durationQuantile(countsOf(s, s, s), q)! / SECOND;
          expect(found / s).toBeGreaterThan(1 / 1.17);
          expect(found / s).toBeLessThan(1.17);
        },
      ),
    );
  });

  test('each task counts once, an interval too, and counts stand for 40 tasks at most', () => {
    fc.assert(
      fc.property(counts, seconds, seconds, (before, a, b) => {
        const after = withDuration(before, { fromMs: Math.min(a, b) * SECOND, toMs: Math.max(a, b) * SECOND });
        expect(totalOf(after)).toBeCloseTo(Math.min(40, totalOf(before) + 1), 6);
        expect(after.every((count) => count >= 0)).toBe(true);
      }),
    );
  });

  test('of a model that got faster, the new duration is the usual one after some dozens of tasks', () => {
    const slow = countsOf(...Array.from({ length: 1_000 }, () => 300));
    const faster = (jobs: number): DurationCounts =>
      Array.from({ length: jobs }).reduce<DurationCounts>(
        (sum) => withDuration(sum, { fromMs: 60 * SECOND, toMs: 60 * SECOND }),
        slow,
      );
    expect(durationQuantile(faster(10), 0.5)! / SECOND).toBeGreaterThan(250);
    expect(durationQuantile(faster(40), 0.5)! / SECOND).toBeLessThan(71);
  });

  test('an interval follows what is known: among tasks of 60 s it is one of 60 s', () => {
    const known = countsOf(...Array.from({ length: 30 }, () => 60));
    const after = withDuration(known, { fromMs: 10 * SECOND, toMs: 600 * SECOND });
    const most = known.findIndex((count) => count > 0);
    expect(after[most]! - known[most]!).toBeGreaterThan(0.9);
  });

  test('merging adds, in any order', () => {
    fc.assert(
      fc.property(counts, counts, (a, b) => {
        const merged = mergedDurations(a, b);
        expect(merged).toEqual(mergedDurations(b, a));
        expect(totalOf(merged)).toBeCloseTo(Math.min(40, totalOf(a) + totalOf(b)), 6);
      }),
    );
  });

  test('a file gives back what was written, and nothing else is read', () => {
    fc.assert(
      fc.property(counts, (written) => {
        const read = readDurations(JSON.parse(JSON.stringify(written)))!;
        expect(totalOf(read)).toBeCloseTo(totalOf(written), 6);
      }),
    );
    const foreign = [
      null,
      7,
      {},
      [],
      [1, 2],
      [...NO_DURATIONS, 0],
      NO_DURATIONS.map(() => -1),
      NO_DURATIONS.map(String),
    ];
    const huge = NO_DURATIONS.map((_, index) => (index === 0 ? 1e307 : 0));
    for (const value of [...foreign, huge, NO_DURATIONS.map(() => NaN), NO_DURATIONS.map(() => Infinity)]) {
      expect(readDurations(value), JSON.stringify(value)).toBeNull();
    }
  });
});

describe('nonsense of a clock never counts', () => {
  /** A task of 40 s: last seen running at 35 s, seen to have ended at 45 s. */
  const SEEN: EndSeen = {
    createdAt: iso(START),
    updatedAt: iso(START + 40 * SECOND),
    ageMs: 45 * SECOND,
    runningMs: 35 * SECOND,
    endedMs: 45 * SECOND,
  };

  test("the API's own times give the duration", () => {
    expect(durationOf(SEEN)).toEqual({ fromMs: 40 * SECOND, toMs: 40 * SECOND });
  });

  test.each([
    ['an end before the start', { updatedAt: iso(START - 40 * SECOND) }],
    ['an end at the start', { updatedAt: iso(START) }],
    ['a clock that was never set', { createdAt: iso(0), updatedAt: iso(40 * SECOND) }],
    ['a start in 1970', { createdAt: iso(0) }],
    ['an end in 1970', { updatedAt: iso(0) }],
    ['words in place of a time', { createdAt: 'yesterday' }],
    ['an end while the task was seen running', { updatedAt: iso(START + 20 * SECOND) }],
    ['an end after it was seen', { updatedAt: iso(START + 60 * SECOND) }],
    ['an offset between the clocks behind task and reply', { ageMs: 45 * SECOND + HOUR }],
    ['a task that is younger than nothing', { ageMs: -HOUR }],
    ['a check before the last one', { runningMs: 50 * SECOND }],
    ['no age of our own', { endedMs: NaN }],
    ['an age of years', { endedMs: 400 * 24 * HOUR, ageMs: null }],
  ])('%s', (_, change) => {
    expect(durationOf({ ...SEEN, ...change })).toBeNull();
  });

  test('without times of the API, it is the interval between two checks', () => {
    expect(durationOf({ ...SEEN, updatedAt: null })).toEqual({ fromMs: 35 * SECOND, toMs: 45 * SECOND });
  });

  test('an end that may be the moment of the check is an interval too, as after hours without a Worker', () => {
    const late = { ageMs: 5 * HOUR, endedMs: 5 * HOUR, updatedAt: iso(START + 5 * HOUR - SECOND) };
    expect(durationOf({ ...SEEN, ...late })).toEqual({ fromMs: 35 * SECOND, toMs: 5 * HOUR - SECOND });
    const known = { ...late, updatedAt: iso(START + 40 * SECOND) };
    expect(durationOf({ ...SEEN, ...known })).toEqual({ fromMs: 40 * SECOND, toMs: 40 * SECOND });
  });

  test('what counts was possible: it ended after it was last seen running, and before it was seen to have ended', () => {
    const time = fc.oneof(fc.constant(null), fc.integer({ min: -1e13, max: 1e13 }).map(iso), fc.string());
    const ms = fc.oneof(fc.integer({ min: -HOUR, max: 50 * 24 * HOUR }), fc.constant(NaN));
    fc.assert(
      fc.property(time, time, fc.option(ms), ms, ms, (createdAt, updatedAt, ageMs, runningMs, endedMs) => {
        const sample = durationOf({ createdAt, updatedAt, ageMs, runningMs, endedMs });
        if (sample === null) return;
        expect(sample.fromMs).toBeGreaterThanOrEqual(Math.max(0, runningMs - 5 * SECOND));
        expect(sample.toMs).toBeLessThanOrEqual(endedMs + 5 * SECOND);
        expect(sample.fromMs).toBeLessThanOrEqual(sample.toMs);
      }),
    );
  });
});
