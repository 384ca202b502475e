/** The link of a Worker to the account, against a Service that answers as the test says. */
import { ServiceError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRivyaClient, keyFile, RivyaApiError, staticKey, type KeySource } from '../../src/api/index.js';
import type { AccountState, WorkerReport } from '../../src/contract/index.js';
import { startEmulator, type Emulator, type EmulatorKey } from '../../src/emulator/index.js';
import { AccountLink } from '../../src/worker/account.js';
import { watchedClient, watchedKeys } from '../../src/worker/watched.js';
import { quietRuntime } from '../support/harness.js';
import { until } from '../support/until.js';

const NOW = '2026-11-29T12:00:00.000Z';
const state = (causes: AccountState['causes'] = []): AccountState => ({
  queue: 'rivya-api',
  updatedAt: NOW,
  rate: { configured: 60, set: null, by: 'workers', reason: '', closedUntil: null, nextStepAt: null },
  causes,
  rateLimited: { lastHour: 0, lastAt: null, byOthers: false },
  workers: {},
  look: null,
  balance: null,
});
const stopped: AccountState['causes'][number] = {
  code: 'stopped',
  phase: 'open',
  since: NOW,
  message: 'too much',
  requestId: null,
  fingerprint: null,
  credits: null,
  probes: 0,
  nextProbeAt: null,
};

/** A Service with an account, or without one; and what it was told. */
function service() {
  const told: { readonly report: WorkerReport; readonly workflowId: string }[] = [];
  const at = { memo: null as unknown, says: null as unknown, run: 'none', status: 'RUNNING', isAway: false, reads: 0 };
  const refuseWhileAway = (): void => {
    if (at.isAway) throw new ServiceError('the Service is away');
  };
  const client = {
    options: { namespace: 'default' },
    withDeadline: (_: unknown, work: () => unknown) => work(),
    workflow: {
      getHandle: (workflowId: string) => ({
        describe: async () => {
          at.reads++;
          refuseWhileAway();
          if (at.run === 'none') throw new WorkflowNotFoundError('none', workflowId, undefined);
          const raw = { workflowExecutionInfo: { firstRunId: at.run } };
          return { type: 'rivyaAccount', status: { name: at.status }, memo: { rivyaAccount: at.memo }, raw };
        },
        query: async () => {
          if (at.says === null) throw new ServiceError('no Worker answers');
          return at.says;
        },
      }),
      signalWithStart: async (
        _: string,
        { workflowId, signalArgs }: { workflowId: string; signalArgs: [WorkerReport] },
      ) => {
        refuseWhileAway();
        told.push({ report: signalArgs[0], workflowId });
        if (at.run === 'none' || at.status !== 'RUNNING')
          Object.assign(at, { run: `run ${told.length}`, status: 'RUNNING' });
      },
    },
  } as unknown as Client;
  return { at, told, client };
}

let emulator: Emulator;
let served: ReturnType<typeof service>;
const links: AccountLink[] = [];
beforeEach(async () => {
  // The link logs by the runtime of the process, which is one for all tests.
  quietRuntime();
  emulator = await startEmulator();
  served = service();
});
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(links.splice(0).map((link) => link.stop()));
  await emulator.close();
});

function startLink(source: KeySource = staticKey(emulator.apiKey)) {
  const link = new AccountLink({ taskQueue: 'rivya', keys: source, perMinute: 60 });
  links.push(link);
  link.start({ client: served.client, identity: 'me' });
  const keys = watchedKeys(source, link);
  const api = watchedClient(createRivyaClient({ baseUrl: emulator.url, keys }), link);
  const create = (name: string) =>
    api.createGeneration({ idempotencyKey: name, body: '{"model":"z-image","prompt":"a fox"}' });
  return { link, api, keys, create };
}
const codesTold = () => served.told.flatMap(({ report }) => report.refused ?? []).map(({ code }) => code);
const KEY = 'rvya_sk_emulator';

test('it introduces the Worker once, by a digest of its key, and an account that is gone again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'Date'] });
  startLink();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(served.told).toEqual([
    {
      workflowId: 'rivya-account/rivya-api',
      report: { identity: 'me', fingerprint: expect.any(String), perMinute: 60, calls: { made: 0, failed: 0 } },
    },
  ]);
  expect(JSON.stringify(served.told)).not.toContain(KEY);
  // One read in 10 s.
  expect(served.at.reads).toBeLessThanOrEqual(8);
  Object.assign(served.at, { status: 'TERMINATED' });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(served.told).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(11_000);
  // Another Worker has started another one.
  Object.assign(served.at, { run: 'another' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(served.told).toHaveLength(3);
});

test('a Service that is away stops nothing: what was known last counts, and it is tried again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'Date'] });
  Object.assign(served.at, { isAway: true });
  const { link } = startLink();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await link.closedBy()).toBeNull();
  Object.assign(served.at, { isAway: false, run: 'first', memo: state([stopped]) });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(served.told).toHaveLength(1);
  expect(await link.closedBy()).toMatchObject({ code: 'stopped', message: 'too much' });
  Object.assign(served.at, { isAway: true });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await link.closedBy()).toMatchObject({ code: 'stopped' });
  Object.assign(served.at, { isAway: false, memo: { causes: 'none' } });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(await link.closedBy()).toMatchObject({ code: 'stopped' });
  // A payment that would wait looks first, so that a release counts at once.
  Object.assign(served.at, { memo: state() });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await link.closedBy()).toBeNull();
});

test('the first payment waits for the first answer of the Service', async () => {
  Object.assign(served.at, { run: 'first', memo: state([stopped]) });
  const { link } = startLink();
  expect(await link.closedBy()).toMatchObject({ code: 'stopped' });
});

