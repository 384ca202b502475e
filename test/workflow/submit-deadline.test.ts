/** A submit that nobody answered until `submitDeadline`: the Activity itself has timed out. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ emulator: { faults: [{ on: 'create', times: 1, do: { kind: 'hang' } }] } });
});
afterAll(() => harness[Symbol.asyncDispose]());

test('holds, and the first reason of a person posts again', async () => {
  const options = { submitDeadline: '12s', idempotencyWindow: '10s' } as const;
  const handle = await harness.client.start({ model: 'z-image', prompt: 'hangs', options });
  await until(async () => (await stateOf(handle)).hold?.code === 'SubmitUnresolved');
  expect((await stateOf(handle)).hold?.message).not.toContain('a reset');
  await handle.resume({ reason: 'the Studio shows nothing' });
  const { taskId } = await handle.result();
  const { keys } = await harness.emulator.ledger();
  expect(Object.values(keys)).toMatchObject([{ posts: 2, tasks: [taskId] }]);
});
