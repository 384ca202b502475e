/** Workers and the Service have clocks of their own, and no promise may hang on their agreement. */
import { expect, onTestFinished, test, vi } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { startHarness } from '../support/harness.js';
import { until } from '../support/until.js';

test('one task that two people name at the same time is taken by one at most, also where the clock of the Worker is ahead', async () => {
  const now = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 20_000);
  onTestFinished(() => void vi.restoreAllMocks());
  const faults: Fault[] = [
    { on: 'create', times: 2, do: { kind: 'dropAfter' } },
    { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
  ];
  await using harness = await startHarness({ env: { RIVYA_STORE: '' }, emulator: { faults } });
  const input = { model: 'z-image', prompt: 'twins' };
  const handles = await Promise.all(['a', 'b'].map((workflowId) => harness.client.start(input, { workflowId })));
  const stateOf = async (handle: GenerationHandle) => (await handle.state()) as GenerationState;
  const all = async (holds: (state: GenerationState) => boolean): Promise<boolean> =>
    (await Promise.all(handles.map(stateOf))).every(holds);
  await until(() => all(({ hold }) => hold?.code === 'SubmitUnresolved'));
  const { keys } = await harness.emulator.ledger();
  const { idempotencyKey } = await stateOf(handles[0]!);
  const taskId = keys[idempotencyKey!]!.tasks[0]!;
  await Promise.all(handles.map((handle) => handle.resume({ taskId })));
  await until(() => all(({ hold, status }) => status !== null || hold !== null));
  const taken = (await Promise.all(handles.map(stateOf))).filter(({ status }) => status !== null);
  expect(taken.length).toBeLessThan(2);
});
