/** A Worker and the account: what it tells, what it believes, and what it holds back by itself. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NativeConnection } from '@temporalio/worker';
import { accountWorkflowId } from '../../src/contract/index.js';
import { startWorkers } from '../../src/worker/workers.js';
import { accountOf, accountState, countOf, reportsTo, untilKnown } from '../support/switchboard.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeEach(async () => {
  harness = await startHarness({ emulator: { rateLimitPerMinute: 100_000 } });
});
afterEach(() => harness[Symbol.asyncDispose]());

const start = (prompt: string) => harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
const creates = () => harness.emulator.requests().filter(({ method }) => method === 'POST');

describe('a Worker', () => {
  test('starts the account, and while it has nothing to do it reads and adds no event', async () => {
    const describes = vi.spyOn(harness.connection.workflowService, 'describeWorkflowExecution');
    await untilKnown(harness);
    await until(async () => (await accountOf(harness).describe()).historyLength > 0);
    const reads = (): number => describes.mock.calls.length;
    const settled = reads() + 1;
    await until(() => reads() >= settled);
    const { historyLength } = await accountOf(harness).describe();
    const later = reads() + 2;
    await until(() => reads() >= later);
    expect((await accountOf(harness).describe()).historyLength).toBe(historyLength);
    expect(await reportsTo(harness)).toBe(1);
  });

  test('starts an account again that was terminated, and a stop stays', async () => {
    await untilKnown(harness);
    await accountOf(harness).executeUpdate('stopSubmits', { args: [{ reason: 'too much' }] });
    await accountOf(harness).terminate('by mistake');
    await until(async () => (await accountOf(harness).describe()).status.name === 'RUNNING');
    await untilKnown(harness);
    await until(async () => (await accountState(harness))?.causes.some(({ code }) => code === 'stopped') ?? false);
    const handle = await start('a fox');
    await until(async () => (await stateOf(handle)).hold?.code === 'stopped');
    await accountOf(harness).executeUpdate('allowSubmits');
    await handle.result();
    expect(creates()).toHaveLength(1);
  });

  test('goes on where a memo of somebody else stands in the place of the account', async () => {
    await using foreign = await startHarness({ workers: false });
    await foreign.temporal.workflow.start('notOurs', {
      workflowId: accountWorkflowId(foreign.taskQueue),
      taskQueue: 'nowhere',
      memo: { rivyaAccount: { causes: [{ code: 'stopped', phase: 'open' }] } },
    });
    await foreign.startWorkers();
    const handle = await foreign.client.start({ model: 'z-image', prompt: 'all the same' });
    await expect(handle.result()).resolves.toMatchObject({ status: 'succeeded' });
  });

  test('that has heard of a refusal only from the account pays for nothing new, and checks go on', async () => {
    await untilKnown(harness);
    await harness.emulator.setCredits(undefined, 1);
    harness.emulator.setFaults([{ on: 'create', prompt: 'slow', do: { kind: 'duration', ms: 8_000 } }]);
    const slow = await start('slow');
    await until(async () => (await stateOf(slow)).phase === 'waiting');
    const refused = await start('refused');
    await until(async () => (await stateOf(refused)).hold?.code === 'insufficient_credits');
    await until(async () => (await accountState(harness))?.causes.length === 1);
    const before = creates().length;

    // A second Worker, which has met no refusal itself, in the place of the first.
    const connection = await NativeConnection.connect({ address: harness.address });
    const settings = { ...harness.settings, roles: new Set(['api'] as const) };
    const other = await startWorkers(settings, { connection, namespace: harness.namespace, identity: 'other' });
    try {
      await untilKnown(harness, 2);
      const handles = await Promise.all(['one', 'two', 'three', 'four', 'five', 'six'].map(start));
      await until(async () => (await countOf(harness, 'held:insufficient_credits')) === 7);
      const { hold } = await stateOf(handles[0]!);
      expect(hold!.message).toMatch(/since 20.*Nothing was sent and nothing was paid/);
      expect(hold!.action).toMatch(/Add credits/);
      await expect(slow.result()).resolves.toMatchObject({ status: 'succeeded' });
      expect(creates()).toHaveLength(before);

      await harness.emulator.setCredits(undefined, 100);
      await accountOf(harness).executeUpdate('release', { args: [{ code: 'insufficient_credits' }] });
      await Promise.all([refused, ...handles].map((handle) => handle.result()));
      const { paidTasks, keys } = await harness.emulator.ledger();
      expect(paidTasks).toBe(8);
      // Nothing was posted for those that met the closed gate, so their key number has not moved.
      expect(Object.values(keys).filter(({ posts }) => posts !== 1)).toEqual([]);
      expect(Object.keys(keys)).toHaveLength(9);
    } finally {
      await other.stop();
      await connection.close();
    }
  });
});

test('a generation that costs more than there is holds, and the others go on', async () => {
  await untilKnown(harness);
  harness.emulator.setFaults([{ on: 'create', prompt: 'dear', do: { kind: 'error', code: 'insufficient_credits' } }]);
  const dear = await start('dear');
  await until(async () => (await accountState(harness))?.causes[0]?.phase === 'releasing');
  // The Worker has read that.
  const describes = vi.spyOn(harness.connection.workflowService, 'describeWorkflowExecution');
  await until(() => describes.mock.calls.length >= 2);
  const others = await Promise.all(['one', 'two', 'three'].map(start));
  await Promise.all(others.map((handle) => handle.result()));
  await until(async () => (await stateOf(dear)).hold?.code === 'insufficient_credits');
  expect((await harness.emulator.ledger()).paidTasks).toBe(3);
});

describe('an answer 429', () => {
  /** Milliseconds between the 429 and the next call. */
  function pauseAfter(): number {
    const calls = harness.emulator.requests();
    const refused = calls.findIndex(({ status }) => status === 429);
    return calls[refused + 1]!.at - calls[refused]!.at;
  }

  test.each([
    ['with Retry-After holds back every call until then', '9', 8_900],
    ['without it holds back every call for a few seconds', undefined, 4_900],
  ])('%s, and uses up no attempt', async (_, retryAfter, atLeast) => {
    await untilKnown(harness);
    const error = { kind: 'error', code: 'rate_limited', ...(retryAfter !== undefined && { retryAfter }) } as const;
    harness.emulator.setFaults([{ on: 'create', prompt: 'refused', times: 1, do: error }]);
    const first = await start('refused');
    await until(() => creates().length === 1);
    const others = await Promise.all(['two', 'three', 'four'].map(start));
    const results = await Promise.all([first, ...others].map((handle) => handle.result()));
    expect(results.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1]);
    expect(pauseAfter()).toBeGreaterThanOrEqual(atLeast);
    const { paidTasks, keys } = await harness.emulator.ledger();
    expect(paidTasks).toBe(4);
    // The same key: a 429 says that nothing was made.
    expect(Object.keys(keys)).toHaveLength(4);
    await until(async () => ((await accountState(harness))?.rateLimited.lastHour ?? 0) === 1);
  });

  test('that comes again and again is told at once, and then once in 15 s', async () => {
    await untilKnown(harness);
    harness.emulator.setFaults([{ on: 'create', times: 8, do: { kind: 'error', code: 'rate_limited' } }]);
    const handles = await Promise.all(Array.from({ length: 12 }, (_, i) => start(`fox ${i}`)));
    await until(async () => (await accountState(harness))?.rateLimited.lastAt != null);
    await Promise.all(handles.map((handle) => handle.result()));
    const [first, last] = [0, -1].map(
      (place) =>
        creates()
          .filter(({ status }) => status === 429)
          .at(place)!.at,
    );
    const spanMs = last! - first!;
    // The introduction, the first 429, and one in each 15 s.
    expect(await reportsTo(harness)).toBeLessThanOrEqual(2 + Math.ceil((spanMs + 15_000) / 15_000));
    expect((await harness.emulator.ledger()).paidTasks).toBe(12);
  });
});
