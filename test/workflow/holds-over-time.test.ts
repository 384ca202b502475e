/** Holds of hours in seconds. The test server locks up with several Workflows in flight: one at a time. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { readSettings } from '../../src/config.js';
import type { GenerateMediaInput, GenerationResult, GenerationState } from '../../src/contract/index.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { quietRuntime } from '../support/harness.js';
import { createTimeSkipping } from '../support/time-skipping.js';
import { until } from '../support/until.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const KEYS = ['rvya_sk_the_first', 'rvya_sk_the_second', 'rvya_sk_the_third'].map((key) => ({ key }));
const taskQueue = `test-${randomUUID()}`;
let env: TestWorkflowEnvironment;
let emulator: Emulator;
let workers: RunningWorkers;
let directory: string;
let keyFile: string;

beforeAll(async () => {
  quietRuntime();
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-holds-'));
  keyFile = path.join(directory, 'key');
  await writeFile(keyFile, KEYS[0]!.key);
  env = await createTimeSkipping();
  emulator = await startEmulator({
    clock: () => env.currentTimeMs(),
    durations: { image: 10_000, video: 3 * HOUR },
    keys: KEYS,
  });
  const settings = readSettings({
    RIVYA_API_KEY_FILE: keyFile,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_TASK_QUEUE: taskQueue,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
    RIVYA_PATIENCE: '0',
    RIVYA_STORE: `file:${path.join(directory, 'store')}`,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
  });
  workers = await startWorkers(settings, {
    connection: env.nativeConnection,
    namespace: 'default',
    workflows: { workflowBundle: { codePath: inject('bundle') } },
    account: false,
  });
});
afterAll(async () => {
  await workers.stop();
  await emulator.close();
  await env.teardown();
  await rm(directory, { recursive: true });
});
beforeEach(() => emulator.reset());

const start = (input: GenerateMediaInput) =>
  env.client.workflow.start<(input: GenerateMediaInput) => Promise<GenerationResult>>('generateMedia', {
    workflowId: randomUUID(),
    taskQueue,
    args: [input],
  });

/** Minutes between the calls of one kind, first to last. */
function minutesBetween(method: 'GET' | 'POST'): number[] {
  const times = emulator
    .requests()
    .filter((request) => request.method === method && request.path.includes('/generations'));
  return times.slice(1).map(({ at }, index) => (at - times[index]!.at) / MINUTE);
}

/** Each wait is at least its own length, and at most a fifth longer: holds of one cause do not end together. */
function expectPace(minutes: readonly number[], pace: readonly number[]): void {
  expect(minutes.map((wait, index) => wait >= pace[index]! && wait < pace[index]! * 1.2 + 0.2)).toEqual(
    pace.map(() => true),
  );
}

describe('a hold that nobody answers is tried again by itself', () => {
  test.each(['insufficient_credits', 'api_key_revoked', 'api_scope_denied'] as const)(
    '%s after 30 to 60 min, in case the account cannot release it',
    async (code) => {
      emulator.setFaults([{ on: 'create', times: 5, do: { kind: 'error', code } }]);
      const handle = await start({ model: 'z-image', prompt: `${code} for hours` });
      const { taskId } = await handle.result();
      const waits = minutesBetween('POST');
      expect(waits).toHaveLength(5);
      expect(waits.filter((minutes) => minutes < 30 || minutes > 61)).toEqual([]);
      expect(await emulator.ledger()).toMatchObject({ paidTasks: 1, tasks: { [taskId]: expect.anything() } });
    },
  );

  test('a dead result link after fresh ones for two minutes, and then after 5 min, growing', async () => {
    emulator.setFaults([{ on: 'media', times: 8, do: { kind: 'reply', status: 404, body: '' } }]);
    const handle = await start({ model: 'z-image', prompt: 'late in the store' });
    const { files, taskId } = await handle.result();
    expect(files).toHaveLength(1);
    const checks = minutesBetween('GET').map((minutes) => minutes * 60);
    // The first checks are those until it has succeeded.
    const linksAfter = checks.slice(-8);
    expectPace(
      linksAfter.slice(0, 5).map((seconds) => seconds / 60),
      [5, 10, 20, 40, 45].map((seconds) => seconds / 60),
    );
    expectPace(
      linksAfter.slice(5).map((seconds) => seconds / 60),
      [5, 10, 20],
    );
    expect(await emulator.ledger()).toMatchObject({ paidTasks: 1, tasks: { [taskId]: expect.anything() } });
  });

  test('says since when it holds, not when it was last tried', async () => {
    emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'insufficient_credits' } }]);
    const handle = await start({ model: 'z-image', prompt: 'poor since' });
    const hold = async () => (await handle.query<GenerationState>('generation')).hold;
    await until(async () => (await hold()) !== null);
    const first = await hold();
    const posts = (): number => emulator.requests().filter(({ method }) => method === 'POST').length;
    await env.sleep('61m');
    await until(async () => posts() >= 2 && (await hold()) !== null);
    expect((await hold())?.since).toBe(first?.since);
    emulator.setFaults([]);
    await handle.result();
  });
});

