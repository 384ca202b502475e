/** A hold that lasts for days. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/harness.js';

let harness: Harness;
beforeAll(async () => {
  // A real server asks for a new run after 4,096 events: half a day of a key that is tried each minute.
  const dynamicConfig = { 'limit.historyCount.suggestContinueAsNew': '20' };
  harness = await startHarness({
    dynamicConfig,
    emulator: {
      faults: [
        { on: 'status', prompt: 'checked', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
        { on: 'create', prompt: 'submitted', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

test('continues as new, with its task, and is paid once', async () => {
  const prompts = ['checked', 'submitted'];
  const runs = await Promise.all(
    prompts.map(async (prompt) => {
      const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
      const { runId } = await handle.describe();
      const result = await handle.result();
      expect((await handle.describe()).runId).not.toBe(runId);
      return result;
    }),
  );
  expect(runs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  expect((await harness.emulator.ledger()).paidTasks).toBe(2);
});
