/**
 * A person who looks for a lost task in the Rivya Studio may find that of another generation. What is taken must fit by
 * model and time of creation, and be nobody else's as far as receipts and search attributes tell.
 */
import { describe, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import type { Fault } from '../../src/emulator/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

const NO_STORE = { RIVYA_STORE: '' };

/** The answer to the first POST is lost, and every later POST is refused: only a person can go on. */
function lost(prompt: string): Fault[] {
  return [
    { on: 'create', prompt, times: 1, do: { kind: 'dropAfter' } },
    { on: 'create', prompt, do: { kind: 'error', code: 'validation_failed' } },
  ];
}

async function held(handle: GenerationHandle): Promise<void> {
  await until(async () => (await stateOf(handle)).hold?.code === 'SubmitUnresolved');
}

/** Names a task that does not fit, and waits until the hold says why. */
async function refused(handle: GenerationHandle, taskId: string, why: string): Promise<void> {
  await handle.resume({ taskId });
  await until(async () => (await stateOf(handle)).hold?.message.includes(why) ?? false);
}

async function taskOf({ emulator }: Harness, prompt: string): Promise<string> {
  const { tasks } = await emulator.ledger();
  return Object.keys(tasks).find((taskId) => tasks[taskId]!.prompt === prompt)!;
}

const seeded = (id: string, model: string, createdAt: string) => {
  return { id, model, status: 'succeeded' as const, createdAt, updatedAt: createdAt };
};

describe.concurrent('a task that a person names', () => {
  test('is refused where it belongs to another generation, by its name in the receipts; the right one is taken', async () => {
    await using harness = await startHarness({ emulator: { faults: lost('lost') } });
    const other = await harness.client.start({ model: 'z-image', prompt: 'of another' });
    const { taskId } = await other.result();
    const handle = await harness.client.start({ model: 'z-image', prompt: 'lost' });
    await held(handle);
    await refused(handle, taskId, `"${other.workflowId}"`);
    const { idempotencyKey } = await stateOf(handle);
    const { keys } = await harness.emulator.ledger();
    const [own] = keys[idempotencyKey!]!.tasks;
    await handle.resume({ taskId: own! });
    expect(await handle.result()).toMatchObject({ taskId: own, reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(2);
    // It had ended by then, so no later check notes it.
    const { submit, answers } = await new Receipts(harness.settings.store!, harness.emulator.url).find(idempotencyKey!);
    expect({ unanswered: submit?.unanswered, answers }).toMatchObject({
      unanswered: null,
      answers: [{ taskId: own, status: 'succeeded' }],
    });
  });

  test('and was named for one generation is refused for the next one that it is named for', async () => {
    const faults: Fault[] = [
      { on: 'create', times: 2, do: { kind: 'dropAfter' } },
      { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
    ];
    await using harness = await startHarness({ emulator: { faults } });
    const input = { model: 'z-image', prompt: 'twins' };
    const handles = await Promise.all(['a', 'b'].map((workflowId) => harness.client.start(input, { workflowId })));
    await Promise.all(handles.map(held));
    const [a, b] = handles as [GenerationHandle, GenerationHandle];
    const { keys } = await harness.emulator.ledger();
    const madeBy = async (handle: GenerationHandle): Promise<string> =>
      keys[(await stateOf(handle)).idempotencyKey!]!.tasks[0]!;
    const [ofA, ofB] = [await madeBy(a), await madeBy(b)];
    await a.resume({ taskId: ofA });
    await a.result();
    await refused(b, ofA, 'belongs to Workflow "a"');
    await b.resume({ taskId: ofB });
    expect(await b.result()).toMatchObject({ taskId: ofB });
    expect((await harness.emulator.ledger()).paidTasks).toBe(2);
  });

  test('is refused without a store too where it is listed for another generation, but not for one that only waited for it', async () => {
    await using harness = await startHarness({ emulator: { faults: lost('lost') }, env: NO_STORE });
    const other = await harness.client.start({ model: 'z-image', prompt: 'of another' });
    const { taskId } = await other.result();
    const handle = await harness.client.start({ model: 'z-image', prompt: 'lost' });
    await held(handle);
    await refused(handle, taskId, `"${other.workflowId}"`);
    const own = await taskOf(harness, 'lost');
    // It has no key of its own for the task.
    await (await harness.client.start({ model: 'z-image', taskId: own })).result();
    await handle.resume({ taskId: own });
    expect(await handle.result()).toMatchObject({ taskId: own, reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(2);
  });

  test('is refused where it was created at another time than the submit was sent', async () => {
    const seedTasks = [seeded('task_of_may', 'z-image', '2026-05-10T00:00:00.000Z')];
    await using harness = await startHarness({ env: NO_STORE, emulator: { faults: lost('lost'), seedTasks } });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'lost' });
    await held(handle);
    await refused(handle, 'task_of_may', 'was created at 2026-05-10T00:00:0');
    const own = await taskOf(harness, 'lost');
    await handle.resume({ taskId: own });
    expect(await handle.result()).toMatchObject({ taskId: own });
  });

  test('is refused where it is of another model, and asked for once more where the API left its model out', async () => {
    const now = new Date().toISOString();
    const seedTasks = [seeded('task_image', '4o-image', now), seeded('task_video', 'sora-2', now)];
    const body = '{"id":"task_video","status":"succeeded"}';
    const faults: Fault[] = [
      ...lost('a still'),
      { on: 'status', skip: 1, times: 1, do: { kind: 'reply', status: 200, body } },
    ];
    await using harness = await startHarness({ env: NO_STORE, emulator: { faults, seedTasks } });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'a still' });
    await held(handle);
    await refused(handle, 'task_image', 'is of model 4o-image');
    await refused(handle, 'task_video', 'does not tell of which model task task_video is');
    await refused(handle, 'task_video', 'is of model sora-2');
    const own = await taskOf(harness, 'a still');
    await handle.resume({ taskId: own });
    expect(await handle.result()).toMatchObject({ taskId: own, model: 'z-image' });
  });
});

test.concurrent.each([
  ['without a store', NO_STORE],
  ['with receipts in a store', {}],
])('thirty people who name the tasks of thirty generations at once all get them, %s', async (_, env) => {
  const prompts = Array.from({ length: 30 }, (__, n) => `lost ${n};`);
  const emulator = { rateLimitPerMinute: 100_000, faults: prompts.flatMap(lost) };
  await using harness = await startHarness({ env, emulator });
  const handles = await Promise.all(prompts.map((prompt) => harness.client.start({ model: 'z-image', prompt })));
  await Promise.all(handles.map(held));
  const made = await Promise.all(prompts.map((prompt) => taskOf(harness, prompt)));
  await Promise.all(handles.map((handle, n) => handle.resume({ taskId: made[n]! })));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(results.map(({ taskId }) => taskId)).toEqual(made);
  expect((await harness.emulator.ledger()).paidTasks).toBe(30);
});
