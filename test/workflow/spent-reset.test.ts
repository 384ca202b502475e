/** A reset after a key was spent on a stored refusal, which the API has forgotten since. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

describe.each([
  ['without a store', { RIVYA_STORE: '' }],
  ['with receipts in a store', {}],
])('%s', (_, env) => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({
      env,
      emulator: {
        switches: { storeRefusals: true },
        faults: [{ on: 'create', times: 1, do: { kind: 'error', code: 'insufficient_credits' } }],
      },
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('the task is found although it was made under another key than the first', async () => {
    const workflowId = `spent ${harness.taskQueue}`;
    const handle = await harness.client.start({ model: 'z-image', prompt: 'spent' }, { workflowId });
    await until(async () => {
      const memo = memoOf(await handle.describe());
      if (memo?.phase === 'held') await handle.resume().catch(() => undefined);
      return memo?.taskId != null;
    });
    const { taskId } = await handle.result();
    harness.emulator.setSwitches({ keyLifetimeMs: 1 });
    await resetToStart(harness.temporal, workflowId);
    expect(await handle.result()).toMatchObject({ taskId, reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });
});
