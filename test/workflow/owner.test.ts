/** A person who looks for a lost task in the Rivya Studio may find that of another generation. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const TIME = '2026-05-10T00:00:00.000Z';

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

test('thirty people who name the tasks of thirty generations at once all get them', async () => {
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
  const { tasks } = await harness.emulator.ledger();
  const made = new Map(Object.entries(tasks).map(([taskId, { prompt }]) => [prompt, taskId]));
  await Promise.all(handles.map((handle, n) => handle.resume({ taskId: made.get(prompts[n]!)! })));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(results.map(({ taskId }) => taskId)).toEqual(prompts.map((prompt) => made.get(prompt)));
  expect((await harness.emulator.ledger()).paidTasks).toBe(30);
});

describe.concurrent.each([
  ['without a store', { RIVYA_STORE: '' }],
  ['with receipts in a store', {}],
])('%s', (_, env) => {
  test('one task that two people name at the same time for two generations is not taken by both', async () => {
    const faults: Fault[] = [
      { on: 'create', times: 2, do: { kind: 'dropAfter' } },
      { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
    ];
    await using harness = await startHarness({ env, emulator: { faults } });
    const input = { model: 'z-image', prompt: 'twins' };
    const handles = await Promise.all(['a', 'b'].map((workflowId) => harness.client.start(input, { workflowId })));
    const holdOf = async (handle: GenerationHandle) => (await handle.state())?.hold ?? null;
    const held = async (): Promise<boolean> =>
      (await Promise.all(handles.map(holdOf))).every((hold) => hold?.code === 'SubmitUnresolved');
    await until(held);
    const { keys } = await harness.emulator.ledger();
    const taskOf = async (handle: GenerationHandle): Promise<string> =>
      keys[(await handle.state())!.idempotencyKey!]!.tasks[0]!;
    const wrong = await taskOf(handles[0]!);
    await Promise.all(handles.map((handle) => handle.resume({ taskId: wrong })));
    const refused = async (handle: GenerationHandle): Promise<boolean> =>
      (await holdOf(handle))?.message.includes('belongs to Workflow') ?? false;
    const has = async (handle: GenerationHandle): Promise<boolean> => (await handle.state())?.phase === 'succeeded';
    const decided = async (handle: GenerationHandle): Promise<boolean> => (await refused(handle)) || has(handle);
    await until(async () => (await Promise.all(handles.map(decided))).every(Boolean));
    // Neither gets it, unless one of them had it before the other asked.
    const got = await Promise.all(handles.map(has));
    expect(got.filter(Boolean).length).toBeLessThan(2);
    if (got[1]) return;
    await handles[1]!.resume({ taskId: await taskOf(handles[1]!) });
    if (!got[0]) await handles[0]!.resume({ taskId: wrong });
    const ends = await Promise.all(handles.map(async (handle) => (await handle.result()).taskId));
    expect(ends).toEqual(await Promise.all(handles.map(taskOf)));
  });
});

test.concurrent('a task whose model the API leaves out at first is not taken for one of another model', async () => {
  const seedTasks = [
    { id: 'task_video', model: 'sora-2', status: 'succeeded' as const, createdAt: TIME, updatedAt: TIME },
  ];
  const faults: Fault[] = [
    { on: 'create', times: 1, do: { kind: 'dropAfter' } },
    { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
    { on: 'status', times: 1, do: { kind: 'reply', status: 200, body: '{"id":"task_video","status":"succeeded"}' } },
  ];
  await using harness = await startHarness({ env: { RIVYA_STORE: '' }, emulator: { faults, seedTasks } });
  const handle = await harness.client.start({ model: 'z-image', prompt: 'a still' });
  const hold = async () => (await handle.state())?.hold ?? null;
  await until(async () => (await hold())?.code === 'SubmitUnresolved');
  await handle.resume({ taskId: 'task_video' });
  await until(async () => (await hold())?.message.includes('is of model sora-2') ?? false);
  const [own] = Object.entries((await harness.emulator.ledger()).tasks).find(([, { prompt }]) => prompt === 'a still')!;
  await handle.resume({ taskId: own });
  expect(await handle.result()).toMatchObject({ taskId: own, model: 'z-image' });
});
