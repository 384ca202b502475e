import { expect, test } from 'vitest';
import { startHarness } from '../support/harness.js';

test('a step that has its result is not kept from it by links that cannot be asked for', async () => {
  await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
  const { taskQueue, temporal } = harness;
  await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
  const api = await harness.startWorkers({ roles: new Set(['api']) });
  const args = [{ model: 'z-image', prompt: 'links', options: { taskQueue } }];
  const start = () => temporal.workflow.execute('oneStep', { workflowId: 'links', taskQueue, args });
  const first = await start();
  // No Worker calls the API any more.
  await api.stop();
  expect(await start()).toEqual({ ...(first as object), reused: true });
});