test('a wrong task that a person named while the API is away is refused when it is back, and they are asked again', async () => {
  emulator.setFaults([
    { on: 'create', times: 1, do: { kind: 'dropAfter' } },
    { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
    { on: 'status', do: { kind: 'error', code: 'public_api_disabled' } },
  ]);
  const handle = await start({ model: 'z-image', prompt: 'named while the API is away' });
  const hold = async () => (await handle.query<GenerationState>('generation')).hold;
  await until(async () => (await hold())?.code === 'SubmitUnresolved');
  await handle.executeUpdate('resume', { args: [{ taskId: 'task_wrong' }] });
  await until(async () => (await hold()) === null);
  await env.sleep('5m');
  emulator.setFaults([]);
  // Asked for again within ten minutes.
  await env.sleep('11m');
  await until(async () => (await hold())?.message.includes('task_wrong') ?? false);
  expect((await hold())?.code).toBe('SubmitUnresolved');
  expect((await emulator.ledger()).paidTasks).toBe(1);
  // Skipped time is not that of the Worker, so the right task would seem to be too old.
  await handle.terminate();
});

test('the deadline stands still while held', async () => {
  // Five holds of 30 to 60 min: longer than the deadline.
  emulator.setFaults([{ on: 'status', times: 5, do: { kind: 'error', code: 'insufficient_credits' } }]);
  const handle = await start({ model: 'veo3-1-lite', prompt: 'held for long', options: { deadline: '90m' } });
  const { status, taskId } = await handle.result();
  expect(status).toBe('succeeded');
  const { paidTasks, tasks } = await emulator.ledger();
  expect(paidTasks).toBe(1);
  const { checks } = tasks[taskId]!;
  expect(checks.at(-1)! - checks[0]!).toBeGreaterThan(2.5 * HOUR);
});

describe('a key that is rotated in its file, once the old one is revoked', () => {
  const code = async (handle: { query<T>(name: string): Promise<T> }): Promise<string | undefined> =>
    (await handle.query<GenerationState>('generation')).hold?.code;

  test.each([
    ['submit', KEYS[0]!, KEYS[1]!],
    ['check', KEYS[1]!, KEYS[2]!],
  ] as const)('is used at the %s without a restart and without a person: one paid task', async (call, old, next) => {
    const revoked = [...KEYS.filter((key) => key !== old), { ...old, state: 'revoked' as const }];
    if (call === 'submit') emulator.setKeys(revoked);
    const handle = await start({ model: 'z-image', prompt: `rotated at the ${call}` });
    if (call === 'check') {
      await until(async () => (await emulator.ledger()).paidTasks === 1);
      emulator.setKeys(revoked);
      // The first check is due after 3 s at the latest.
      await env.sleep('4s');
    }
    await until(async () => (await code(handle)) === 'api_key_revoked');
    await writeFile(keyFile, next.key);
    const { taskId } = await handle.result();
    const { paidTasks, tasks } = await emulator.ledger();
    expect({ paidTasks, tasks: Object.keys(tasks) }).toEqual({ paidTasks: 1, tasks: [taskId] });
    // Refused, tried a minute later with the key that the Worker still knew, and after that with the new one.
    const refused = emulator.requests().filter(({ status }) => status === 401);
    expect(refused.length).toBeGreaterThanOrEqual(1);
    expect(refused.length).toBeLessThanOrEqual(2);
  });
});
