/** Worker processes that are really killed. The judge is the ledger: paid tasks per generation. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

let harness: Harness;
let worker: ChildProcess | undefined;

beforeAll(async () => {
  harness = await startHarness({
    workers: false,
    emulator: {
      faults: [
        { on: 'create', prompt: 'killed while posting', times: 1, do: { kind: 'delayAfter', ms: 30_000 } },
        { on: 'create', prompt: 'killed while waiting', do: { kind: 'duration', ms: 12_000 } },
        { on: 'create', prompt: 'stopped while posting', times: 1, do: { kind: 'delayAfter', ms: 3_000 } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());
afterEach(async () => {
  if (worker !== undefined) await kill(worker);
});

function startWorker(): ChildProcess {
  worker = spawnWorker(harness);
  return worker;
}

async function tasksOf(prompt: string): Promise<{ tasks: readonly string[]; bodies: readonly string[] }> {
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(prompt)));
  return { tasks: mine.flatMap(({ tasks }) => tasks), bodies: mine.flatMap(({ bodies }) => bodies) };
}

describe('paid once and delivered', () => {
  test('when the Worker is killed after the task was created and before the answer', async () => {
    const prompt = 'killed while posting';
    const first = startWorker();
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => (await tasksOf(prompt)).tasks.length === 1, 60_000);
    await kill(first);
    startWorker();
    const result = await handle.result();
    expect(await tasksOf(prompt)).toMatchObject({ tasks: [result.taskId], bodies: [expect.anything()] });
    expect(result.files).toHaveLength(1);
  });

  test('when the Worker is killed between two status checks', async () => {
    const prompt = 'killed while waiting';
    const first = startWorker();
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => ((await handle.state()) as GenerationState | null)?.statusChecks === 1, 60_000);
    await kill(first);
    startWorker();
    const result = await handle.result();
    expect(result.reused).toBe(false);
    expect((await tasksOf(prompt)).tasks).toEqual([result.taskId]);
  });

  test('when the Worker is stopped by SIGTERM during the POST: it waits for the answer and ends with status 0', async () => {
    const prompt = 'stopped while posting';
    const first = startWorker();
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => (await tasksOf(prompt)).tasks.length === 1, 60_000);
    first.kill('SIGTERM');
    const [status] = (await once(first, 'exit')) as [number | null];
    expect(status).toBe(0);
    startWorker();
    const result = await handle.result();
    const posts = harness.emulator.requests().filter(({ body }) => body.includes(prompt));
    expect(posts).toHaveLength(1);
    expect((await tasksOf(prompt)).tasks).toEqual([result.taskId]);
  });
});
