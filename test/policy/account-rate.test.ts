/** The rate under an API with a fixed window, as a model: the limiter of the Service, Workers that report, and the account. */
import { describe, expect, test } from 'vitest';
import { rateIdentity, type SetRateResult } from '../../src/contract/index.js';
import * as rates from '../../src/policy/account-rate.js';
import type { RateMemory } from '../../src/policy/account-rate.js';
import { activitiesPerSecond, callsPerMinute } from '../../src/policy/index.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const QUEUE = 'rivya-api';
/** A report, its Workflow Task, and the Activity that sets the rate. */
const REACTION_MS = 2 * SECOND;
const STEP_MS = 100;
/** A Worker that meets a 429 closes the key for itself, until it has heard more. Calls under way still go out. */
const CLOSES_AFTER_MS = SECOND;
const CLOSED_MS = 5 * SECOND;

interface Told {
  /** Calls a minute that the Workers were told. */
  readonly told: number;
  /** What the API takes in each window of a minute, by time. */
  readonly limit: (at: number) => number;
  readonly forMs: number;
  /** Where in a window it begins. */
  readonly phaseMs?: number;
  readonly retryAfter?: boolean;
}

interface Call {
  readonly at: number;
  readonly taken: boolean;
}

/** Runs Workers that always have work. `rateAt`: the target of the account at a time. */
function run({ told, limit, forMs, phaseMs = 0, retryAfter = false }: Told) {
  let memory: RateMemory = { ...rates.RATE_AT_START, applied: null };
  let [perMinute, tokens, used, window] = [told, 0, 0, 0];
  let [reportAt, reportedAt, pending] = [Infinity, -Infinity, null as number | null];
  let closed = { from: Infinity, until: -Infinity };
  const calls: Call[] = [];
  const targets: (readonly [number, number])[] = [];
  const inForce: { at: number; perMinute: number }[] = [];
  for (let at = 0; at < forMs; at += STEP_MS) {
    memory = rates.rateAt(memory, told, at);
    if (at >= reportAt) {
      memory = rates.afterRateLimited(memory, pending, told, at);
      [reportAt, reportedAt] = [Infinity, at];
    }
    const wanted = rates.rateToSet(memory, told);
    if (wanted !== null) {
      inForce.push({ at: at + SECOND, perMinute: wanted.perMinute ?? told });
      memory = rates.afterSetRate(memory, QUEUE, wanted, memory.asked, {
        applied: true,
        setAtService: null,
        refused: null,
      });
    }
    while (inForce.length > 0 && inForce[0]!.at <= at) perMinute = inForce.shift()!.perMinute;
    targets.push([at, memory.closedUntil === null ? (memory.target ?? told) : 0]);
    const perSecond = activitiesPerSecond(perMinute);
    // The limiter has a second of burst.
    tokens = perMinute === 0 ? 0 : Math.min(Math.max(1, perSecond), tokens + (perSecond * STEP_MS) / SECOND);
    const now = at + phaseMs;
    if (Math.floor(now / MINUTE) !== window) [window, used] = [Math.floor(now / MINUTE), 0];
    for (; tokens >= 1; tokens -= 1) {
      if (at >= closed.from && at < closed.until) continue;
      const taken = used < limit(at);
      if (taken) used += 1;
      calls.push({ at, taken });
      if (taken) continue;
      if (at >= closed.until) closed = { from: at + CLOSES_AFTER_MS, until: at + CLOSES_AFTER_MS + CLOSED_MS };
      pending = retryAfter ? MINUTE - (now % MINUTE) : null;
      // The first one is told at once, later ones once in 15 s.
      reportAt = Math.min(reportAt, Math.max(at + REACTION_MS - SECOND, reportedAt + 15 * SECOND));
    }
  }
  return {
    calls,
    refusedShare: (from: number): number => {
      const counted = calls.filter((call) => call.at >= from);
      return counted.filter(({ taken }) => !taken).length / counted.length;
    },
    target: (at: number): number => targets[Math.floor(at / STEP_MS)]![1],
    memory,
    taken: (from: number, to: number): number =>
      calls.filter((call) => call.taken && call.at >= from && call.at < to).length,
  };
}

const PHASES = [0, 7, 19, 31, 46, 58].map((seconds) => seconds * SECOND);

