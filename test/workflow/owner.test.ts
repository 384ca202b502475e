/** A person who looks for a lost task in the Rivya Studio may find that of another generation. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationState } from '../../src/contract/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
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
        faults: [
          { on: 'create', prompt: 'lost', times: 1, do: { kind: 'dropAfter' } },
          { on: 'create', prompt: 'lost', do: { kind: 'error', code: 'validation_failed' } },
        ],
      },
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('a task of another generation is refused by name, and the right one is taken', async () => {
    const other = await harness.client.start({ model: 'z-image', prompt: 'of another' });
    const { taskId } = await other.result();
    const handle = await harness.client.start({ model: 'z-image', prompt: 'lost' });
    const state = async (): Promise<GenerationState> => (await handle.state()) as GenerationState;
    await until(async () => (await state()).hold?.code === 'SubmitUnresolved');
    await handle.resume({ taskId });
    await until(async () => (await state()).hold?.message.includes(`"${other.workflowId}"`) ?? false);
    const { keys } = await harness.emulator.ledger();
    const [own] = keys[(await state()).idempotencyKey!]!.tasks;
    await handle.resume({ taskId: own! });
    expect(await handle.result()).toMatchObject({ taskId: own, reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(2);
    const { store } = harness.settings;
    if (store === null) return;
    // It had ended by then, so no later check notes it.
    const { submit, tasks } = await new Receipts(store, harness.emulator.url).find(
      Object.entries(keys).find(([, posted]) => posted.tasks.includes(own!))![0],
    );
    expect({ unanswered: submit?.unanswered, tasks }).toMatchObject({
      unanswered: null,
      tasks: [{ taskId: own, status: 'succeeded' }],
    });
  });
});
