/** An API that stores its refusals and errors under the idempotency key, and gives them again for ever. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { stateOf as stateOfHandle } from '../support/state.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      credits: 0,
      switches: { storeRefusals: true, storeServerErrors: true },
      faults: [
        { on: 'create', prompt: 'broken', times: 1, do: { kind: 'errorAfter', code: 'internal_error' } },
        { on: 'create', prompt: 'dead', times: 1, do: { kind: 'error', code: 'internal_error' } },
        { on: 'create', prompt: 'own', times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const stateOf = (workflowId: string): Promise<GenerationState> => stateOfHandle(harness.client.handle(workflowId));

async function heldFor(workflowId: string, code: string): Promise<GenerationState> {
  await until(async () => (await stateOf(workflowId)).hold?.code === code);
  return stateOf(workflowId);
}

// One after the other: the first starts without credits, the second needs what it leaves.
describe('paid once', () => {
  test('when credits come after a refusal that is stored: another key, one paid task', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'poor' }, { workflowId: 'poor' });
    await until(async () => (await stateOf('poor')).phase === 'held');
    const first = await stateOf('poor');
    await harness.emulator.setCredits(undefined, 10);
    await handle.resume();
    const result = await handle.result();
    expect(first.keyNumber).toBe(1);
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 2, idempotencyKey: result.idempotencyKey });
    expect(result.idempotencyKey).not.toBe(first.idempotencyKey);
    const { paidTasks, keys } = await harness.emulator.ledger();
    expect(paidTasks).toBe(1);
    expect(keys[first.idempotencyKey!]).toMatchObject({ tasks: [], posts: 1 });
    expect(keys[result.idempotencyKey!]).toMatchObject({ tasks: [result.taskId], posts: 1 });
    expect(keys[result.idempotencyKey!]!.bodies).toEqual(keys[first.idempotencyKey!]!.bodies);
  });

  test('when the same error comes for the second time: it holds at once and takes the task that is found', async () => {
    const prompt = 'broken';
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    await until(async () => (await stateOf(prompt)).hold?.code === 'SubmitUnresolved');
    const { hold, idempotencyKey } = await stateOf(prompt);
    expect(hold!.message).toMatch(/the API repeats one stored error \(req_/);
    const { tasks, posts } = (await harness.emulator.ledger()).keys[idempotencyKey!]!;
    expect({ tasks: tasks.length, posts }).toEqual({ tasks: 1, posts: 2 });
    await handle.resume({ taskId: tasks[0]! });
    // A task that is not taken is said in another hold.
    await until(async () => ['held', 'succeeded'].includes((await stateOf(prompt)).phase));
    expect((await stateOf(prompt)).hold).toBeNull();
    expect(await handle.result()).toMatchObject({ taskId: tasks[0], reused: true });
  });

  test('after a reset: the task is there, although it was made under the second key', async () => {
    const { paidTasks, keys } = await harness.emulator.ledger();
    const { taskId, idempotencyKey } = await harness.client.handle('poor').result();
    await resetToStart(harness.temporal, 'poor');
    const result = await harness.client.handle('poor').result();
    expect(result).toMatchObject({ taskId, idempotencyKey, reused: true });
    const after = await harness.emulator.ledger();
    expect({ paidTasks: after.paidTasks, keys: Object.keys(after.keys) }).toEqual({
      paidTasks,
      keys: Object.keys(keys),
    });
  });
});

describe.concurrent('not hammered', () => {
  test('when a stored error has made no task: it holds after two, and a reason goes on under the next key number', async () => {
    const prompt = 'dead';
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    const { idempotencyKey: first, keyNumber } = await heldFor(prompt, 'SubmitUnresolved');
    expect(keyNumber).toBe(1);
    expect((await harness.emulator.ledger()).keys[first!]).toMatchObject({ posts: 2, tasks: [] });
    await handle.resume({ reason: 'nothing in the Studio; Ada' });
    const { taskId, idempotencyKey } = await handle.result();
    const { keys } = await harness.emulator.ledger();
    expect(keys[first!]).toMatchObject({ posts: 2, tasks: [] });
    expect(keys[idempotencyKey!]).toMatchObject({ posts: 1, tasks: [taskId] });
    expect(memoOf(await handle.describe())).toMatchObject({ keyNumber: 2, riskReason: 'nothing in the Studio; Ada' });
  });

  test('when the refusal is stored under a key of your own, which is never varied: one POST for each resume', async () => {
    const input = { model: 'z-image', prompt: 'own', idempotencyKey: 'own/1' };
    const handle = await harness.client.start(input, { workflowId: 'own' });
    for (const posts of [1, 2, 3]) {
      await until(async () => (await harness.emulator.ledger()).keys['own/1']?.posts === posts);
      const { hold, keyNumber } = await heldFor('own', 'insufficient_credits');
      expect(hold!.message).toContain('only another idempotencyKey helps');
      expect(keyNumber).toBe(1);
      expect((await harness.emulator.ledger()).keys['own/1']).toMatchObject({ posts, tasks: [] });
      if (posts < 3) await handle.resume();
    }
    expect((await stateOf('own')).idempotencyKey).toBe('own/1');
    await harness.temporal.workflow.getHandle('own').terminate();
  });
});

// Such a Workflow ends, so the next start has to know the refusals of those before it.
describe.each([
  ['with a store', {}],
  ['without a store', { RIVYA_STORE: '' }],
])('paid once by a Workflow that fails instead of holding (%s)', (_, env) => {
  let poor: Harness;
  beforeAll(async () => {
    poor = await startHarness({ account: false, env, emulator: { switches: { storeRefusals: true } } });
  });
  afterAll(() => poor[Symbol.asyncDispose]());
  beforeEach(() => poor.emulator.setCredits(undefined, 0));

  const runOf = async (type: string, workflowId: string, ...args: readonly unknown[]): Promise<unknown> => {
    const { taskQueue } = poor;
    return poor.temporal.workflow.execute(type, { workflowId, taskQueue, args: [...args] });
  };
  /** Starts it without credits, and waits for the list of Workflows, which trails. */
  const refused = async (type: string, workflowId: string, input: object, step = ''): Promise<void> => {
    const query = `WorkflowId = '${workflowId}${step}' AND ExecutionStatus = 'Failed'`;
    const failed = async (): Promise<number> => (await poor.temporal.workflow.count(query)).count;
    const before = await failed();
    await expect(runOf(type, workflowId, input)).rejects.toMatchObject({ cause: { type: 'insufficient_credits' } });
    await until(async () => (await failed()) > before);
  };
  /** POSTs and answers under each key of the prompt. */
  const keysOf = async (prompt: string): Promise<number[][]> => {
    const { keys } = await poor.emulator.ledger();
    const of = Object.values(keys).filter(({ bodies }) => bodies[0]?.includes(`"${prompt}"`));
    return of.map(({ posts, tasks }) => [posts, tasks.length]);
  };
  const options = { onActionNeeded: 'fail' };

  test('and is started again: each time under the next key number', async () => {
    const input = { model: 'z-image', prompt: 'twice', options };
    await refused('generateMedia', 'twice', input);
    await refused('generateMedia', 'twice', input);
    await poor.emulator.setCredits(undefined, 1_000);
    await runOf('generateMedia', 'twice', input);
    expect(await keysOf('twice')).toEqual([
      [1, 0],
      [1, 0],
      [1, 1],
    ]);
  });

  test('and was refused in a step', async () => {
    const { taskQueue } = poor;
    const input = { model: 'z-image', prompt: 'step', options: { ...options, taskQueue } };
    await refused('oneStep', 'step', input, '/only');
    await poor.emulator.setCredits(undefined, 1_000);
    await expect(runOf('oneStep', 'step', input)).resolves.toMatchObject({ reused: false });
    expect(await keysOf('step')).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });

  test('and whose step is run again in the same run', async () => {
    const { taskQueue } = poor;
    const input = { model: 'z-image', prompt: 'again', options: { ...options, taskQueue } };
    const running = runOf('retriedStep', 'again', input, 3_600_000);
    await until(async () => (await keysOf('again')).length === 1);
    await poor.emulator.setCredits(undefined, 1_000);
    await poor.temporal.workflow.getHandle('again').signal('goOn');
    await running;
    expect(await keysOf('again')).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });

  test('and asks a chat model', async () => {
    const { taskQueue } = poor;
    const input = { model: 'gpt-5-2-chat', message: 'hello', options: { ...options, taskQueue } };
    await refused('oneChat', 'hello', input, '/ask');
    await poor.emulator.setCredits(undefined, 1_000);
    await runOf('oneChat', 'hello', input);
    expect(await keysOf('hello')).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });
});