describe('told 600 a minute while the API allows 120', () => {
  test.each(PHASES)(
    'begun %i ms into a window: it settles within 3 min, and then fewer than 1 call in 100 meets a 429',
    (phaseMs) => {
      const told = run({ told: 600, limit: () => 120, forMs: 60 * MINUTE, phaseMs });
      expect(told.refusedShare(3 * MINUTE)).toBeLessThan(0.01);
      // It does not settle for much less than the API gives.
      expect(told.taken(10 * MINUTE, 60 * MINUTE) / 50).toBeGreaterThan(80);
    },
  );

  test.each(PHASES)('with Retry-After, begun %i ms into a window: the same', (phaseMs) => {
    const told = run({ told: 600, limit: () => 120, forMs: 60 * MINUTE, phaseMs, retryAfter: true });
    expect(told.refusedShare(3 * MINUTE)).toBeLessThan(0.01);
    expect(told.taken(10 * MINUTE, 60 * MINUTE) / 50).toBeGreaterThan(75);
  });

  test.each([5, 12, 17.5, 21, 25.2, 30].map((minutes) => minutes * MINUTE))(
    'raised after %i ms: it is back at 600 within 10 min, also at the Service',
    (raisedAt) => {
      const limit = (at: number): number => (at < raisedAt ? 120 : 600);
      const { target, memory, refusedShare } = run({ told: 600, limit, forMs: raisedAt + 12 * MINUTE });
      expect(target(raisedAt + 10 * MINUTE)).toBe(600);
      expect(memory).toMatchObject({ target: null, applied: 600, nextStepAt: null });
      expect(refusedShare(raisedAt + MINUTE)).toBe(0);
    },
  );
});

test('a rate that the API takes is set once and never changed', () => {
  const { memory, calls } = run({ told: 600, limit: () => 600, forMs: 30 * MINUTE });
  expect(memory).toEqual({ ...rates.RATE_AT_START, applied: 600 });
  expect(calls.every(({ taken }) => taken)).toBe(true);
});

const after = (memory: RateMemory, at: number, retryAfterMs: number | null = null, configured = 600): RateMemory =>
  rates.afterRateLimited(memory, retryAfterMs, configured, at);
const START: RateMemory = { ...rates.RATE_AT_START, applied: null };

describe('answers 429', () => {
  test('halve the rate once in 20 s, and never below 6 a minute or the configured rate', () => {
    let memory = after(START, 0);
    expect(memory.target).toBe(300);
    memory = after(after(memory, 5 * SECOND), 19 * SECOND);
    expect(memory.target).toBe(300);
    for (let at = 21; at < 600; at += 21) memory = after(memory, at * SECOND);
    expect(memory.target).toBe(6);
    expect(after(START, 0, null, 4).target).toBe(4);
    expect(rates.rateAt(after(START, 0, null, 4), 4, 1).target).toBeNull();
  });

  test('with Retry-After close the queue until then, at most for 10 min', () => {
    const memory = after(START, 0, 40 * SECOND);
    expect(memory.closedUntil).toBe(40 * SECOND);
    expect(rates.rateToSet(memory, 600)).toEqual({ perMinute: 0, forPerson: false });
    expect(after(START, 0, 5 * 3_600 * SECOND).closedUntil).toBe(10 * MINUTE);
    // Calls that were under way are answered late: they are of the same episode.
    expect(after(memory, 30 * SECOND, 10 * SECOND)).toMatchObject({ target: 300, closedUntil: 40 * SECOND });
    const opened = rates.rateAt(memory, 600, 40 * SECOND);
    expect(rates.rateToSet(opened, 600)).toEqual({ perMinute: 300, forPerson: false });
  });

  test('bring the first step up after a minute without one, then two, then at most four', () => {
    const quiet = (times: readonly number[]): number => {
      const memory = times.reduce((last, at) => after(last, at * SECOND), START);
      return (memory.nextStepAt! - times.at(-1)! * SECOND) / SECOND;
    };
    expect([quiet([0]), quiet([0, 30]), quiet([0, 30, 60]), quiet([0, 30, 60, 90])]).toEqual([60, 120, 240, 240]);
  });

  test('after a step lead back to a little below the rate that was good, and not to half', () => {
    const stepped = rates.rateAt(after(START, 0), 600, 60 * SECOND);
    expect(stepped).toMatchObject({ target: 375, trial: { good: 300, tried: 375 } });
    const failed = after(stepped, 100 * SECOND);
    expect(failed).toMatchObject({ target: 285, trial: null, steps: 0 });
    // What is left of the window that the step has filled.
    expect(failed.closedUntil).toBe(100 * SECOND + 14 * SECOND);
  });

  test('after the last step, to the configured rate, do too', () => {
    let memory = after(START, 0);
    for (const at of [60, 120]) memory = rates.rateAt(memory, 600, at * SECOND);
    expect(memory).toMatchObject({ target: null, trial: { good: 375, tried: 600 } });
    expect(after(memory, 150 * SECOND).target).toBe(356);
    // Much later it is a new matter.
    expect(after(memory, 600 * SECOND)).toMatchObject({ target: 300, quietMs: MINUTE });
  });

  test('leave the rate of a person alone', () => {
    const memory = rates.afterSetRateRequest(after(START, 0), 500, 'a test of the limit');
    const closed = after(memory, 30 * SECOND, 40 * SECOND);
    expect(closed).toEqual({ ...memory, closedUntil: 70 * SECOND });
    // Until then the Workers make no call. It is shown, ends by itself, and can be ended.
    expect(rates.rateState(closed, 600)).toMatchObject({ by: 'person', set: 500, closedUntil: expect.any(String) });
    expect(rates.rateAt(closed, 600, 70 * SECOND)).toEqual(memory);
    expect(rates.afterOpened(closed)).toEqual(memory);
  });
});

