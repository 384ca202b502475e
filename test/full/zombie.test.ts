/**
 * A Worker that is stopped (SIGSTOP: a suspended machine, a paused container), is believed dead, and wakes up when
 * another one has done its work. The judge is the emulator: what was posted, and what was paid.
 */
import { describe, expect, test } from 'vitest';
import type { EmulatorOptions } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { kill, spawnWorker, type Step } from '../support/worker-process.js';

const PROMPT = 'a zombie';

/** Workflows run here; the calls to the API are made by the Worker processes of the test. */
const startApiLess = (emulator: EmulatorOptions = {}): Promise<Harness> =>
  startHarness({ env: { RIVYA_WORKER_ROLES: 'workflows,results' }, emulator });

const API_ONLY = { RIVYA_WORKER_ROLES: 'api' };

const postsOf = ({ emulator }: Harness): number =>
  emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(PROMPT)).length;

async function paidTasksOf({ emulator }: Harness): Promise<string[]> {
  const { tasks } = await emulator.ledger();
  return Object.entries(tasks).flatMap(([taskId, task]) => (task.prompt === PROMPT ? [taskId] : []));
}

describe.concurrent('a Worker that is stopped and wakes up when another one has taken over', () => {
  const steps: readonly Step[] = [
    ['before', 'fence', 1],
    ['after', 'fence', 1],
    ['before', 'POST', 1],
  ];
  test.each(steps)('posts nothing where it was stopped %s the %s', async (...step) => {
    await using harness = await startApiLess();
    const zombie = spawnWorker({ ...harness, env: API_ONLY, at: { step, signal: 'SIGSTOP' } });
    const handle = await harness.client.start({ model: 'z-image', prompt: PROMPT });
    // It is a zombie when the Service has given its attempt up.
    await until(async () => ((await handle.describe()).raw.pendingActivities?.[0]?.attempt ?? 1) > 1, 90_000);
    expect(postsOf(harness)).toBe(0);
    const other = spawnWorker({ ...harness, env: API_ONLY });
    try {
      const { taskId } = await handle.result();
      await kill(other);
      zombie.kill('SIGCONT');
      // Nobody else is left to do the next job, so it has come to life, and nothing is wedged.
      const next = await harness.client.start({ model: 'z-image', prompt: 'after the zombie' });
      expect(await next.result()).toMatchObject({ status: 'succeeded' });
      expect(postsOf(harness)).toBe(1);
      expect(await paidTasksOf(harness)).toEqual([taskId]);
    } finally {
      await Promise.all([kill(zombie), kill(other)]);
    }
  });

  test('changes nothing where it was stopped during its POST: one paid task, and its late answer counts for nothing', async () => {
    await using harness = await startApiLess({
      faults: [{ on: 'create', prompt: PROMPT, times: 1, do: { kind: 'delayAfter', ms: 3_000 } }],
    });
    const zombie = spawnWorker({ ...harness, env: API_ONLY });
    const handle = await harness.client.start({ model: 'z-image', prompt: PROMPT });
    await until(async () => (await paidTasksOf(harness)).length === 1, 90_000);
    zombie.kill('SIGSTOP');
    const other = spawnWorker({ ...harness, env: API_ONLY });
    try {
      const { taskId, reused } = await handle.result();
      expect(reused).toBe(false);
      await kill(other);
      zombie.kill('SIGCONT');
      const next = await harness.client.start({ model: 'z-image', prompt: 'after the zombie' });
      expect(await next.result()).toMatchObject({ status: 'succeeded' });
      expect(await handle.result()).toMatchObject({ taskId });
      expect(postsOf(harness)).toBe(2);
      expect(await paidTasksOf(harness)).toEqual([taskId]);
    } finally {
      await Promise.all([kill(zombie), kill(other)]);
    }
  });
});
