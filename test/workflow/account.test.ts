/** The account on a real server: rate, requests, and that it costs nothing while all is well. */
import { temporal } from '@temporalio/proto';
import { afterAll, describe, expect, test } from 'vitest';
import { apiTaskQueue, rateIdentity } from '../../src/contract/index.js';
import { callsPerMinute } from '../../src/policy/index.js';
import { startAccount, type TestAccount } from '../support/account.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const RATE_LIMITED = { count: 3, retryAfterMs: null, callsBefore: 600 };

/** What a person does by the command of Temporal. */
async function setByHand({ temporal: client, namespace, taskQueue }: Harness, perSecond: number | null): Promise<void> {
  await client.workflowService.updateTaskQueueConfig({
    namespace,
    identity: 'jo@desk',
    taskQueue: apiTaskQueue(taskQueue),
    taskQueueType: temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    updateQueueRateLimit: {
      ...(perSecond !== null && { rateLimit: { requestsPerSecond: perSecond } }),
      reason: 'at night',
    },
  });
}

test('looks once, and then sleeps without an event or a timer', async () => {
  await using harness = await startHarness({ account: false });
  const account = await startAccount(harness);
  await account.looked();
  await account.report();
  await account.until(({ workers }) => workers['worker-1'] !== undefined);
  // The look after a Worker that is new.
  const first = (await account.state()).look?.at;
  await account.until(({ look }) => look?.at !== first && look?.setAtService != null);
  const { raw } = await account.handle.describe();
  expect(raw.pendingActivities).toEqual([]);
  const { events } = await account.handle.fetchHistory();
  const count = (name: string): number => (events ?? []).filter((event) => Object.hasOwn(event, name)).length;
  expect(count('timerStartedEventAttributes') - count('timerFiredEventAttributes')).toBe(
    count('timerCanceledEventAttributes'),
  );
  const { look, rate } = await account.state();
  expect(look?.pollers.api.length).toBe(1);
  expect(look).toMatchObject({ heldBy: {}, running: 0, backlog: 0 });
  // What the Workers were told is set at the Service, so that a Worker which sends no limit lifts none.
  expect(look?.setAtService?.identity).toBe(rateIdentity(apiTaskQueue(harness.taskQueue)));
  expect(callsPerMinute(look?.setAtService?.perSecond ?? 0)).toBe(600);
  expect(rate).toMatchObject({ configured: 600, set: null, by: 'workers' });
  expect(await account.memo()).toMatchObject({ queue: apiTaskQueue(harness.taskQueue), causes: [] });
});

describe('answers 429', () => {
  test('lower the rate at the Service, Retry-After closes the queue, and a person can open it', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.looked();
    await account.report({ rateLimited: RATE_LIMITED });
    await until(async () => (await account.perMinute()) === 300);
    expect(await account.atService()).toMatchObject({ identity: rateIdentity(apiTaskQueue(harness.taskQueue)) });
    await account.report({ rateLimited: { ...RATE_LIMITED, retryAfterMs: 600_000 } });
    await until(async () => (await account.atService())?.perSecond === 0);
    const { rate, rateLimited } = await account.state();
    expect(rate).toMatchObject({ configured: 600, set: 300, by: 'account' });
    expect(rate.closedUntil).not.toBeNull();
    expect(rateLimited).toMatchObject({ lastHour: 6, byOthers: false });
    expect((await account.memo()).rate.closedUntil).toBe(rate.closedUntil);
    await account.request('release', { code: 'rate_limited' });
    await until(async () => (await account.perMinute()) === 300);
  });

  test('well below our own limit are named as those of somebody else', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.report({ rateLimited: { ...RATE_LIMITED, callsBefore: 100 } });
    await account.until(({ rateLimited }) => rateLimited.lastHour > 0);
    expect((await account.state()).rateLimited.byOthers).toBe(true);
  });
});

describe('the rate of a person', () => {
  test('that was set without the account stays, also after answers 429, until it is given back', async () => {
    await using harness = await startHarness({ account: false });
    await setByHand(harness, 1.5);
    const account = await startAccount(harness);
    await account.until(({ rate }) => rate.by === 'person');
    await account.report({ rateLimited: { ...RATE_LIMITED, retryAfterMs: 60_000 } });
    await account.until(({ rateLimited }) => rateLimited.lastHour === 3);
    expect(await account.atService()).toMatchObject({ perSecond: 1.5, identity: 'jo@desk' });
    expect(await account.request('setRate', { perMinute: null })).toContain('given back');
    await until(async () => (await account.perMinute()) === 600);
    await account.until(({ rate }) => rate.by === 'workers');
  });

  test('that comes while the account has lowered it is not overwritten', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.looked();
    await account.report({ rateLimited: RATE_LIMITED });
    await until(async () => (await account.perMinute()) === 300);
    await setByHand(harness, 1.5);
    await account.report({ rateLimited: { ...RATE_LIMITED, retryAfterMs: 60_000 } });
    await account.until(({ rate }) => rate.by === 'person');
    expect(await account.atService()).toMatchObject({ perSecond: 1.5, identity: 'jo@desk' });
  });

  test('that the account was asked for outlives an account that is terminated', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.request('setRate', { perMinute: 120, reason: 'at night' });
    await until(async () => (await account.perMinute()) === 120);
    await account.handle.terminate('by mistake');
    await account.start();
    await account.until(({ rate }) => rate.by === 'person' && rate.set === 120 && rate.reason === 'at night');
    await account.report({ rateLimited: RATE_LIMITED });
    await account.until(({ rateLimited }) => rateLimited.lastHour === 3);
    expect(await account.perMinute()).toBe(120);
  });
});

