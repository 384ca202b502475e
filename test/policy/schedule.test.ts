import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { earlyBy, nextWait, retryDelay } from '../../src/policy/index.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const kind = fc.constantFrom('image' as const, 'video' as const, 'audio' as const, null);
const random = fc.double({ min: 0, max: 1, noNaN: true });
const age = fc.integer({ min: 0, max: 60 * 24 * HOUR });

describe('the API is never polled faster than its page advises', () => {
  test('first check after 2 to 3 s, then never two closer than 5 s', () => {
    fc.assert(
      fc.property(age, kind, random, (ageMs, k, r) => {
        const first = nextWait({ ageMs, kind: k, first: true, random: r });
        expect(first).toBeGreaterThanOrEqual(2 * SECOND);
        expect(first).toBeLessThanOrEqual(3 * SECOND);
        expect(nextWait({ ageMs, kind: k, first: false, random: r })).toBeGreaterThanOrEqual(5 * SECOND);
      }),
    );
  });

  test('at most 60 s apart in the first hour and 5 min later, and never more than 15 s or 5 % of the age', () => {
    fc.assert(
      fc.property(age, kind, random, (ageMs, k, r) => {
        const wait = nextWait({ ageMs, kind: k, first: false, random: r });
        expect(wait).toBeLessThanOrEqual(ageMs < HOUR ? MINUTE : 5 * MINUTE);
        expect(wait).toBeLessThanOrEqual(Math.max(15 * SECOND, ageMs * 0.05 + 1));
      }),
    );
  });

  test('a planned check comes up to 10 % earlier, so that jobs that start together drift apart, and keeps its distance', () => {
    fc.assert(
      fc.property(age, kind, random, fc.integer({ min: 0, max: HOUR }), (ageMs, k, r, plannedMs) => {
        const first = nextWait({ ageMs, kind: k, first: true, plannedMs, random: r });
        const later = nextWait({ ageMs, kind: k, first: false, plannedMs, random: r });
        expect(first).toBeGreaterThanOrEqual(2 * SECOND);
        expect(later).toBeGreaterThanOrEqual(5 * SECOND);
        for (const wait of [first, later]) expect(wait).toBeLessThanOrEqual(Math.max(5 * SECOND, plannedMs));
        expect(later).toBeGreaterThanOrEqual(0.9 * plannedMs - 1);
      }),
    );
    const waits = [0, 0.5, 1].map((r) =>
      nextWait({ ageMs: 0, kind: 'video', first: true, plannedMs: 100 * SECOND, random: r }),
    );
    expect(waits).toEqual([100 * SECOND, 95 * SECOND, 90 * SECOND]);
  });

  test('a result that trails its status is looked for at least four times in its 5 min, and never after', () => {
    fc.assert(
      fc.property(age, kind, random, (ageMs, k, r) => {
        let [trailingMs, checks] = [0, 0];
        for (; trailingMs < 5 * MINUTE; checks++) {
          trailingMs += nextWait({ ageMs: ageMs + trailingMs, kind: k, first: false, trailingMs, random: r });
        }
        expect(checks).toBeGreaterThanOrEqual(4);
        expect(trailingMs).toBeLessThan(5 * MINUTE + 5 * SECOND);
      }),
    );
  });

  test.each([
    ['image', 0, 5],
    ['image', 29, 5],
    ['image', 30, 10],
    ['image', 299, 10],
    ['image', 400, 20],
    ['video', 0, 10],
    ['video', 60, 15],
    ['audio', 59, 10],
    ['audio', 299, 15],
    ['video', 300, 15],
    ['video', 3_599, 60],
    ['video', 3_600, 180],
    ['audio', 86_400, 300],
    [null, 0, 10],
  ] as const)('%s of %i s: %i s', (k, seconds, wait) => {
    expect(nextWait({ ageMs: seconds * SECOND, kind: k, first: false, random: 0 })).toBe(wait * SECOND);
  });
});

describe('a repeated call never hammers and never stops', () => {
  test('every delay is from 1 s to 10 min, whatever the API asks for', () => {
    const asked = fc.oneof(fc.constant(null), fc.double({ min: 0, max: 1e12, noNaN: true }));
    const code = fc.constantFrom('rate_limited', 'internal_error', null);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), code, asked, random, (attempt, c, retryAfterMs, r) => {
        const delay = retryDelay({ attempt, code: c, retryAfterMs, random: r });
        expect(delay).toBeGreaterThanOrEqual(1 * SECOND);
        expect(delay).toBeLessThanOrEqual(10 * MINUTE);
        if (retryAfterMs !== null && retryAfterMs <= 10 * MINUTE)
          expect(delay).toBeGreaterThanOrEqual(Math.floor(retryAfterMs));
      }),
    );
  });

  test('delays grow from attempt to attempt, longer after rate_limited', () => {
    const delay = (attempt: number, code: string | null): number =>
      retryDelay({ attempt, code, retryAfterMs: null, random: 0.5 });
    expect([1, 2, 3, 4].map((attempt) => delay(attempt, null))).toEqual([1_000, 1_500, 3_000, 6_000]);
    expect(delay(1, 'rate_limited')).toBe(3_750);
    expect(delay(50, null)).toBe(450 * SECOND);
  });

  test('after many attempts that the Worker held back itself, a 429 costs at most a minute', () => {
    expect(retryDelay({ attempt: 50, code: 'rate_limited', retryAfterMs: null, random: 1 })).toBe(MINUTE);
  });
});

test('a repetition waits for its time, but never by a clock that is not ours', () => {
  const at = (dueAt: number): number => earlyBy({ dueAt, now: 1_000_000, minMs: 5_000 });
  expect([999_000, 1_000_000, 1_003_000, 1_600_000, 1_600_001].map(at)).toEqual([0, 0, 3_000, 5_000, 0]);
});
