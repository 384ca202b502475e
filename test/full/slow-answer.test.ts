/** An API that answers a submit late, but within the time that it has. Nothing but the answer itself tells the task. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

// Longer than the heartbeat timeout of 15 s, and than what the SDK adds to it.
const LATE_MS = 27_000;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: {
      switches: { keyLifetimeMs: 1 },
      faults: [{ on: 'create', do: { kind: 'delayAfter', ms: LATE_MS } }],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const postsOf = (prompt: string): number =>
  harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(prompt)).length;

describe.concurrent('an answer that comes after half a minute', () => {
  test('is taken: one POST, one paid task', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'late' });
    expect(await handle.result()).toMatchObject({ status: 'succeeded' });
    expect(postsOf('late')).toBe(1);
  });

  test('is taken after a cancel too, and the memo keeps the task', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'cancelled' });
    await until(() => postsOf('cancelled') === 1);
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ code: 'Cancelled' });
    const tasks = Object.entries((await harness.emulator.ledger()).tasks);
    const [taskId] = tasks.find(([, { prompt }]) => prompt === 'cancelled')!;
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'cancelled', taskId });
    expect(postsOf('cancelled')).toBe(1);
  });
});
