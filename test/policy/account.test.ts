/** The account between two events: causes, requests, and what is due. */
import { describe, expect, test } from 'vitest';
import { SHARED_CODES, STOPPED, type AccountLook, type ReadResult } from '../../src/contract/index.js';
import * as policy from '../../src/policy/index.js';
import type { Account } from '../../src/policy/index.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** A time that people can read in a failure. */
const T0 = Date.UTC(2026, 0, 5);
const LOOK: AccountLook = {
  at: '',
  heldBy: {},
  running: 0,
  backlog: 0,
  backlogAgeMs: 0,
  pollers: { workflows: ['w'], results: ['w'], api: ['w'] },
  setAtService: null,
};
const CREDITS = 'insufficient_credits';
const ended = { code: STOPPED };

function looked(account: Account, now: number, change: Partial<AccountLook> = {}): Account {
  return policy.afterLook(
    policy.stepBegun(account, { kind: 'look', first: true }),
    { ...LOOK, ...change },
    null,
    true,
    now,
  );
}

const START = looked(policy.accountAtStart({ taskQueue: 'rivya' }, T0), T0);

function refused(account: Account, code: string, now: number, fingerprint: string | null = 'old'): Account {
  const report = { identity: 'w', fingerprint, perMinute: 600 };
  return policy.afterReport(account, { ...report, refused: [{ code, message: code, requestId: null }] }, now);
}

const answer = (credits: number | null, fingerprint: string | null = 'old'): ReadResult => ({
  body: { currentCredits: credits },
  refused: null,
  fingerprint,
  simulated: true,
});
const refusal = (code: string): ReadResult => ({
  body: null,
  refused: { code, message: code, requestId: null, httpStatus: 401 },
  fingerprint: 'old',
  simulated: false,
});

const cause = (account: Account, code: string) =>
  policy.accountState(account).causes.find((one) => one.code === code) ?? null;
const kinds = (account: Account, now: number): string[] => policy.dueSteps(account, now).map(({ kind }) => kind);

/** Time goes on until the account has something to do by a read; the looks on the way are done. */
function untilRead(account: Account, from: number): { readonly account: Account; readonly at: number } {
  for (let [next, at] = [account, from]; ;) {
    if (kinds(next, at).includes('look')) next = looked(next, at);
    if (kinds(next, at).includes('read')) return { account: next, at };
    const due = policy.nextDue(next, at);
    if (due === null) throw new Error('nothing is due');
    at = due.at;
  }
}

/** Probes with this answer, as often as asked. Returns the account and the time of the last probe. */
function probed(account: Account, from: number, ...results: (ReadResult | null)[]) {
  let [next, at] = [account, from];
  for (const result of results) {
    const due = untilRead(next, at);
    at = due.at;
    next = policy.afterRead(policy.stepBegun(due.account, { kind: 'read' }), result, at);
  }
  return { account: next, at };
}

/** The release of a cause that is over, done. */
function released(account: Account, code: string, now: number): { readonly account: Account; readonly at: number } {
  const at = now + 12 * SECOND;
  expect(kinds(account, now)).not.toContain('release');
  const step = policy.dueSteps(account, at).find(({ kind }) => kind === 'release');
  expect(step).toMatchObject({ code });
  return { account: policy.afterRelease(account, step as never, true, at), at };
}

describe('while all is well', () => {
  test('nothing is due, now or ever', () => {
    expect(policy.dueSteps(START, T0)).toEqual([]);
    expect(policy.nextDue(START, T0)).toBeNull();
    const known = looked(
      policy.afterReport(START, { identity: 'w', fingerprint: 'f', perMinute: 60 }, T0),
      T0 + MINUTE,
    );
    const again = policy.afterReport(known, { identity: 'w', fingerprint: 'f', perMinute: 60 }, T0 + 2 * MINUTE);
    expect(policy.nextDue(again, T0 + 2 * MINUTE)).toBeNull();
    expect(policy.accountAdvice(policy.accountState(again))).toEqual([]);
  });

  test('the memo has changed in substance only where something has', () => {
    const state = policy.accountState(START);
    const moved = { ...state, updatedAt: 'later', look: { ...LOOK, backlog: 7, running: 3 } };
    expect(policy.substanceOf(moved)).toBe(policy.substanceOf(state));
    const stopped = policy.APPLY_TO_ACCOUNT.stopSubmits(START, {}, T0).account;
    expect(policy.substanceOf(policy.accountState(stopped))).not.toBe(policy.substanceOf(state));
  });
});

