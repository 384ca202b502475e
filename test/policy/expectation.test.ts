import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_DURATIONS, withDuration, type DurationCounts } from '../../src/policy/durations.js';
import { expectationOf, planOf, plannedWait } from '../../src/policy/expectation.js';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const countsOf = (...seconds: readonly number[]): DurationCounts =>
  seconds.reduce((counts, s) => withDuration(counts, { fromMs: s * SECOND, toMs: s * SECOND }), NO_DURATIONS);
const around = (seconds: number, jobs: number): DurationCounts =>
  countsOf(...Array.from({ length: jobs }, (_, job) => seconds * (0.8 + 0.4 * (((job * 7) % 10) / 9))));

const counts = fc
  .array(fc.double({ min: 0.1, max: 50_000, noNaN: true }), { maxLength: 60 })
  .map((all) => countsOf(...all));
const ageMs = fc.integer({ min: 0, max: 60 * 24 * HOUR });
const price = fc.double({ min: 0.01, max: 100, noNaN: true });

const waitFor = (known: DurationCounts, age: number, worth: number, first = false): number | null =>
  plannedWait(planOf(known, worth), age, first);

describe('a plan of checks', () => {
  test('has no check before 2 s and no two closer than 5 s, whatever was learned', () => {
    fc.assert(
      fc.property(counts, ageMs, price, fc.boolean(), (known, age, worth, first) => {
        const wait = waitFor(known, age, worth, first) ?? Infinity;
        expect(wait).toBeGreaterThanOrEqual(first ? 2 * SECOND : 5 * SECOND);
      }),
    );
  });

  test('has no gap longer than 10 s or a quarter of the age while fewer than 20 durations are known', () => {
    const few = fc.array(fc.double({ min: 0.1, max: 50_000, noNaN: true }), { maxLength: 19 });
    fc.assert(
      fc.property(few, ageMs, price, (known, age, worth) => {
        const wait = waitFor(countsOf(...known), age, worth) ?? 0;
        expect(wait).toBeLessThanOrEqual(Math.max(10 * SECOND, age / 4 + 1));
      }),
    );
  });

  test('leaves the fixed schedule where nothing was learned, and for a task that takes longer than 99 of 100', () => {
    expect(waitFor(NO_DURATIONS, 0, 1, true)).toBeNull();
    expect(waitFor(around(60, 40), 90 * SECOND, 1)).toBeNull();
  });

  test('asks first when the end begins to be likely, then often', () => {
    const known = around(300, 40);
    const first = waitFor(known, 0, 0.2, true);
    expect(first).toBeGreaterThan(150 * SECOND);
    expect(first).toBeLessThan(280 * SECOND);
    expect(waitFor(known, 300 * SECOND, 1)).toBeLessThan(20 * SECOND);
  });

  test('asks less often where a second of lag is worth less', () => {
    const wait = (worth: number): number => waitFor(around(300, 40), 280 * SECOND, worth)!;
    expect(wait(0.1)).toBeGreaterThan(1.5 * wait(1));
    expect(wait(1)).toBeGreaterThan(wait(10));
  });

  test('between two peaks it waits for the second', () => {
    const known = countsOf(...Array.from({ length: 40 }, (_, job) => (job % 2 === 0 ? 20 : 200)));
    expect(waitFor(known, 25 * SECOND, 0.5)).toBeGreaterThan(40 * SECOND);
  });
});

describe('the expected end', () => {
  test('is a range that does not move with the age of the task', () => {
    const at = (age: number) => expectationOf(around(60, 40), { ageMs: age, price: 1, first: false });
    const early = at(0)!;
    expect(early.runs).toBe(40);
    expect(early.p50Ms / SECOND).toBeGreaterThan(52);
    expect(early.p50Ms / SECOND).toBeLessThan(68);
    expect(early.p90Ms).toBeGreaterThan(early.p50Ms);
    expect(at(300 * SECOND)).toEqual({ ...early, checkInMs: null });
    expect(expectationOf(NO_DURATIONS, { ageMs: 0, price: 1, first: true })).toBeNull();
  });
});
