/** A hold that lasts for days. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDevServer, type EmbeddedServer } from '../../src/temporal/embedded/server.js';
import { startHarness, type Harness } from '../support/harness.js';

let server: EmbeddedServer;
let harness: Harness;
beforeAll(async () => {
  server = await startDevServer({
    log: () => undefined,
    ui: false,
    port: 0,
    // A real server asks for a new run after 4,096 events: half a day of a key that is tried each minute.
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': '20' },
  });
  harness = await startHarness({
    address: server.address,
    emulator: {
      faults: [
        { on: 'status', prompt: 'checked', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
        { on: 'create', prompt: 'submitted', times: 2, do: { kind: 'error', code: 'api_key_revoked' } },
      ],
    },
  });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await server.stop();
});

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