describe('missing credits', () => {
  test('are probed a second after the first report, and then once a minute, however many report them', () => {
    let account = refused(START, CREDITS, T0);
    for (let n = 1; n < 100; n++) account = refused(account, CREDITS, T0 + n);
    expect(cause(account, CREDITS)).toMatchObject({ phase: 'open', probes: 0, credits: null });
    const first = probed(account, T0 + 100, answer(0));
    expect(first.at).toBe(T0 + SECOND);
    expect(cause(first.account, CREDITS)).toMatchObject({ phase: 'open', credits: 0, probes: 1 });
    expect(probed(first.account, first.at, answer(0), answer(-2), answer(0)).at).toBe(T0 + SECOND + 3 * MINUTE);
  });

  test('are over once there is a balance, and only the release of all ends the cause', () => {
    const { account, at } = probed(refused(START, CREDITS, T0), T0, answer(0), answer(0), answer(103));
    expect(cause(account, CREDITS)).toMatchObject({ phase: 'releasing', nextProbeAt: null });
    const done = released(account, CREDITS, at);
    expect(cause(done.account, CREDITS)).toBeNull();
    expect(policy.accountState(done.account).balance).toMatchObject({ credits: 103, simulated: true });
  });

  test.each([
    ['a balance that the API does not tell', answer(null)],
    ['a key that may not read it', refusal('api_scope_denied')],
  ])('with %s are tried again after a minute', (_, result) => {
    const { account } = probed(refused(START, CREDITS, T0), T0, result, result);
    expect(cause(account, CREDITS)?.phase).toBe('releasing');
  });

  test('are not over by a debt that grows smaller, by a refused key, or by a probe without an answer', () => {
    const { account } = probed(
      refused(START, CREDITS, T0),
      T0,
      answer(-9),
      answer(-1),
      refusal('api_key_revoked'),
      null,
    );
    expect(cause(account, CREDITS)?.phase).toBe('open');
  });

  test('for one generation, with a balance: all others go on at once', () => {
    const { account, at } = probed(refused(START, CREDITS, T0), T0, answer(500));
    expect(cause(account, CREDITS)?.phase).toBe('releasing');
    expect(at).toBe(T0 + SECOND);
  });

  /** Opens again right after a release, with a balance that has not changed. Returns the minutes until it is tried again. */
  function cameBack(account: Account, from: number) {
    const done = released(account, CREDITS, from);
    const at = done.at + SECOND;
    let next = { account: refused(done.account, CREDITS, at), at };
    while (cause(next.account, CREDITS)?.phase === 'open') next = probed(next.account, next.at, answer(5));
    return { ...next, minutes: Math.floor((next.at - at) / MINUTE) };
  }

  test('that come back at once, with a balance, are tried half as often each time, down to once in 30 min', () => {
    let next = { ...probed(refused(START, CREDITS, T0), T0, answer(5)), minutes: 0 };
    const intervals: number[] = [];
    for (let n = 0; n < 7; n++) {
      next = cameBack(next.account, next.at);
      intervals.push(next.minutes);
    }
    expect(intervals).toEqual([2, 4, 8, 16, 30, 30, 30]);
    // A top-up is seen by the next probe all the same.
    const done = released(next.account, CREDITS, next.at);
    const again = probed(refused(done.account, CREDITS, done.at), done.at, answer(5), answer(5), answer(6));
    expect(cause(again.account, CREDITS)?.phase).toBe('releasing');
  });

  test('that come back after some were spent are tried again after a minute: the release was right', () => {
    const over = probed(refused(START, CREDITS, T0), T0, answer(0), answer(100));
    const done = released(over.account, CREDITS, over.at);
    // Also while those that are held are being released.
    for (const [account, at] of [
      [done.account, done.at + 30 * SECOND] as const,
      [over.account, over.at + SECOND] as const,
    ]) {
      const first = probed(refused(account, CREDITS, at), at, answer(40));
      expect(cause(first.account, CREDITS)?.phase).toBe('open');
      const second = probed(first.account, first.at, answer(40));
      expect(cause(second.account, CREDITS)?.phase).toBe('releasing');
      expect(second.at - first.at).toBe(MINUTE);
    }
  });

  test('reported while they are released open the cause again, and the release ends nothing', () => {
    const over = probed(refused(START, CREDITS, T0), T0, answer(0), answer(100));
    const at = over.at + 12 * SECOND;
    const step = policy.dueSteps(over.account, at).find(({ kind }) => kind === 'release');
    const again = refused(over.account, CREDITS, at + SECOND);
    expect(cause(again, CREDITS)).toMatchObject({ phase: 'open' });
    expect(policy.isReleasing(again, step as never)).toBe(false);
    expect(cause(policy.afterRelease(again, step as never, true, at + 2 * SECOND), CREDITS)?.phase).toBe('open');
  });
});

