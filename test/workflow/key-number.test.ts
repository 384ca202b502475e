/**
 * When the key number moves: after a hold in which the key was posted and only refused, because an API may repeat a refusal
 * that it has stored under it; and after a task that failed. Never where nothing was posted, or a task may exist. The
 * ledger is the judge.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import { readSettings } from '../../src/config.js';
import type { GenerationResult } from '../../src/contract/index.js';
import { startEmulator, type Emulator, type Fault } from '../../src/emulator/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { stateOf } from '../support/state.js';
import { createTimeSkipping } from '../support/time-skipping.js';
import { until } from '../support/until.js';

const REFUSALS = [
  ['that stores its refusals', true],
  ['that stores no refusal', false],
] as const;

/** POSTs and tasks under each key that came with the prompt, in order. */
async function keysOf(emulator: Emulator, prompt: string): Promise<(readonly [posts: number, tasks: number])[]> {
  const { keys } = await emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${prompt}"`)));
  return mine.map(({ posts, tasks }) => [posts, tasks.length] as const);
}

/** Waits until it holds under this key number. */
async function heldAt(handle: GenerationHandle, keyNumber: number, code = 'insufficient_credits'): Promise<void> {
  await until(async () => {
    const { hold, keyNumber: number } = await stateOf(handle);
    return hold?.code === code && number === keyNumber;
  });
}

const refused = (prompt: string, times: number): Fault => {
  return { on: 'create', prompt, times, do: { kind: 'error', code: 'insufficient_credits' } };
};

describe.concurrent.each(REFUSALS)('with an API %s', (_, storeRefusals) => {
  const emulator = (faults: readonly Fault[]) => ({ switches: { storeRefusals }, faults });

  test('each resume of a hold by a refusal moves it by one; state, memo and receipt say it', async () => {
    const prompt = 'resumed';
    await using harness = await startHarness({ account: false, emulator: emulator([refused(prompt, 2)]) });
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await heldAt(handle, 1);
    const { idempotencyKey: firstKey } = await stateOf(handle);
    await handle.resume();
    await heldAt(handle, 2);
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 2, baseKey: firstKey, mayPostSince: null });
    await handle.resume();
    const { taskId, idempotencyKey } = await handle.result();
    expect(await keysOf(harness.emulator, prompt)).toEqual([
      [1, 0],
      [1, 0],
      [1, 1],
    ]);
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 3, idempotencyKey, attempt: 1 });
    const { submit, answers } = await new Receipts(harness.settings.store!, harness.emulator.url).find(firstKey!);
    expect([submit, ...answers]).toMatchObject([{ keyNumber: 3 }, { keyNumber: 3, taskId, idempotencyKey }]);
  });

  test.each<[string, (harness: Harness, handle: GenerationHandle) => Promise<unknown>]>([
    ['a reset', (harness, handle) => resetToStart(harness.temporal, handle.workflowId)],
    [
      'terminate and a second start',
      async (harness, { workflowId }) => {
        await harness.temporal.workflow.getHandle(workflowId).terminate();
        await harness.client.start({ model: 'z-image', prompt: 'started anew' }, { workflowId });
      },
    ],
  ])('%s goes on at the number that was reached', async (how, startAnew) => {
    const prompt = 'started anew';
    // Refused under number 1, and twice under number 2: an API without a memory refuses by itself.
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: emulator([refused(prompt, 3)]),
    });
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: how });
    await heldAt(handle, 1);
    await handle.resume();
    await heldAt(handle, 2);
    const { runId } = await handle.describe();
    await startAnew(harness, handle);
    await until(async () => (await handle.describe()).runId !== runId);
    await until(async () => (await keysOf(harness.emulator, prompt))[1]?.[0] === 2);
    await heldAt(handle, 2);
    harness.emulator.setFaults([]);
    await handle.resume();
    const { taskId } = await handle.result();
    expect(await keysOf(harness.emulator, prompt)).toEqual([
      [1, 0],
      [2, 0],
      [1, 1],
    ]);
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 3, taskId });
  });

  test('it counts on over attempts: a refusal and a failed task before the task that succeeds', async () => {
    const prompt = 'refused, then failed';
    const faults: Fault[] = [refused(prompt, 1), { on: 'create', prompt, skip: 1, times: 1, do: { kind: 'fail' } }];
    await using harness = await startHarness({ account: false, emulator: emulator(faults) });
    const handle = await harness.client.start({ model: 'z-image', prompt, options: { maxAttempts: 2 } });
    await heldAt(handle, 1);
    await handle.resume();
    expect(await handle.result()).toMatchObject({ attempts: 2 });
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 3, attempt: 2 });
    expect(await keysOf(harness.emulator, prompt)).toEqual([
      [1, 0],
      [1, 1],
      [1, 1],
    ]);
  });

  test('it stays where an earlier POST of the key has no answer: the task is found under it', async () => {
    const prompt = 'lost, then refused';
    const faults: Fault[] = [{ on: 'create', prompt, times: 1, do: { kind: 'dropAfter' } }, refused(prompt, 1)];
    await using harness = await startHarness({ account: false, emulator: emulator(faults) });
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await heldAt(handle, 1);
    await handle.resume();
    await handle.result();
    expect(await keysOf(harness.emulator, prompt)).toEqual([[3, 1]]);
  });
});

