/** What a Worker tells the account, and how often. Its clock is the argument. */
import { describe, expect, test } from 'vitest';
import { CallHealth, RecentCalls, Reports } from '../../src/policy/reports.js';

const SECOND = 1_000;
const refused = (code: string, requestId: string | null = null) => ({ code, message: `${code}.`, requestId });
const limited = (callsBefore: number, retryAfterMs: number | null = null) => ({ count: 1, retryAfterMs, callsBefore });

describe('news goes out at once, and more of its kind once in 15 s', () => {
  test('answers 429, counted, with the last Retry-After and the calls before the first of them', () => {
    const reports = new Reports();
    expect(reports.dueAt()).toBe(Infinity);
    reports.noteRateLimited(limited(55));
    expect(reports.dueAt()).toBe(-Infinity);
    expect(reports.take(0)).toEqual({ rateLimited: { count: 1, retryAfterMs: null, callsBefore: 55 } });
    expect(reports.dueAt()).toBe(Infinity);
    for (let calls = 56; calls < 66; calls++) reports.noteRateLimited(limited(calls, calls * SECOND));
    expect(reports.dueAt()).toBe(15 * SECOND);
    expect(reports.take(15 * SECOND)).toEqual({
      rateLimited: { count: 10, retryAfterMs: 65 * SECOND, callsBefore: 56 },
    });
    reports.noteRateLimited(limited(1));
    expect(reports.dueAt()).toBe(30 * SECOND);
  });

  test('refusals, once for each code', () => {
    const reports = new Reports();
    for (let i = 0; i < 30; i++) reports.noteRefused(refused('insufficient_credits', `req_${i}`));
    expect(reports.take(0)).toEqual({ refused: [refused('insufficient_credits', 'req_29')] });
    reports.noteRefused(refused('insufficient_credits'));
    expect(reports.dueAt()).toBe(15 * SECOND);
    // Another code is news, and takes along what waits.
    reports.noteRefused(refused('api_key_revoked'));
    expect(reports.dueAt()).toBe(-Infinity);
    expect(reports.take(5 * SECOND).refused).toHaveLength(2);
    for (const code of ['insufficient_credits', 'api_key_revoked']) reports.noteRefused(refused(code));
    reports.noteRateLimited(limited(3));
    expect(Object.keys(reports.take(6 * SECOND))).toEqual(['rateLimited', 'refused']);
  });

  test('what could not be told is told with what has come since', () => {
    const reports = new Reports();
    reports.noteRateLimited(limited(55));
    reports.noteRefused(refused('insufficient_credits', 'req_1'));
    const news = reports.take(0);
    reports.noteRateLimited(limited(60, SECOND));
    reports.noteRefused(refused('insufficient_credits', 'req_2'));
    reports.takeBack(news);
    expect(reports.dueAt()).toBe(15 * SECOND);
    expect(reports.take(15 * SECOND)).toEqual({
      rateLimited: { count: 2, retryAfterMs: SECOND, callsBefore: 55 },
      refused: [refused('insufficient_credits', 'req_2')],
    });
    reports.takeBack({});
    expect(reports.dueAt()).toBe(Infinity);
  });
});

test('the calls of the last 60 s are counted, and no others', () => {
  const calls = new RecentCalls();
  expect(calls.count(0)).toBe(0);
  for (let second = 0; second < 100; second++) {
    calls.add(second * SECOND);
    calls.add(second * SECOND + 500);
  }
  expect(calls.count(99 * SECOND)).toBe(120);
  expect(calls.count(110 * SECOND)).toBe(98);
  expect(calls.count(500 * SECOND)).toBe(0);
});

describe('calls that fail', () => {
  /** The time of each report, where one call a second fails or does not. */
  const toldAt = (fails: (second: number) => boolean, seconds: number): number[] => {
    const health = new CallHealth();
    return Array.from({ length: seconds }, (_, second) => second).filter((second) => {
      health.add(fails(second), second * SECOND);
      return health.isNews(second * SECOND);
    });
  };

  test('now and then are no news', () => {
    expect(toldAt((second) => second % 10 === 0, 3_600)).toEqual([]);
  });

  test('all of them are told once in ten minutes, and once more when that is over', () => {
    const told = toldAt((second) => second >= 600 && second < 2_400, 4_800);
    expect(told.slice(0, -1)).toEqual([719, 1_319, 1_919, 2_519]);
    expect(told.at(-1)).toBeGreaterThan(2_900);
    expect(told.at(-1)).toBeLessThan(3_000);
  });

  test('of few calls say nothing', () => {
    expect(toldAt(() => true, 9)).toEqual([]);
    expect(toldAt(() => true, 10)).toEqual([9]);
  });
});
