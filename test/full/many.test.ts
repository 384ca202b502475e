/** A large `generateAll`: what it costs the history of its Workflow. */
import { expect, test } from 'vitest';
import type { GenerationOutcome } from '../../workflows/index.js';
import { startHarness } from '../support/harness.js';

test.each([
  ['200 steps', 200, 1_500],
  ['10 steps', 10, 100],
])('%s keep the history of their Workflow short', async (name, count, limit) => {
  await using harness = await startHarness({ env: { RIVYA_STORE: '' }, emulator: { credits: 1_000 } });
  const options = { taskQueue: harness.taskQueue };
  const requests = Array.from({ length: count }, (_, index) => ({
    step: `${index + 1}`,
    model: 'z-image',
    prompt: `number ${index + 1}`,
    options,
  }));
  const workflowId = `history of ${name}`;
  const handle = await harness.temporal.workflow.start('allOf', {
    workflowId,
    taskQueue: harness.taskQueue,
    args: [requests],
  });
  const outcomes = (await handle.result()) as GenerationOutcome[];
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(count);
  const { historyLength, historySize } = await handle.describe();
  console.log(`${name}: ${historyLength} events, ${historySize} bytes`);
  expect(historyLength).toBeLessThan(limit);
  const { tasks } = await harness.emulator.ledger();
  expect(Object.keys(tasks)).toHaveLength(count);
});