describe('a key', () => {
  test.each(SHARED_CODES.filter((code) => code.startsWith('api_key_')))(
    'refused as %s is over once a probe is taken',
    (code) => {
      const open = probed(refused(START, code, T0), T0, refusal(code), null, refusal('api_key_expired'));
      expect(cause(open.account, code)?.phase).toBe('open');
      expect(cause(probed(open.account, open.at, answer(1)).account, code)?.phase).toBe('releasing');
      // It lacks a scope, and is a key.
      expect(cause(probed(open.account, open.at, refusal('api_scope_denied')).account, code)?.phase).toBe('releasing');
    },
  );

  test('without a scope is over with another key, also one that may not read the balance', () => {
    const open = refused(START, 'api_scope_denied', T0);
    const probe = (fingerprint: string) => ({ ...refusal('api_scope_denied'), fingerprint });
    expect(cause(probed(open, T0 + MINUTE, probe('old')).account, 'api_scope_denied')?.phase).toBe('open');
    expect(cause(probed(open, T0 + MINUTE, probe('new')).account, 'api_scope_denied')?.phase).toBe('releasing');
  });

  test('without a scope is over with another key, or after half an hour', () => {
    const code = 'api_scope_denied';
    const open = probed(refused(START, code, T0), T0, answer(1), answer(1), refusal(code));
    expect(cause(open.account, code)?.phase).toBe('open');
    expect(cause(probed(open.account, open.at, answer(1, 'new')).account, code)?.phase).toBe('releasing');
    const late = probed(open.account, open.at, ...Array.from({ length: 28 }, () => answer(1)));
    expect(cause(late.account, code)?.phase).toBe('releasing');
    // More credits are no sign of a scope.
    expect(cause(probed(open.account, open.at, answer(2)).account, code)?.phase).toBe('open');
  });
});

test('one probe is for all causes', () => {
  const both = refused(refused(START, CREDITS, T0), 'api_key_revoked', T0 + 20 * SECOND);
  const first = probed(both, T0 + 20 * SECOND, refusal('api_key_revoked'), refusal('api_key_revoked'));
  expect(first.at).toBe(T0 + 20 * SECOND + MINUTE);
});

describe('the stop switch', () => {
  const stopped = policy.APPLY_TO_ACCOUNT.stopSubmits(START, { reason: 'too dear' }, T0);

  test('is ended by a person alone, and by the same release', () => {
    expect(stopped.answer).toMatch(/^Stopped/);
    expect(policy.nextDue(looked(stopped.account, T0 + SECOND), T0 + MINUTE)).toBeNull();
    const allowed = policy.APPLY_TO_ACCOUNT.allowSubmits(stopped.account, undefined, T0 + MINUTE);
    expect(cause(allowed.account, STOPPED)?.phase).toBe('releasing');
    expect(cause(released(allowed.account, STOPPED, T0 + MINUTE).account, STOPPED)).toBeNull();
    const byCode = policy.APPLY_TO_ACCOUNT.release(stopped.account, ended, T0 + MINUTE);
    expect(byCode.account.causes).toEqual(allowed.account.causes);
  });

  test('that is set while it is being released stops again', () => {
    const { account } = policy.APPLY_TO_ACCOUNT.allowSubmits(stopped.account, undefined, T0 + MINUTE);
    const again = policy.APPLY_TO_ACCOUNT.stopSubmits(account, { reason: 'still' }, T0 + MINUTE + SECOND);
    expect(cause(again.account, STOPPED)).toMatchObject({ phase: 'open', message: 'still' });
  });
});

