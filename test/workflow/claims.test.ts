/** A person names a task after an unanswered submit. Until it was looked at twice, that is a claim and no fact. */
import { describe, expect, test } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const TIME = '2026-05-10T00:00:00.000Z';
const STORES = [
  ['without a store', { RIVYA_STORE: '' }],
  ['with receipts in a store', {}],
] as const;

/** The first submit of each of so many generations makes a task and is never answered; no later one makes any. */
const lost = (generations = 1): Fault[] => [
  { on: 'create', times: generations, do: { kind: 'dropAfter' } },
  { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
];
const keyRefused = { kind: 'error', code: 'api_scope_denied' } as const;

const holdOf = async (handle: GenerationHandle) => (await handle.state())?.hold ?? null;
const heldBy = (handle: GenerationHandle, code: string): Promise<void> =>
  until(async () => (await holdOf(handle))?.code === code);

/** The task that a generation takes up, or the code that it is held by. */
async function outcome(handle: GenerationHandle): Promise<string | undefined> {
  const state = async () => (await handle.state()) as GenerationState;
  await until(async () => (await state()).hold !== null || (await state()).status !== null);
  const { hold, taskId } = await state();
  return hold?.code ?? taskId ?? undefined;
}

/** The task that its own submit has made. */
async function taskOf({ emulator }: Harness, handle: GenerationHandle): Promise<string> {
  const { idempotencyKey } = (await handle.state()) as GenerationState;
  return (await emulator.ledger()).keys[idempotencyKey!]!.tasks[0]!;
}

async function terminate({ temporal }: Harness, { workflowId }: GenerationHandle): Promise<void> {
  await temporal.workflow.getHandle(workflowId).terminate();
  const query = `WorkflowId = '${workflowId}' AND ExecutionStatus = 'Terminated'`;
  await until(async () => (await temporal.workflow.count(query)).count === 1);
}

describe.concurrent.each(STORES)('a claim that is cut off before its second look, %s', (_, env) => {
  test('is no task of the generation when that is started again: its own is still looked for', async () => {
    const seedTasks = [
      { id: 'task_video', model: 'sora-2', status: 'succeeded' as const, createdAt: TIME, updatedAt: TIME },
    ];
    const faults: Fault[] = [
      ...lost(),
      { on: 'status', times: 1, do: { kind: 'reply', status: 200, body: '{"id":"task_video","status":"succeeded"}' } },
      { on: 'status', times: 1, do: keyRefused },
    ];
    await using harness = await startHarness({ env, emulator: { faults, seedTasks } });
    const start = () => harness.client.start({ model: 'z-image', prompt: 'a still' }, { workflowId: 'still' });
    const first = await start();
    await heldBy(first, 'SubmitUnresolved');
    const own = await taskOf(harness, first);
    await first.resume({ taskId: 'task_video' });
    await heldBy(first, 'api_scope_denied');
    expect(memoOf(await first.describe())).toMatchObject({ taskId: 'task_video', status: null });
    await terminate(harness, first);
    // Nobody is sent to wait for it either.
    await expect(first.result()).rejects.toMatchObject({ details: { taskId: null } });
    const again = await start();
    expect(await outcome(again)).toBe('SubmitUnresolved');
    await again.resume({ taskId: own });
    expect(await again.result()).toMatchObject({ taskId: own, model: 'z-image' });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('leaves nothing behind where the API does not tell its model at all', async () => {
    const seedTasks = [
      { id: 'task_video', model: 'sora-2', status: 'succeeded' as const, createdAt: TIME, updatedAt: TIME },
    ];
    const body = '{"id":"task_video","status":"succeeded"}';
    const faults: Fault[] = [...lost(), { on: 'status', do: { kind: 'reply', status: 200, body } }];
    await using harness = await startHarness({ env, emulator: { faults, seedTasks } });
    const start = () => harness.client.start({ model: 'z-image', prompt: 'a still' }, { workflowId: 'still' });
    const first = await start();
    await heldBy(first, 'SubmitUnresolved');
    await first.resume({ taskId: 'task_video' });
    await until(async () => (await holdOf(first))?.message.includes('does not tell of which model') ?? false);
    await terminate(harness, first);
    expect(await outcome(await start())).toBe('SubmitUnresolved');
  });

  test('does not keep the task from the generation that it belongs to', async () => {
    const faults: Fault[] = [...lost(2), { on: 'status', skip: 1, times: 1, do: keyRefused }];
    await using harness = await startHarness({ env, emulator: { faults } });
    const start = (workflowId: string) => harness.client.start({ model: 'z-image', prompt: 'twins' }, { workflowId });
    const [owner, other] = [await start('owner'), await start('other')];
    for (const handle of [owner, other]) await heldBy(handle, 'SubmitUnresolved');
    const [owned, own] = [await taskOf(harness, owner), await taskOf(harness, other)];
    await other.resume({ taskId: owned });
    await heldBy(other, 'api_scope_denied');
    await terminate(harness, other);
    await owner.resume({ taskId: owned });
    expect(await outcome(owner)).toBe(owned);
    const again = await start('other');
    expect(await outcome(again)).toBe('SubmitUnresolved');
    await again.resume({ taskId: own });
    expect(await outcome(again)).toBe(own);
    expect((await harness.emulator.ledger()).paidTasks).toBe(2);
  });
});

describe.concurrent.each([
  ['first', 0],
  ['second', 1],
])('a claim whose %s look is held', (_, skip) => {
  const seedTasks = [
    { id: 'task_wrong', model: 'z-image', status: 'succeeded' as const, createdAt: TIME, updatedAt: TIME },
  ];
  const faults: Fault[] = [...lost(), { on: 'status', skip, times: 1, do: keyRefused }];
  const emulator = { seedTasks, faults };
  const env = { RIVYA_STORE: '' };

  /** A generation whose person has named a wrong task, and the one that its submit has made. */
  async function claimed(harness: Harness): Promise<{ handle: GenerationHandle; own: string }> {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'lost' });
    await heldBy(handle, 'SubmitUnresolved');
    const own = await taskOf(harness, handle);
    await handle.resume({ taskId: 'task_wrong' });
    await heldBy(handle, 'api_scope_denied');
    expect((await holdOf(handle))?.message).toContain('task task_wrong, which a person named');
    return { handle, own };
  }

  test('is given up for another task that the person names', async () => {
    await using harness = await startHarness({ env, emulator });
    const { handle, own } = await claimed(harness);
    await handle.resume({ taskId: own });
    expect((await handle.result()).taskId).toBe(own);
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('is given up for a reason to post again, which is kept', async () => {
    await using harness = await startHarness({ env, emulator });
    const { handle, own } = await claimed(harness);
    harness.emulator.setFaults([]);
    await handle.resume({ reason: 'that ID was wrong; Ada' });
    expect((await handle.result()).taskId).toBe(own);
    expect(memoOf(await handle.describe())?.riskReason).toBe('that ID was wrong; Ada');
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('is looked at again after a resume that says nothing else', async () => {
    await using harness = await startHarness({ env, emulator });
    const { handle } = await claimed(harness);
    await handle.resume();
    expect((await handle.result()).taskId).toBe('task_wrong');
  });
});

test.concurrent(
  'a task that only the history of a terminated Workflow knows is not given to another generation',
  async () => {
    const faults: Fault[] = [
      { on: 'create', prompt: 'lost', times: 1, do: { kind: 'dropAfter' } },
      { on: 'create', prompt: 'lost', do: { kind: 'error', code: 'validation_failed' } },
      // Long enough to stop the Workers that would read the answer.
      { on: 'create', prompt: 'owner', times: 1, do: { kind: 'delayAfter', ms: 6_000 } },
    ];
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' }, emulator: { faults } });
    await harness.startWorkers({ roles: new Set(['api']) });
    const workflows = await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const start = (name: string) => harness.client.start({ model: 'z-image', prompt: name }, { workflowId: name });
    const handle = await start('lost');
    await heldBy(handle, 'SubmitUnresolved');
    const owner = await start('owner');
    await until(async () => (await harness.emulator.ledger()).paidTasks === 2);
    await workflows.stop();
    await until(async () => (await owner.describe()).raw.pendingActivities?.length === 0);
    await terminate(harness, owner);
    expect(memoOf(await owner.describe())?.taskId ?? null).toBeNull();
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const { tasks } = await harness.emulator.ledger();
    const [owned] = Object.entries(tasks).find(([, { prompt }]) => prompt === 'owner')!;
    await handle.resume({ taskId: owned });
    expect(await outcome(handle)).toBe('SubmitUnresolved');
    expect((await holdOf(handle))?.message).toContain('belongs to Workflow "owner"');
    expect((await (await start('owner')).result()).taskId).toBe(owned);
  },
);
