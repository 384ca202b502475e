/** An item that waits for a person does not keep the others waiting. */
import { expect, test } from 'vitest';
import { images, newBatch, tasksByPrompt } from '../support/batch.js';
import { startHarness } from '../support/harness.js';

test('an item that is held for a cause of its own gives its slot back after a minute', async () => {
  await using harness = await startHarness({
    emulator: {
      durations: { image: 800 },
      faults: [{ on: 'create', prompt: 'lost', do: { kind: 'dropAfter' } }],
    },
  });
  const lost = images(1, 'lost', { options: { idempotencyWindow: '1s' } });
  const batch = await newBatch(harness, { batchId: 'slots', inputs: [...lost, ...images(2, 'others')] });
  await batch.start({ maxInFlight: 1 });
  await batch.until(({ counts }) => counts.held === 1);
  expect((await batch.state()).counts).toMatchObject({ heldBy: { SubmitUnresolved: 1 }, succeeded: 0 });
  const heldAt = Date.now();
  await batch.until(({ counts }) => counts.succeeded > 0, 150_000);
  expect(Date.now() - heldAt).toBeGreaterThan(30_000);
  await batch.until(({ counts }) => counts.succeeded === 2, 150_000);
  // What may have been paid counts until a person says what became of it.
  expect(await batch.state()).toMatchObject({ spentCredits: 2, committedCredits: 1, phase: 'running' });
  expect(Object.values(await tasksByPrompt(harness))).toEqual([1, 1, 1]);
});