test('a stop that no memo has yet holds the first payment: the account itself is asked', async () => {
  Object.assign(served.at, { run: 'first', memo: state(), says: state([stopped]) });
  expect(await startLink().link.closedBy()).toMatchObject({ code: 'stopped' });
  // Before its first look it does not know what the run before has left in the memo.
  Object.assign(served.at, { memo: state([stopped]), says: state() });
  expect(await startLink().link.closedBy()).toMatchObject({ code: 'stopped' });
});

test('it stops at once, and tells nothing later', async () => {
  const { link, create } = startLink();
  await until(() => served.told.length === 1);
  await link.stop();
  const { reads } = served.at;
  emulator.setKeys([]);
  await create('late').catch(() => undefined);
  expect(served.at.reads).toBe(reads);
  expect(served.told).toHaveLength(1);
});

describe('a refusal that all share', () => {
  const keyed = (change: Partial<EmulatorKey>): EmulatorKey[] => [{ key: KEY, ...change }];

  test.each([
    ['insufficient_credits', () => emulator.setCredits(undefined, 0)],
    ['api_key_invalid', () => emulator.setKeys([])],
    ['api_key_revoked', () => emulator.setKeys(keyed({ state: 'revoked' }))],
    ['api_key_expired', () => emulator.setKeys(keyed({ state: 'expired' }))],
    ['api_scope_denied', () => emulator.setKeys(keyed({ scopes: ['credits:read'] }))],
  ] as const)('%s is told once, and holds back what this Worker would pay', async (code, arrange) => {
    await arrange();
    const { link, create } = startLink();
    const all = Array.from({ length: 30 }, (_, index) => create(`fox-${index}`));
    expect((await Promise.allSettled(all)).every(({ status }) => status === 'rejected')).toBe(true);
    expect(await link.closedBy()).toMatchObject({ code, message: expect.stringContaining(code) });
    await until(() => served.told.some(({ report }) => report.refused !== undefined));
    expect(codesTold()).toEqual([code]);
  });

  test('api_key_missing is told without a call', async () => {
    const { link, keys } = startLink(keyFile('/nowhere/key'));
    expect(await keys.current()).toBeNull();
    await until(() => codesTold().includes('api_key_missing'));
    expect(await link.closedBy()).toMatchObject({ code: 'api_key_missing' });
    expect(emulator.requests()).toEqual([]);
  });

  test('of a scope that not every generation needs stays where it is', async () => {
    emulator.setKeys(keyed({ scopes: ['generations:create', 'generations:read'] }));
    const { link, api, create } = startLink();
    await expect(api.getCredits()).rejects.toMatchObject({ code: 'api_scope_denied' });
    await expect(api.createChat({ idempotencyKey: 'c', body: '{}' })).rejects.toBeInstanceOf(RivyaApiError);
    await expect(create('fox')).resolves.toMatchObject({ task: { status: 'queued' } });
    expect(await link.closedBy()).toBeNull();
    expect(codesTold()).toEqual([]);
  });

  test('that the account holds generations for already is told no more', async () => {
    Object.assign(served.at, { run: 'first', memo: state([{ ...stopped, code: 'insufficient_credits' }]) });
    await emulator.setCredits(undefined, 0);
    const { link, create } = startLink();
    await link.closedBy();
    await create('fox').catch(() => undefined);
    await until(() => served.told.length > 0);
    expect(codesTold()).toEqual([]);
  });
});

describe('an answer 429', () => {
  test('is told with the calls before it, and holds back every call for as long as the API asks', async () => {
    const { api, create, link } = startLink();
    for (let i = 0; i < 5; i++) await api.getCredits();
    emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'rate_limited', retryAfter: '30' } }]);
    await expect(create('fox')).rejects.toMatchObject({ code: 'rate_limited', httpStatus: 429 });
    const calls = emulator.requests().length;
    await expect(api.getCredits()).rejects.toMatchObject({
      outcome: 'refused',
      code: 'rate_limited',
      httpStatus: null,
      message: expect.stringMatching(/No request was sent and nothing was paid/),
    });
    expect(emulator.requests()).toHaveLength(calls);
    await until(() => served.told.some(({ report }) => report.rateLimited !== undefined));
    const { rateLimited } = served.told.at(-1)!.report;
    expect(rateLimited).toEqual({ count: 1, retryAfterMs: 30_000, callsBefore: 5 });
    // Payments are not held: it is a pause.
    expect(await link.closedBy()).toBeNull();
  });

  test('with a short pause makes the next call wait, and then it is sent', async () => {
    const { api, create } = startLink();
    emulator.setFaults([{ on: 'create', times: 1, do: { kind: 'error', code: 'rate_limited', retryAfter: '2' } }]);
    await expect(create('fox')).rejects.toMatchObject({ httpStatus: 429 });
    const refusedAt = emulator.requests().at(-1)!.at;
    await api.getCredits();
    expect(emulator.requests().at(-1)!.at - refusedAt).toBeGreaterThanOrEqual(1_900);
  });
});

test('calls that fail are told where they are many, and not one by one', async () => {
  const { api } = startLink();
  await until(() => served.told.length === 1);
  for (let n = 0; n < 8; n++) await api.getCredits();
  emulator.setFaults([{ on: 'credits', times: 4, do: { kind: 'error', code: 'internal_error' } }]);
  for (let n = 0; n < 4; n++) await api.getCredits().catch(() => undefined);
  await until(() => served.told.length === 2);
  expect(served.told[1]!.report.calls).toEqual({ made: 10, failed: 2 });
  await api.getCredits();
  expect(served.told).toHaveLength(2);
});
