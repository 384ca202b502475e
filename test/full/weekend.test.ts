/** Nobody is there when the deadline passes: no Worker, or no API. A job that has finished meanwhile is delivered. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { GenerationError } from '../../src/client.js';
import { startEmulator } from '../../src/emulator/index.js';
import { runCommand } from '../cli/command.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

// The machine may be busy with the other tests of this file.
const LIMIT_MS = 90_000;

/** Every task of a test belongs to its one generation. */
async function finished({ emulator }: Pick<Harness, 'emulator'>): Promise<boolean> {
  const tasks = Object.values((await emulator.ledger()).tasks);
  return tasks.length === 1 && tasks.every(({ status }) => status === 'succeeded');
}

async function passed(deadlineMs: number, startedAt: number): Promise<void> {
  await until(() => Date.now() > startedAt + deadlineMs, LIMIT_MS);
}

describe.concurrent('a job that finished while the deadline passed is delivered', () => {
  test('when no Worker ran', async () => {
    await using harness = await startHarness({ workers: false, emulator: { durations: { image: 4_000 } } });
    const workers = await harness.startWorkers();
    const handle = await harness.client.start({ model: 'z-image', prompt: 'a', options: { deadline: '3s' } });
    await until(async () => Object.keys((await harness.emulator.ledger()).tasks).length === 1, LIMIT_MS);
    const startedAt = Date.now();
    await workers.stop();
    await until(() => finished(harness), LIMIT_MS);
    await passed(5_000, startedAt);
    await harness.startWorkers();
    expect(await handle.result()).toMatchObject({ status: 'succeeded', files: [expect.anything()] });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('when the last answer came before the deadline, and no Worker was there to read it', async () => {
    await using harness = await startHarness({
      workers: false,
      emulator: {
        durations: { image: 16_000 },
        // Asked for long before the deadline, while the task is under way.
        faults: [{ on: 'status', times: 1, do: { kind: 'delayAfter', ms: 12_000 } }],
      },
    });
    await harness.startWorkers({ roles: new Set(['api']) });
    const workflows = await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'b', options: { deadline: '15s' } });
    const startedAt = Date.now();
    await until(() => harness.emulator.requests().some(({ path: asked }) => asked.includes('/generations/')), LIMIT_MS);
    await workflows.stop();
    const answered = async (): Promise<boolean> => {
      const { events } = await harness.temporal.workflow.getHandle(handle.workflowId).fetchHistory();
      return events!.filter((event) => event.activityTaskCompletedEventAttributes != null).length === 2;
    };
    await until(answered, LIMIT_MS);
    await until(() => finished(harness), LIMIT_MS);
    await passed(15_000, startedAt);
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    expect(await handle.result()).toMatchObject({ status: 'succeeded', statusChecks: 2 });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('when the API could not be reached', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'weekend-'));
    const options = { stateFile: path.join(directory, 'state.json'), durations: { image: 4_000 } };
    const before = await startEmulator(options);
    await using harness = await startHarness({
      env: { RIVYA_BASE_URL: before.url, RIVYA_TRUSTED_RESULT_HOSTS: new URL(before.url).host },
    });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'c', options: { deadline: '3s' } });
    await until(async () => (await before.ledger()).paidTasks === 1, LIMIT_MS);
    const startedAt = Date.now();
    await before.close();
    await passed(6_000, startedAt);
    const after = await startEmulator({ ...options, port: Number(new URL(before.url).port) });
    try {
      expect(await handle.result()).toMatchObject({ status: 'succeeded', files: [expect.anything()] });
      expect((await after.ledger()).paidTasks).toBe(1);
    } finally {
      await after.close();
      await rm(directory, { recursive: true });
    }
  });
});

test('a passed deadline says all that is known, and the very command that it prints takes the task up without a POST', async () => {
  await using harness = await startHarness({ emulator: { durations: { image: 9_000 } } });
  const handle = await harness.client.start({ model: 'z-image', prompt: 'd', options: { deadline: '1s' } });
  const failure: unknown = await handle.result().catch((error: unknown) => error);
  const { code, message, details } = failure as GenerationError;
  expect(code).toBe('DeadlinePassed');
  const [taskId] = Object.keys((await harness.emulator.ledger()).tasks);
  const words = { status: expect.stringMatching(/queued|processing/), ageMs: expect.any(Number) };
  expect(details).toMatchObject({ taskId, reservedCredits: 1, idempotencyKey: expect.any(String), ...words });
  expect(message).toMatch(
    new RegExp(
      `^Task ${taskId} is still ${details.status} at an age of \\d+ s, past the deadline of 1 s; credits reserved: 1,`,
    ),
  );
  const command = /rivya-temporal (generate .+) \(see /.exec(message)![1]!;
  const { status, stdout, stderr } = await runCommand([...command.split(' '), '--json'], {
    cwd: harness.output,
    env: { ...harness.temporalEnv, RIVYA_TASK_QUEUE: harness.taskQueue },
  });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  expect(JSON.parse(stdout)).toMatchObject({ taskId, status: 'succeeded', reused: true, files: [expect.anything()] });
  expect(harness.emulator.requests().filter(({ method }) => method === 'POST')).toHaveLength(1);
});
