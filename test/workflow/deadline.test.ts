/** The deadline of a generation that runs: a person gives it more time or less, and nothing is paid by that. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import { changeDeadlineSignal } from '../../workflows/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { shareFaults, type SharedFaults } from '../support/tasks.js';
import { until } from '../support/until.js';

let harness: Harness;
let faults: SharedFaults;
beforeAll(async () => {
  harness = await startHarness();
  faults = shareFaults(harness.emulator);
});
afterAll(() => harness[Symbol.asyncDispose]());

async function waiting(prompt: string, deadline: '30s' | '6h'): Promise<GenerationHandle> {
  const handle = await harness.client.start({ model: 'z-image', prompt, options: { deadline } });
  await until(async () => (await stateOf(handle)).phase === 'waiting');
  return handle;
}

test.concurrent('more time: it waits beyond the first deadline, and one task is paid', async () => {
  const prompt = 'more time';
  const release = faults.keep(prompt);
  const began = Date.now();
  const handle = await waiting(prompt, '30s');
  expect(await handle.changeDeadline('6h')).toBe('resumed');
  // Checks go on after the first deadline.
  await until(() => Date.now() > began + 31_000);
  const { statusChecks } = await stateOf(handle);
  await until(async () => (await stateOf(handle)).statusChecks > statusChecks + 1);
  release();
  const { taskId } = await handle.result();
  const { tasks } = await harness.emulator.ledger();
  expect(Object.keys(tasks).filter((id) => tasks[id]?.prompt === prompt)).toEqual([taskId]);
});

test.concurrent('less time: the wait ends at the next check, and says that the task goes on', async () => {
  const release = faults.keep('less time');
  const handle = await waiting('less time', '6h');
  await harness.temporal.workflow.getHandle(handle.workflowId).signal(changeDeadlineSignal, { deadline: '1s' });
  await expect(handle.result()).rejects.toMatchObject({
    code: 'DeadlinePassed',
    message: expect.stringMatching(/past the deadline of 1 s.*It goes on at Rivya/),
  });
  release();
});

test.concurrent.each([
  ['soon', /^deadline: must be from 1 s to 30 d/],
  [0, /^deadline: must be from 1 s to 30 d/],
  ['31d', /^deadline: must be from 1 s to 30 d/],
])('%s is refused by name, and the deadline stays', async (deadline, message) => {
  const prompt = `refused ${deadline}`;
  const release = faults.keep(prompt);
  const handle = await waiting(prompt, '6h');
  await expect(handle.changeDeadline(deadline as '1s')).rejects.toMatchObject({
    code: 'InvalidInput',
    message: expect.stringMatching(message),
  });
  // A Signal cannot be refused: what makes no sense changes nothing.
  const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
  await workflow.signal(changeDeadlineSignal, { deadline: deadline as '1s' });
  await workflow.signal('changeDeadline');
  release();
  await handle.result();
});
