/** The account on a real server: it releases what a shared cause holds, once it is over. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { STOPPED } from '../../src/contract/index.js';
import type { GenerationHandle } from '../../src/client.js';
import { startAccount } from '../support/account.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

const CREDITS = 'insufficient_credits';
const error = (code: string, status: number) =>
  ({ kind: 'reply', status, body: JSON.stringify({ error: { code, message: code, requestId: 'req_1' } }) }) as const;

const start = (harness: Harness, prompts: readonly string[]): Promise<GenerationHandle[]> =>
  Promise.all(prompts.map((prompt) => harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt })));

async function held(handle: GenerationHandle, code: string): Promise<void> {
  await until(async () => (await stateOf(handle)).hold?.code === code);
}

const probes = ({ emulator }: Harness): number[] =>
  emulator
    .requests()
    .filter((request) => request.path.endsWith('/credits'))
    .map(({ at }) => at);

test('missing credits: one probe a minute for all, and after a top-up all that they held go on, each paid once', async () => {
  await using harness = await startHarness({
    account: false,
    emulator: { credits: 0, faults: [{ on: 'create', prompt: 'other', do: error('api_key_revoked', 401) }] },
  });
  const account = await startAccount(harness);
  await account.looked();
  const prompts = Array.from({ length: 8 }, (_, n) => `heron-${n}`);
  const handles = await start(harness, prompts);
  const [other] = (await start(harness, ['other'])) as [GenerationHandle];
  await Promise.all([...handles.map((handle) => held(handle, CREDITS)), held(other, 'api_key_revoked')]);
  for (const _ of prompts) await account.refused(CREDITS);
  await account.until(({ causes }) => causes[0]?.credits === 0);
  expect((await account.memo()).causes).toMatchObject([{ code: CREDITS, phase: 'open' }]);
  await account.until(({ look }) => look?.heldBy?.[CREDITS] === 8);
  await harness.emulator.setCredits(undefined, 100);
  await Promise.all(handles.map((handle) => handle.result()));
  await account.until(({ causes }) => causes.length === 0);
  const { paidTasks, keys } = await harness.emulator.ledger();
  expect(paidTasks).toBe(8);
  expect(Object.values(keys).filter(({ tasks }) => tasks.length > 1)).toEqual([]);
  // A hold of another cause takes no notice.
  expect((await stateOf(other)).hold?.code).toBe('api_key_revoked');
  const times = probes(harness);
  expect(times.slice(1).filter((at, index) => at - times[index]! < 55_000)).toEqual([]);
});

test('a key that is rotated in its file is noticed by a probe, without a person', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-account-'));
  const keyFile = path.join(directory, 'key');
  const keys = ['rvya_sk_first', 'rvya_sk_second'].map((key) => ({ key }));
  await writeFile(keyFile, keys[0]!.key);
  {
    await using harness = await startHarness({
      env: { RIVYA_API_KEY: '', RIVYA_API_KEY_FILE: keyFile },
      emulator: { keys: [{ ...keys[0]!, state: 'revoked' }, keys[1]!] },
    });
    const account = await startAccount(harness);
    const handles = await start(harness, ['a', 'b', 'c']);
    await Promise.all(handles.map((handle) => held(handle, 'api_key_revoked')));
    await account.refused('api_key_revoked');
    await account.until(({ causes }) => (causes[0]?.probes ?? 0) > 0);
    await writeFile(keyFile, keys[1]!.key);
    await Promise.all(handles.map((handle) => handle.result()));
    expect((await harness.emulator.ledger()).paidTasks).toBe(3);
  }
  await rm(directory, { recursive: true });
});

test('a stop holds those that would rather fail, and ends for all; one that is held anew keeps nobody waiting', async () => {
  await using harness = await startHarness({
    account: false,
    // What a Worker answers while submits are stopped.
    emulator: {
      faults: [
        { on: 'create', prompt: 'odd', do: error(STOPPED, 403) },
        { on: 'create', times: 3, do: error(STOPPED, 403) },
      ],
    },
  });
  const account = await startAccount(harness);
  await account.looked();
  expect(await account.request('stopSubmits', { reason: 'too dear' })).toMatch(/^Stopped/);
  expect((await account.memo()).causes).toMatchObject([{ code: STOPPED, phase: 'open', message: 'too dear' }]);
  const handles = await Promise.all(
    ['a', 'b', 'c'].map((prompt) =>
      harness.client.start({ model: 'z-image', prompt, options: { onActionNeeded: 'fail' } }, { workflowId: prompt }),
    ),
  );
  const [odd] = (await start(harness, ['odd'])) as [GenerationHandle];
  await Promise.all([...handles, odd].map((handle) => held(handle, STOPPED)));
  await account.request('refresh');
  expect((await account.state()).look?.heldBy).toEqual({ [STOPPED]: 4 });
  await account.request('allowSubmits');
  await Promise.all(handles.map((handle) => handle.result()));
  await account.until(({ causes }) => causes.length === 0);
  expect((await stateOf(odd)).hold?.code).toBe(STOPPED);
  expect((await harness.emulator.ledger()).paidTasks).toBe(3);
});

test('in a namespace without the search attributes nobody is released, and the page says so', async () => {
  await using harness = await startHarness({ attributes: false, emulator: { credits: 0 } });
  const account = await startAccount(harness);
  const [handle] = (await start(harness, ['a'])) as [GenerationHandle];
  await held(handle, CREDITS);
  await account.refused(CREDITS);
  await account.until(({ look, causes }) => look !== null && causes.length === 1);
  expect((await account.state()).look?.heldBy).toBeNull();
  await account.request('release', { code: CREDITS });
  await account.until(({ causes }) => causes.length === 0);
  expect((await stateOf(handle)).hold?.code).toBe(CREDITS);
  await harness.emulator.setCredits(undefined, 100);
  // A person can name the cause: another one is refused.
  await expect(handle.resume({ code: STOPPED })).rejects.toThrow(/not by stopped/);
  await handle.resume({ code: CREDITS });
  await handle.result();
});

describe('refresh', () => {
  test('answers with what is held, what runs and the balance', async () => {
    await using harness = await startHarness({ emulator: { credits: 77 } });
    const account = await startAccount(harness);
    expect(await account.request('refresh')).toBe('none held, 0 running, 0 calls wait; balance 77 credits.');
    expect((await account.memo()).balance).toMatchObject({ credits: 77, simulated: true });
    expect(probes(harness)).toHaveLength(1);
  });

  test('answers after some seconds with what it has, where the API queue is closed; a stop works all the same', async () => {
    await using harness = await startHarness();
    const account = await startAccount(harness);
    await account.looked();
    await account.report({ rateLimited: { count: 1, retryAfterMs: 600_000, callsBefore: 600 } });
    await until(async () => (await account.atService())?.perSecond === 0);
    const refreshed = account.request('refresh');
    expect(await account.request('stopSubmits')).toMatch(/^Stopped/);
    expect(await refreshed).toContain('not all is known yet');
  });
});

test('without a Worker that looks, requests and reports are taken; the look comes when there is one', async () => {
  await using harness = await startHarness({ workers: false });
  await harness.startWorkers({ roles: new Set(['workflows']) });
  const account = await startAccount(harness);
  await account.request('stopSubmits', { reason: 'first things first' });
  await account.report({ rateLimited: { count: 1, retryAfterMs: null, callsBefore: 600 } });
  await account.until(({ rate }) => rate.set === 300);
  expect((await account.state()).look).toBeNull();
  await harness.startWorkers({ roles: new Set(['results']) });
  await account.looked();
  await until(async () => (await account.perMinute()) === 300);
});

test('terminated twice before a look, it hides nothing, and the next look finds the stop', async () => {
  await using harness = await startHarness({ workers: false });
  await harness.startWorkers({ roles: new Set(['workflows']) });
  const looking = await harness.startWorkers({ roles: new Set(['results']) });
  const account = await startAccount(harness);
  await account.looked();
  await account.request('stopSubmits', { reason: 'too dear' });
  await looking.stop();
  for (let n = 0; n < 2; n++) {
    await account.handle.terminate();
    await account.start();
    await account.until(({ look }) => look === null);
    // Workers go on with the memo that they have read.
    expect(await account.memo()).toBeUndefined();
  }
  await harness.startWorkers({ roles: new Set(['results']) });
  await account.until(({ causes }) => causes[0]?.code === 'stopped');
  expect((await account.memo()).causes).toHaveLength(1);
});

test('it continues as new with all that it knows, and writes its memo again', async () => {
  await using harness = await startHarness({
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': '30' },
  });
  const account = await startAccount(harness);
  await account.looked();
  const { runId } = await account.handle.describe();
  await account.request('stopSubmits', { reason: 'too dear' });
  await account.report({ rateLimited: { count: 1, retryAfterMs: null, callsBefore: 600 } });
  for (let n = 0; n < 12; n++) await account.report({ identity: `worker-${n}` });
  await until(async () => (await account.handle.describe()).runId !== runId);
  await account.until(({ causes, rate }) => causes.length === 1 && rate.set === 300);
  const memo = await account.memo();
  expect(memo.causes).toMatchObject([{ code: STOPPED, message: 'too dear' }]);
  expect(await account.request('allowSubmits')).toContain('over');
  await account.until(({ causes }) => causes.length === 0);
});