test.concurrent.each<[string, NodeJS.ProcessEnv]>([
  ['without a store', { RIVYA_STORE: '' }],
  ['with receipts in a store', {}],
])('a task under the second number is found after a reset, when the API has forgotten all keys: %s', async (_, env) => {
  const prompt = 'found again';
  const emulator = { switches: { storeRefusals: true }, faults: [refused(prompt, 1)] };
  await using harness = await startHarness({ account: false, env, emulator });
  const handle = await harness.client.start({ model: 'z-image', prompt });
  await heldAt(handle, 1);
  await handle.resume();
  const { taskId, idempotencyKey } = await handle.result();
  harness.emulator.setSwitches({ keyLifetimeMs: 1 });
  await resetToStart(harness.temporal, handle.workflowId);
  expect(await handle.result()).toMatchObject({ taskId, idempotencyKey, reused: true });
  expect((await harness.emulator.ledger()).paidTasks).toBe(1);
});

describe.concurrent('the key number stays', () => {
  test('after a hold in which nothing was posted: there was no API key', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'rivya-key-number-'));
    const file = path.join(directory, 'key');
    await writeFile(file, 'rvya_sk_at_the_start');
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_API_KEY: undefined, RIVYA_API_KEY_FILE: file },
    });
    // The Workers read it for their first call.
    await writeFile(file, '');
    const prompt = 'no key in the file';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await heldAt(handle, 1, 'api_key_missing');
    await handle.resume();
    await until(async () => (await stateOf(handle)).hold === null);
    await heldAt(handle, 1, 'api_key_missing');
    expect(harness.emulator.requests().filter(({ method }) => method === 'POST')).toEqual([]);
    await writeFile(file, harness.emulator.apiKey);
    await handle.resume();
    await handle.result();
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 1 });
    expect(await keysOf(harness.emulator, prompt)).toEqual([[1, 1]]);
    await rm(directory, { recursive: true });
  });

  test('with a key of your own, and the hold says that only another one helps against a stored refusal', async () => {
    const prompt = 'own';
    await using harness = await startHarness({ account: false, emulator: { faults: [refused(prompt, 1)] } });
    const handle = await harness.client.start({ model: 'z-image', prompt, idempotencyKey: 'order/7' });
    await heldAt(handle, 1);
    const { hold } = await stateOf(handle);
    expect(hold!.message).toContain('only another idempotencyKey helps');
    await handle.resume();
    expect(await handle.result()).toMatchObject({ idempotencyKey: 'order/7' });
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 1 });
    expect(await keysOf(harness.emulator, prompt)).toEqual([[2, 1]]);
  });
});

// The test server locks up with several Workflows in flight: one at a time.
describe('a hold that nobody answers', () => {
  const taskQueue = `test-${randomUUID()}`;
  let env: TestWorkflowEnvironment;
  let emulator: Emulator;
  let workers: RunningWorkers;
  beforeAll(async () => {
    env = await createTimeSkipping();
    emulator = await startEmulator({ clock: () => env.currentTimeMs(), durations: { image: 10_000 } });
    const settings = readSettings({
      RIVYA_API_KEY: emulator.apiKey,
      RIVYA_BASE_URL: emulator.url,
      RIVYA_TASK_QUEUE: taskQueue,
      RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
      RIVYA_PATIENCE: '0',
    });
    const workflows = { workflowBundle: { codePath: inject('bundle') } };
    const place = { connection: env.nativeConnection, namespace: 'default' };
    workers = await startWorkers(settings, { ...place, workflows, account: false });
  });
  afterAll(async () => {
    await workers.stop();
    await emulator.close();
    await env.teardown();
  });

  test.each(REFUSALS)('is tried again by itself under the next number, with an API %s', async (how, storeRefusals) => {
    emulator.reset();
    emulator.setSwitches({ storeRefusals });
    emulator.setFaults([{ on: 'create', times: 2, do: { kind: 'error', code: 'api_scope_denied' } }]);
    const args = [{ model: 'z-image', prompt: how }];
    const result: GenerationResult = await env.client.workflow.execute('generateMedia', {
      workflowId: randomUUID(),
      taskQueue,
      args,
    });
    expect(result).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(await keysOf(emulator, how)).toEqual([
      [1, 0],
      [1, 0],
      [1, 1],
    ]);
  });
});