const atService = (perMinute: number, identity: string, reason = 'why'): SetRateResult['setAtService'] => ({
  perSecond: Math.fround(activitiesPerSecond(perMinute)),
  identity,
  reason,
});

describe('the rate at the Service', () => {
  test('is what the Workers were told, so that one which sends no limit lifts none', () => {
    expect(rates.rateToSet(START, null)).toBeNull();
    expect(rates.rateToSet(START, 600)).toEqual({ perMinute: 600, forPerson: false });
    const set = rates.afterSetRate(START, QUEUE, { perMinute: 600 }, 0, {
      applied: true,
      setAtService: null,
      refused: null,
    });
    expect(rates.rateToSet(set, 600)).toBeNull();
    expect(rates.rateToSet(set, 120)).toEqual({ perMinute: 120, forPerson: false });
    expect(rates.rateState(set, 600)).toMatchObject({ set: null, by: 'workers' });
    // Removed by somebody at the Service: it is set again.
    expect(rates.rateToSet(rates.afterRateLook(set, QUEUE, null, 600, 0, false), 600)).not.toBeNull();
  });

  test('reads as the calls a minute that were set', () => {
    const all = [1, 6, 19, 20, 21, 59, 60, 120, 600, 6_000, 100_000];
    expect(all.map((n) => callsPerMinute(Math.fround(activitiesPerSecond(n))))).toEqual(all);
    expect(callsPerMinute(activitiesPerSecond(0))).toBe(0);
  });

  test('left behind by an account that was ended is taken over, and goes up', () => {
    const { applied: _, ...unknown } = START;
    expect(rates.rateToSet(unknown, 600)).toBeNull();
    const found = rates.afterRateLook(unknown, QUEUE, atService(75, rateIdentity(QUEUE)), null, 0, true);
    expect(found).toMatchObject({ target: 75, applied: 75, nextStepAt: MINUTE });
    // Nobody has said yet what is configured.
    expect(rates.rateAt(found, null, 2 * MINUTE)).toMatchObject({ target: 75 });
    expect(rates.rateAt(found, 600, 2 * MINUTE)).toMatchObject({ target: 94 });
    // A queue that was left closed opens at the lowest rate.
    expect(rates.afterRateLook(unknown, QUEUE, atService(0, rateIdentity(QUEUE)), 600, 0, true).target).toBe(6);
  });

  test('of a person stays, until the person removes it', () => {
    // As written: without the reserve of the account.
    const byJo = { perSecond: 50 / 60, identity: 'jo@desk', reason: 'why' };
    const lowered = after(START, 0);
    const foreign = rates.afterRateLook(lowered, QUEUE, byJo, 600, 0, false);
    expect(rates.rateState(foreign, 600)).toMatchObject({ set: 50, by: 'person', reason: 'why (set by jo@desk)' });
    expect(rates.rateToSet(foreign, 600)).toBeNull();
    expect(rates.afterRateLook(foreign, QUEUE, null, 600, 1, false)).toMatchObject({ person: null, target: null });
    // Seen only when the account wants to set one.
    const wanted = rates.rateToSet(lowered, 600)!;
    const refused = { applied: false, setAtService: byJo, refused: null };
    const kept = rates.afterSetRate(lowered, QUEUE, wanted, 0, refused);
    expect(kept.person).toMatchObject({ perMinute: 50, foreign: true });
    expect(rates.rateToSet(kept, 600)).toBeNull();
  });

  test('that a person asks for replaces any other, and null gives it back', () => {
    const done = { applied: true, setAtService: null, refused: null };
    let memory = rates.afterSetRateRequest(after(START, 0), 120, 'night');
    expect(rates.rateToSet(memory, 600)).toEqual({ perMinute: 120, forPerson: true });
    memory = rates.afterSetRate(memory, QUEUE, rates.rateToSet(memory, 600)!, memory.asked, done);
    expect(rates.rateToSet(memory, 600)).toBeNull();
    memory = rates.afterSetRateRequest(memory, null, '');
    expect(rates.rateToSet(memory, 600)).toEqual({ perMinute: null, forPerson: true });
    memory = rates.afterSetRate(memory, QUEUE, rates.rateToSet(memory, 600)!, memory.asked, done);
    expect(rates.rateToSet(memory, 600)).toEqual({ perMinute: 600, forPerson: false });
    expect(rates.rateState(memory, 600)).toMatchObject({ set: null, by: 'workers' });
  });

  test('that a Service does not take is not asked for again and again, and the page says so', () => {
    const lowered = after(START, 0);
    const refused = { applied: false, setAtService: null, refused: 'unknown method' };
    const memory = rates.afterSetRate(lowered, QUEUE, { perMinute: 300 }, 0, refused);
    expect(rates.rateToSet(memory, 600)).toBeNull();
    expect(rates.rateState(memory, 600).reason).toContain('unknown method');
  });
});
