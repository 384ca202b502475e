/** What the command says of an account: how it stands, what a person does now, and what is odd. Without a server. */
import { describe, expect, test } from 'vitest';
import { accountFindings } from '../../src/cli/account-findings.js';
import type { SeenAccount } from '../../src/cli/account-handle.js';
import { adviceOf, causeRows, factsOf, lineOf, openCauses, workerRows, wordOf } from '../../src/cli/account-page.js';
import type { AccountCause, AccountState } from '../../src/contract/index.js';
import type { LiveLook } from '../../src/temporal/account-look.js';

const NOW = Date.parse('2026-05-10T10:00:00.000Z');
const TIME = '2026-05-10T09:59:00.000Z';
const pollers = { workflows: ['1@a'], results: ['1@a'], api: ['1@a'] };
const look: LiveLook = {
  at: TIME,
  heldBy: {},
  running: 3,
  backlog: 0,
  backlogAgeMs: 0,
  pollers,
  setAtService: null,
  perMinute: 12,
};
const state: AccountState = {
  queue: 'rivya-api',
  updatedAt: TIME,
  rate: { configured: 60, set: null, by: 'workers', reason: '', closedUntil: null, nextStepAt: null },
  causes: [],
  rateLimited: { lastHour: 0, lastAt: null, byOthers: false },
  workers: { '1@a': { fingerprint: 'aaaaaaaaaaaa', perMinute: 60, reportedAt: TIME } },
  look: null,
  balance: { credits: 120, askedAt: TIME, simulated: false },
};
const cause = (change: Partial<AccountCause> = {}): AccountCause => ({
  code: 'insufficient_credits',
  phase: 'open',
  since: TIME,
  message: 'Not enough credits.',
  requestId: 'req_1',
  fingerprint: 'aaaaaaaaaaaa',
  credits: 0,
  probes: 4,
  nextProbeAt: null,
  ...change,
});

type Change = Partial<Omit<SeenAccount, 'state' | 'look'>> & {
  state?: Partial<AccountState>;
  look?: Partial<LiveLook>;
};

function seen(change: Change = {}): SeenAccount {
  const whole = { workflowId: 'rivya-account/rivya-api', isFresh: true, isRunning: true, problem: null };
  return { ...whole, ...change, state: { ...state, ...change.state }, look: { ...look, ...change.look } };
}

const factOf = (one: SeenAccount, name: string) => factsOf(one, NOW).find(([fact]) => fact === name)?.[1];
const says = (one: SeenAccount | null): string[] => accountFindings(one, 'rivya').map((found) => found.says);

test('nothing is wrong: nothing to do, and doctor says so in one line', () => {
  expect(wordOf(seen())).toBe('ok');
  expect(adviceOf(seen())).toEqual([]);
  expect(factOf(seen(), 'what to do')).toBe('Nothing: it goes on by itself.');
  expect(openCauses(seen().state)).toEqual([]);
  expect(accountFindings(seen(), 'rivya')).toEqual([expect.objectContaining({ level: 'ok', name: 'account' })]);
});

describe('a cause', () => {
  const held = seen({ state: { causes: [cause()] }, look: { heldBy: { insufficient_credits: 1_200, not_found: 1 } } });

  test('that is open needs a person, and says what ends it', () => {
    expect(wordOf(held)).toBe('held: insufficient_credits');
    expect(openCauses(held.state)).toHaveLength(1);
    expect(adviceOf(held)[0]).toMatch(/Add credits to the account\. .*go on by themselves/);
    expect(factOf(held, 'held')).toBe('1,200 insufficient_credits, 1 not_found');
    expect(causeRows(held)[1]).toEqual(['insufficient_credits', 'open', TIME, 4, null, 'Not enough credits.']);
    expect(says(held).join(' ')).toMatch(/Add credits to the account/);
  });

  test('that is being released ends by itself', () => {
    const releasing = seen({ state: { causes: [cause({ phase: 'releasing' })] } });
    expect(wordOf(releasing)).toBe('releasing');
    expect(openCauses(releasing.state)).toEqual([]);
  });

  test('the stop switch comes before all others in the word', () => {
    const stopped = seen({ state: { causes: [cause(), cause({ code: 'stopped', message: 'lunch' })] } });
    expect(wordOf(stopped)).toBe('stopped');
    expect(adviceOf(stopped).join(' ')).toMatch(/account allow/);
    expect(says(stopped).join(' ')).toMatch(/stopped .*lunch/);
  });
});