describe('the first look of an account', () => {
  const before = {
    causes: [{ ...cause(refused(START, CREDITS, T0), CREDITS)!, credits: 4 }, { ...cause(stoppedAt(), STOPPED)! }],
    workers: { gone: { fingerprint: 'f', perMinute: 60, reportedAt: new Date(T0).toISOString() } },
    balance: null,
    rate: { set: 300, by: 'account' as const, closedUntil: new Date(T0 + 20 * MINUTE).toISOString() },
  };
  const fresh = policy.accountAtStart({ taskQueue: 'rivya' }, T0 + MINUTE);

  test('goes on with the causes and the closed queue of the run before', () => {
    const setAtService = { perSecond: 0, identity: 'rivya-account/rivya-api', reason: '' };
    const account = policy.afterLook(fresh, { ...LOOK, setAtService }, before, true, T0 + MINUTE);
    const state = policy.accountState(account);
    expect(state.causes).toMatchObject([{ code: CREDITS, phase: 'open', credits: 4 }, { code: STOPPED }]);
    expect(state.rate).toMatchObject({ set: 300, by: 'account', closedUntil: before.rate.closedUntil });
    expect(cause(probed(account, T0 + MINUTE, answer(5)).account, CREDITS)?.phase).toBe('releasing');
  });

  test('does not bring back a stop that was ended before it, and those that it held are released', () => {
    const { account } = policy.APPLY_TO_ACCOUNT.allowSubmits(fresh, undefined, T0 + MINUTE);
    const next = policy.afterLook(account, LOOK, before, true, T0 + MINUTE);
    expect(cause(next, STOPPED)?.phase).toBe('releasing');
  });

  test('takes nothing from a memo that is none of ours', () => {
    for (const memo of [
      null,
      'text',
      [],
      { causes: 'none', rate: 7 },
      { causes: [{ code: 'odd' }, null, { code: CREDITS }] },
    ]) {
      const account = policy.afterLook(fresh, LOOK, policy.readBefore(memo), true, T0 + MINUTE);
      expect(policy.accountState(account)).toMatchObject({ causes: [], rate: { by: 'workers' } });
    }
  });

  test('finds what is held by a cause that nobody has reported, and its first probe may release it', () => {
    const account = looked(fresh, T0 + MINUTE, { heldBy: { [CREDITS]: 200, SubmitUnresolved: 1, [STOPPED]: 1 } });
    expect(policy.accountState(account).causes.map(({ code }) => code)).toEqual([CREDITS]);
    expect(cause(probed(account, T0 + MINUTE, answer(0)).account, CREDITS)?.phase).toBe('open');
    expect(cause(probed(account, T0 + MINUTE, answer(1)).account, CREDITS)?.phase).toBe('releasing');
    // A later look finds those that took no notice of a release: they are no news.
    expect(policy.accountState(looked(START, T0 + MINUTE, { heldBy: { [CREDITS]: 1 } })).causes).toEqual([]);
  });

  function stoppedAt(): Account {
    return policy.APPLY_TO_ACCOUNT.stopSubmits(START, {}, T0).account;
  }
});