describe('an account that was ended by mistake', () => {
  test('leaves a lowered rate, which the next one takes over; a stop and a cause stand', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.looked();
    await account.report({ rateLimited: RATE_LIMITED });
    await account.request('stopSubmits', { reason: 'too dear' });
    await until(async () => (await account.perMinute()) === 300);
    await account.handle.terminate('by mistake');
    await account.start();
    await account.until(({ rate }) => rate.by === 'account' && rate.set === 300);
    const { rate, causes, workers } = await account.state();
    expect(rate.nextStepAt).not.toBeNull();
    expect(causes).toMatchObject([{ code: 'stopped', phase: 'open', message: 'too dear' }]);
    expect(Object.keys(workers)).toEqual(['worker-1']);
    expect(await account.request('allowSubmits')).toContain('over');
    await account.until((state) => state.causes.length === 0);
  });

  test('by a reset, has all Signals and requests again', async () => {
    await using harness = await startHarness({ account: false });
    const account = await startAccount(harness);
    await account.looked();
    await account.report({ rateLimited: RATE_LIMITED });
    await account.request('stopSubmits', { reason: 'too dear' });
    await resetToStart(harness.temporal, account.workflowId);
    await account.until(({ causes, rate }) => causes.length === 1 && rate.set === 300);
    expect(await account.cause('stopped')).toMatchObject({ phase: 'open', message: 'too dear' });
  });
});

describe('what is no request', () => {
  test.each<[Parameters<TestAccount['request']>[0], unknown, RegExp]>([
    ['setRate', { perMinute: 0 }, /perMinute: must be a whole number from 1 to 100000/],
    ['setRate', { perMinute: -1 }, /from 1 to 100000/],
    ['setRate', { perMinute: 100_001 }, /from 1 to 100000/],
    ['setRate', { perMinute: 1.5 }, /whole number/],
    ['setRate', { perMinute: '60' }, /whole number/],
    ['setRate', {}, /is missing/],
    ['setRate', undefined, /JSON object/],
    ['release', { code: 'insufficient_credits' }, /no cause that stands. These stand: stopped/],
    ['release', { code: 'rate_limited' }, /These stand: stopped/],
    ['release', {}, /code: is missing/],
    ['stopSubmits', { why: 'x' }, /not a field/],
    ['allowSubmits', { code: 'x' }, /not a field/],
    ['refresh', { now: true }, /not a field/],
  ])('%s %j is refused with a reason, and as a Signal it does nothing', async (name, argument, reason) => {
    const { account } = await shared();
    const before = await account.state();
    await expect(account.request(name, argument)).rejects.toMatchObject({
      cause: { type: 'InvalidInput', message: expect.stringMatching(reason) },
    });
    await account.handle.signal(name, argument);
    const { causes, rate } = await account.state();
    expect({ causes, rate }).toEqual({ causes: before.causes, rate: before.rate });
  });

  test('two stops are answered with a sentence, and so is an allow without a stop', async () => {
    const { account } = await shared();
    expect(await account.request('stopSubmits', { reason: 'again' })).toMatch(/stopped already, since .*: shared/);
    await using harness = await startHarness({ account: false });
    const other = await startAccount(harness);
    await until(async () => (await other.state()).look !== null);
    expect(await other.request('allowSubmits')).toContain('not stopped');
  });

  test('a report with nonsense is ignored', async () => {
    const { account } = await shared();
    const good = { identity: 'w', fingerprint: 'f', perMinute: 60 };
    const wrong = [
      null,
      'text',
      [],
      { ...good, identity: '' },
      { ...good, identity: 7 },
      { ...good, fingerprint: undefined },
      { ...good, perMinute: -1 },
      { ...good, perMinute: '60' },
      { ...good, rateLimited: { count: 0, retryAfterMs: null, callsBefore: 1 } },
      { ...good, rateLimited: { count: 1, retryAfterMs: 'soon', callsBefore: 1 } },
      { ...good, rateLimited: [] },
      { ...good, refused: 'insufficient_credits' },
      { ...good, refused: [{ code: 'stopped', message: 'm', requestId: null }] },
      { ...good, refused: [{ code: 'SubmitUnresolved', message: 'm', requestId: null }] },
      { ...good, refused: [{ code: 'insufficient_credits', message: 7, requestId: null }] },
      { ...good, refused: [null] },
    ];
    for (const report of wrong) await account.handle.signal('report', report);
    await account.report({ identity: 'last' });
    await account.until(({ workers }) => workers['last'] !== undefined);
    const { causes, workers, rateLimited } = await account.state();
    expect({ causes: causes.map(({ code }) => code), workers: Object.keys(workers), rateLimited }).toEqual({
      causes: ['stopped'],
      workers: ['last'],
      rateLimited: { lastHour: 0, lastAt: null, byOthers: false },
    });
  });

  let one: Promise<{ readonly harness: Harness; readonly account: TestAccount }> | null = null;
  afterAll(async () => (await one)?.harness[Symbol.asyncDispose]());
  /** One account that is stopped. */
  async function shared() {
    one ??= (async () => {
      const harness = await startHarness({ account: false });
      const account = await startAccount(harness);
      await account.looked();
      await account.request('stopSubmits', { reason: 'shared' });
      return { harness, account };
    })();
    return one;
  }
});
