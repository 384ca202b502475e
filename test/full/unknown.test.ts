/** Unanswered submits that take longer than a test of every run may. The judge is the ledger. */
import { describe, expect, test } from 'vitest';
import { SWITCH_VALUES } from '../../src/emulator/index.js';
import { startHarness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

describe.concurrent('paid once', () => {
  // The HTTP limit of a submit is 60 s, so the repetition, which comes some seconds later, meets the first POST still at work.
  test.each(SWITCH_VALUES.concurrentPost)(
    'when the first POST still runs at the API after our time limit, and the next one meets it (%s)',
    async (concurrentPost) => {
      await using harness = await startHarness({
        emulator: {
          switches: { concurrentPost },
          faults: [{ on: 'create', times: 1, do: { kind: 'delayBefore', ms: 75_000 } }],
        },
      });
      const handle = await harness.client.start({ model: 'z-image', prompt: 'slow at work' });
      const { taskId, idempotencyKey } = await handle.result();
      const { paidTasks, keys } = await harness.emulator.ledger();
      expect(paidTasks).toBe(1);
      expect(keys[idempotencyKey!]).toMatchObject({ tasks: [taskId], bodies: [expect.anything()] });
      expect(keys[idempotencyKey!]!.posts).toBeGreaterThanOrEqual(2);
      const refused = harness.emulator.requests().filter(({ status }) => status === 409);
      if (concurrentPost === 'conflict') expect(refused.length).toBeGreaterThan(0);
      else expect(refused).toEqual([]);
    },
  );
});

test.concurrent(
  'a process that stands still right before a POST until the window has passed posts nothing',
  async () => {
    // Shorter than the 12 s after which a process that stood still may not act in any case.
    const windowMs = 7_000;
    const prompt = 'suspended';
    await using harness = await startHarness({
      env: { RIVYA_WORKER_ROLES: 'workflows,results' },
      emulator: { faults: [{ on: 'create', do: { kind: 'dropAfter' } }] },
    });
    const posts = () => harness.emulator.requests().filter(({ body }) => body.includes(prompt));
    const options = { idempotencyWindow: windowMs };
    const handle = await harness.client.start({ model: 'z-image', prompt, options });
    const env = { RIVYA_WORKER_ROLES: 'api' };
    const suspended = spawnWorker({ ...harness, env, at: { step: ['before', 'POST', 2], signal: 'SIGSTOP' } });
    try {
      await until(async () => {
        const pending = (await handle.describe()).raw.pendingActivities?.[0];
        return pending?.attempt === 2 && pending.heartbeatDetails != null && posts().length === 1;
      }, 60_000);
      await until(() => Date.now() > posts()[0]!.at + windowMs);
      suspended.kill('SIGCONT');
      await until(async () => (await stateOf(handle)).hold?.code === 'SubmitUnresolved', 120_000);
      expect(posts()).toHaveLength(1);
      expect((await harness.emulator.ledger()).paidTasks).toBe(1);
    } finally {
      await kill(suspended);
    }
  },
);
