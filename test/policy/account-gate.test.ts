/** What a Worker may send, by the account's memo and by what the API has just told it. Its clock is the argument. */
import { describe, expect, test } from 'vitest';
import { errorCodeRow, SHARED_CODES, type AccountCause, type AccountState } from '../../src/contract/index.js';
import { readAccountMemo } from '../../src/policy/account-memo.js';
import { closedText, Gate } from '../../src/policy/gate.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const NOW = Date.parse('2026-11-29T12:00:00.000Z');
const at = (ms: number): string => new Date(NOW + ms).toISOString();

const cause = (change: Partial<AccountCause> = {}): AccountCause => ({
  code: 'insufficient_credits',
  phase: 'open',
  since: at(0),
  message: 'The balance is 0.',
  requestId: 'req_1',
  fingerprint: 'abc',
  credits: 0,
  probes: 1,
  nextProbeAt: at(MINUTE),
  ...change,
});
const state = (causes: readonly AccountCause[] = [], closedUntil: string | null = null): AccountState => ({
  queue: 'rivya-api',
  updatedAt: at(0),
  rate: { configured: 60, set: null, by: 'workers', reason: '', closedUntil, nextStepAt: null },
  causes,
  rateLimited: { lastHour: 0, lastAt: null, byOthers: false },
  workers: { 'a@host': { fingerprint: 'abc', perMinute: 60, reportedAt: at(0) } },
  look: null,
  balance: null,
});
const refused = { code: 'insufficient_credits', message: 'Too few credits.', requestId: 'req_2' };

describe('nothing new is paid', () => {
  test('while the memo names an open cause, and again when it is being released or gone', () => {
    const gate = new Gate();
    expect(gate.closedBy(NOW)).toBeNull();
    gate.read(state([cause({ code: 'api_key_revoked', phase: 'releasing' }), cause()]));
    expect(gate.closedBy(NOW + 24 * 60 * MINUTE)).toMatchObject({ code: 'insufficient_credits', since: at(0) });
    gate.read(state([cause({ phase: 'releasing' })]));
    expect(gate.closedBy(NOW)).toBeNull();
  });

  test('from a refusal on, until the memo names it or a minute has passed without a word from the account', () => {
    const gate = new Gate();
    gate.close(refused, NOW);
    expect(gate.closedBy(NOW)).toMatchObject({ ...refused, since: at(0) });
    // A memo from before the report says nothing of it.
    gate.read(state());
    expect(gate.closedBy(NOW + MINUTE - 1)).toMatchObject(refused);
    expect(gate.closedBy(NOW + MINUTE)).toBeNull();
    gate.close(refused, NOW + MINUTE);
    gate.read(state([cause({ phase: 'releasing' })]));
    expect(gate.closedBy(NOW + MINUTE)).toBeNull();
  });

  test('a refusal after that closes it again, also for another cause than the memo names', () => {
    const gate = new Gate();
    gate.read(state([cause({ phase: 'releasing' })]));
    gate.close(refused, NOW);
    expect(gate.closedBy(NOW)).toMatchObject(refused);
    expect(gate.isNamed(refused.code)).toBe(false);
    gate.read(state([cause()]));
    expect(gate.isNamed(refused.code)).toBe(true);
    expect(gate.isNamed('api_key_revoked')).toBe(false);
  });
});

describe('no call is sent', () => {
  test('for as long as Retry-After says, for ten minutes at most, for 5 s without it', () => {
    const gate = new Gate();
    gate.pause(null, NOW);
    expect(gate.pauseMs(NOW)).toBe(5 * SECOND);
    gate.pause(90 * SECOND, NOW);
    gate.pause(null, NOW);
    expect(gate.pauseMs(NOW)).toBe(90 * SECOND);
    expect(gate.pauseMs(NOW + 90 * SECOND)).toBe(0);
    gate.pause(24 * 60 * MINUTE, NOW);
    expect(gate.pauseMs(NOW)).toBe(10 * MINUTE);
  });

  test('until the time that the memo names, and at once where a person has lifted it', () => {
    const gate = new Gate();
    gate.pause(90 * SECOND, NOW);
    gate.read(state());
    expect(gate.pauseMs(NOW)).toBe(90 * SECOND);
    gate.read(state([], at(2 * MINUTE)));
    expect(gate.pauseMs(NOW)).toBe(2 * MINUTE);
    gate.read(state());
    expect(gate.pauseMs(NOW)).toBe(0);
  });
});

test('a memo that is malformed or none of ours says nothing', () => {
  const good = {
    ...state([cause(), cause({ code: 'stopped', requestId: null, credits: null, nextProbeAt: null })], at(MINUTE)),
    look: {
      at: at(0),
      heldBy: { insufficient_credits: 3 },
      running: 3,
      backlog: 1,
      backlogAgeMs: 5,
      pollers: { workflows: ['a@host'], results: [], api: ['a@host'] },
      setAtService: { perSecond: 0.5, identity: 'rivya', reason: '429' },
    },
    balance: { credits: null, askedAt: at(0), simulated: true },
  };
  expect(readAccountMemo(good)).toEqual(good);
  expect(readAccountMemo({ ...good, ofALaterVersion: 1 })).not.toBeNull();
  // Each field, at any depth, with a value of no type of ours.
  const spoilt = (value: unknown): unknown[] => {
    const wrong = [Symbol('wrong')] as unknown[];
    if (typeof value !== 'object' || value === null) return wrong;
    const copies = Object.keys(value).flatMap((name) =>
      spoilt((value as Record<string, unknown>)[name]).map((change) =>
        Array.isArray(value)
          ? value.map((entry: unknown, index) => (String(index) === name ? change : entry))
          : { ...value, [name]: change },
      ),
    );
    return [...wrong, ...copies];
  };
  const all = spoilt(good);
  expect(all.length).toBeGreaterThan(60);
  for (const memo of [...all, null, undefined, 'open', [], {}, state([cause({ since: 'yesterday' })])]) {
    expect(readAccountMemo(memo)).toBeNull();
  }
});

describe('a payment that meets a closed gate is told', () => {
  test.each(SHARED_CODES)('%s: since when, why, that nothing was paid, and what to do', (code) => {
    const { problem, action } = closedText(cause({ code }));
    expect(problem).toContain(at(0));
    expect(problem).toContain('The balance is 0');
    expect(problem).toContain('Nothing was sent and nothing was paid.');
    expect(action).toMatch(/by (itself|themselves)/);
    // A resume of one generation would meet the same gate.
    expect(action).not.toContain('resume');
    const { action: known } = errorCodeRow(code, null);
    expect(action.slice(0, 10)).toBe(known.slice(0, 10));
  });

  test('the words of the API with their requestId once, and no words where there are none', () => {
    expect(closedText(cause()).problem).toContain('The balance is 0 (requestId req_1). Nothing');
    expect(closedText(cause({ message: 'No credits (requestId req_1).' })).problem).not.toMatch(/req_1.*req_1/);
    expect(closedText(cause({ code: 'stopped', message: '', requestId: null })).problem).toBe(
      `A person has stopped all submits since ${at(0)}. Nothing was sent and nothing was paid.`,
    );
  });
});