describe('the Workers', () => {
  test('with the lowest limit say what is configured, and those that are gone do not count', () => {
    let account = policy.afterReport(START, { identity: 'w', fingerprint: 'f', perMinute: 600 }, T0);
    account = policy.afterReport(account, { identity: 'gone', fingerprint: 'g', perMinute: 60 }, T0);
    expect(policy.accountState(account).rate.configured).toBe(60);
    expect(policy.accountAdvice(policy.accountState(account)).join()).toMatch(/2 API keys \(f, g\)/);
    const later = looked(account, T0 + 3 * MINUTE);
    expect(policy.accountState(later)).toMatchObject({ rate: { configured: 600 }, workers: { w: { perMinute: 600 } } });
    expect(Object.keys(later.workers)).toEqual(['w']);
  });

  test('that differ are looked at again, until those that were replaced are gone', () => {
    let account = policy.afterReport(START, { identity: 'w', fingerprint: 'f', perMinute: 600 }, T0);
    account = policy.afterReport(account, { identity: 'old', fingerprint: 'f', perMinute: 60 }, T0);
    const both = { ...LOOK.pollers, api: ['w', 'old'] };
    account = looked(account, T0 + 3 * MINUTE, { pollers: both });
    expect(policy.nextDue(account, T0 + 3 * MINUTE)?.at).toBe(T0 + 8 * MINUTE);
    account = looked(account, T0 + 8 * MINUTE);
    expect(policy.accountState(account).rate.configured).toBe(600);
    expect(kinds(account, T0 + 8 * MINUTE)).toEqual(['rate']);
  });

  test('of a role that nobody has are asked for', () => {
    const account = looked(START, T0, { pollers: { ...LOOK.pollers, api: [] } });
    expect(policy.accountAdvice(policy.accountState(account)).join()).toMatch(/No Worker has the role "api"/);
  });

  test('whose 429s come well below their limit share the key; one of three that reports does not', () => {
    const limited = (account: Account, callsBefore: number): Account =>
      policy.afterReport(
        account,
        { identity: 'w', fingerprint: 'f', perMinute: 600, rateLimited: { count: 1, retryAfterMs: null, callsBefore } },
        T0,
      );
    expect(limited(START, 100).byOthers).toBe(true);
    const given = policy.APPLY_TO_ACCOUNT.setRate(limited(START, 100), { perMinute: 300 }, T0).account;
    expect(policy.accountState(given).rateLimited.byOthers).toBe(false);
    const later = policy.afterReport(
      limited(START, 100),
      { identity: 'w', fingerprint: 'f', perMinute: 600 },
      T0 + 120 * MINUTE,
    );
    expect(policy.accountState(later).rateLimited.byOthers).toBe(false);
    expect(limited(START, 500).byOthers).toBe(false);
    const three = ['a', 'b'].reduce(
      (account, identity) => policy.afterReport(account, { identity, fingerprint: 'f', perMinute: 600 }, T0),
      START,
    );
    expect(limited(three, 200).byOthers).toBe(false);
  });

  test('whose calls fail say how many, and what that means', () => {
    const report = { identity: 'w', fingerprint: 'f', perMinute: 60 };
    const failing = policy.afterReport(START, { ...report, calls: { made: 50, failed: 20 } }, T0);
    const state = policy.accountState(failing);
    expect(policy.describeAccount(state)).toContain(`| Failed calls | 20 of 50 (40 %) in the ten minutes before`);
    expect(policy.accountAdvice(state).join()).toMatch(/Many calls to the API fail/);
    const well = policy.accountState(policy.afterReport(failing, { ...report, calls: { made: 60, failed: 2 } }, T0));
    expect(policy.substanceOf(well)).not.toBe(policy.substanceOf(state));
    expect(policy.accountAdvice(well)).toEqual([]);
    const older = policy.accountState(policy.afterReport(failing, report, T0));
    expect(policy.describeAccount(older)).toContain('| Failed calls | few or none |');
  });

  test('cannot fill the memo, whoever reports', () => {
    let account = START;
    for (let n = 0; n < 300; n++) {
      account = policy.afterReport(account, { identity: `w${n}`, fingerprint: null, perMinute: 60 }, T0 + n);
    }
    expect(Object.keys(account.workers)).toHaveLength(100);
    expect(account.workers['w299']).toBeDefined();
  });
});

test('the page is one table that no word of the API can break', () => {
  const account = refused(START, CREDITS, T0, null);
  const state = policy.accountState(account);
  const odd = { ...state, causes: [{ ...state.causes[0]!, message: 'a | b\n# c <script>' }] };
  const page = policy.describeAccount(odd);
  expect(page).toContain(String.raw`a \| b # c &lt;script>`);
  expect(page).toMatch(/Add credits to the account\./);
  expect(page.split('\n').filter((line) => line.startsWith('#'))).toEqual([]);
});

test('answers 429 are counted for an hour', () => {
  const rateLimited = { count: 2, retryAfterMs: null, callsBefore: 600 };
  const report = { identity: 'w', fingerprint: 'f', perMinute: 600, rateLimited };
  let account = START;
  for (let minute = 0; minute < 90; minute++) account = policy.afterReport(account, report, T0 + minute * MINUTE);
  expect(policy.accountState(account).rateLimited.lastHour).toBe(120);
  expect(account.minutes.length).toBeLessThanOrEqual(61);
});
