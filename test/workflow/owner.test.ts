/** A person who looks for a lost task in the Rivya Studio may find that of another generation. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { GenerationState } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
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

test('thirty people who name the tasks of thirty generations at once look through the others together', async () => {
  const prompts = Array.from({ length: 30 }, (_, n) => `lost ${n};`);
  const faults = prompts.flatMap((prompt): Fault[] => [
    { on: 'create', prompt, times: 1, do: { kind: 'dropAfter' } },
    { on: 'create', prompt, do: { kind: 'error', code: 'validation_failed' } },
  ]);
  const emulator = { rateLimitPerMinute: 100_000, faults };
  await using harness = await startHarness({ env: { RIVYA_STORE: '' }, emulator });
  const handles = await Promise.all(prompts.map((prompt) => harness.client.start({ model: 'z-image', prompt })));
  const held = async (): Promise<boolean> => {
    const states = await Promise.all(handles.map((handle) => handle.state()));
    return states.every((state) => state?.hold?.code === 'SubmitUnresolved');
  };
  await until(held);
  const { workflowService } = harness.connection;
  const lists = vi.spyOn(workflowService, 'listWorkflowExecutions');
  const { tasks } = await harness.emulator.ledger();
  const made = new Map(Object.entries(tasks).map(([taskId, { prompt }]) => [prompt, taskId]));
  await Promise.all(handles.map((handle, n) => handle.resume({ taskId: made.get(prompts[n]!)! })));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(results.map(({ taskId }) => taskId)).toEqual(prompts.map((prompt) => made.get(prompt)));
  const looks = lists.mock.calls.filter(([{ query }]) => query?.startsWith('WorkflowType'));
  expect(looks.length).toBeGreaterThan(0);
  // Some are scheduled when a look has begun already.
  expect(looks.length).toBeLessThan(10);
  expect((await harness.emulator.ledger()).paidTasks).toBe(30);
});