test.each<[string, Partial<AccountState['rate']>, RegExp]>([
  ['that Workers send', {}, /^Workers were told 60 a minute$/],
  [
    'that the account has lowered',
    { set: 30, by: 'account', reason: '429 from the API' },
    /^30 .* by the account: 429/,
  ],
  ['that a person has set', { set: 20, by: 'person', reason: 'night' }, /^20 calls a minute, set by a person: night/],
  ['that nobody has said yet', { configured: null }, /^no Worker has said its limit yet$/],
])('a rate %s', (_, rate, shown) => {
  expect(factOf(seen({ state: { rate: { ...state.rate, ...rate } } }), 'rate')).toMatch(shown);
});

describe('what is odd', () => {
  const two = (change: object) => ({ ...state.workers, '2@b': { ...state.workers['1@a']!, ...change } });
  const there = { pollers: { ...pollers, api: ['1@a', '2@b'] } };
  test.each<[string, Change, RegExp]>([
    ['Workers with two keys', { state: { workers: two({ fingerprint: 'b' }) }, look: there }, /2 API keys/],
    [
      'Workers with two limits',
      { state: { workers: two({ perMinute: 90 }) }, look: there },
      /different limits \(60, 90/,
    ],
    [
      'somebody else on the key',
      { state: { rateLimited: { lastHour: 3, lastAt: TIME, byOthers: true } } },
      /somebody else uses this key/,
    ],
    ['no Worker for a role', { look: { pollers: { ...pollers, api: [] } } }, /No Worker has the role "api"/],
    ['an account that was ended', { isRunning: false }, /was ended/],
  ])('%s', (_, change, expected) => expect(adviceOf(seen(change)).join(' ')).toMatch(expected));

  test('a Worker that polls no more warns of nothing', () => {
    expect(adviceOf(seen({ state: { workers: two({ perMinute: 90 }) } }))).toEqual([]);
  });

  test('a rate that somebody has set at the Service since the account looked, or taken back', () => {
    const setAtService = { perSecond: 0.5, identity: 'temporal-cli:me', reason: 'test' };
    const set = seen({ look: { setAtService } });
    const says0 = /0\.5 calls a second .*temporal-cli:me \(test\).*set-rate default.*account refresh/;
    expect(adviceOf(set).join(' ')).toMatch(says0);
    expect(says(set).join(' ')).toMatch(says0);
    const rate = { ...state.rate, set: 30, by: 'person' as const };
    expect(adviceOf(seen({ state: { rate } })).join(' ')).toMatch(/is gone from the Service.*account refresh/);
    expect(adviceOf(seen({ state: { rate }, look: { setAtService } }))).toEqual([]);
    const ours = { perSecond: 0.5, identity: 'rivya-account/rivya-api', reason: '' };
    expect(adviceOf(seen({ look: { setAtService: ours } }))).toEqual([]);
  });

  test('a rate of a person that lets nothing through, or more than the Workers were told', () => {
    const at = { look: { setAtService: { perSecond: 0, identity: 'temporal-cli:me', reason: 'test' } } };
    const by = (set: number) => ({ ...at, state: { rate: { ...state.rate, set, by: 'person' as const } } });
    expect(adviceOf(seen(by(0))).join(' ')).toMatch(/rate to 0, so no call is made.*set-rate default/);
    expect(adviceOf(seen(by(600))).join(' ')).toMatch(/set 600 calls a minute.*told 60.*set-rate default/);
    expect(adviceOf(seen(by(30)))).toEqual([]);
  });

  test('a closed queue makes no calls, whatever its rate', () => {
    const rate = { ...state.rate, set: 30, by: 'account' as const, closedUntil: TIME };
    expect(factOf(seen({ state: { rate } }), 'rate')).toMatch(/^0 calls a minute until/);
  });

  test('doctor: there is no account', () => {
    expect(says(null)).toEqual([expect.stringMatching(/none on "rivya-api" yet\. A Worker .*starts it/)]);
  });
});

test('a backlog says how long it takes at the rate in force', () => {
  const busy = seen({ look: { backlog: 600, backlogAgeMs: 90_000 } });
  expect(factOf(busy, 'queue')).toBe('600 calls wait, about 10 min of work at this rate');
  expect(factOf(busy, 'oldest')).toBe('waits for 1 min 30 s');
  expect(lineOf(busy, 'rivya-api')).toBe(
    'rivya-api: ok, 12 calls a minute, 600 wait, about 10 min of work at this rate, 3 running, 120 credits',
  );
});

test('without the search attributes the number of held ones is not known, and the command says how to get it', () => {
  expect(factOf(seen({ look: { heldBy: null } }), 'held')).toMatch(/no search attributes.*setup/);
});

test('each Worker is named with its roles and key, also one that has reported and polls no more', () => {
  const workers = { ...state.workers, '9@gone': { fingerprint: null, perMinute: 60, reportedAt: TIME } };
  expect(workerRows(seen({ state: { workers } })).slice(1)).toEqual([
    ['1@a', 'workflows, results, api', 'aaaaaaaaaaaa', 60],
    ['9@gone', 'does not poll', null, 60],
  ]);
});
