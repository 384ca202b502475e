/** An API that has forgotten every idempotency key: only what we remember keeps a generation from being paid again. */
import { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import type { WorkerRole } from '../../src/config.js';
import type { GenerateMediaInput, GenerationResult, GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

// Without a store, only Temporal remembers.
describe.each([
  ['without a store', { RIVYA_STORE: '' }],
  ['with receipts in a store', {}],
])('%s', (how, env) => {
  const idOf = (name: string): string => `${name} ${how}`;

  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({
      env,
      emulator: {
        switches: { keyLifetimeMs: 1 },
        durations: { image: 800 },
        faults: [
          { on: 'create', prompt: 'fails first', times: 1, do: { kind: 'fail' } },
          { on: 'create', prompt: 'until it is ended', do: { kind: 'stuck' } },
        ],
      },
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  async function paidTasksOf(prompt: string): Promise<number> {
    const { tasks } = await harness.emulator.ledger();
    return Object.values(tasks).filter((task) => task.prompt === prompt).length;
  }

  async function firstCheckOf(workflowId: string): Promise<string | null> {
    const state = async (): Promise<GenerationState | null> =>
      (await harness.client.handle(workflowId).state()) as GenerationState | null;
    // Without a Worker that answers in time there is only the memo, and at first not even that.
    await until(async () => ((await state())?.statusChecks ?? 0) >= 1);
    return (await state())?.taskId ?? null;
  }

  describe.concurrent('paid once although the API forgot the key', () => {
    // An ID that wants to leave the query it stands in.
    test.each(['forgotten-reset', `it's "odd" \\ ID`])(
      'after a reset to the first Workflow Task (%s)',
      async (name) => {
        const workflowId = idOf(name);
        const prompt = `until it is ended: ${workflowId}`;
        const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId });
        const taskId = await firstCheckOf(workflowId);
        await resetToStart(harness.temporal, workflowId);
        await harness.emulator.endTasks(prompt);
        expect(await handle.result()).toMatchObject({ taskId, reused: true });
        expect(await paidTasksOf(prompt)).toBe(1);
      },
    );

    test('after terminate and a second start', async () => {
      const input = { model: 'z-image', prompt: 'until it is ended: terminated' };
      const workflowId = idOf('forgotten-terminated');
      await harness.client.start(input, { workflowId });
      const taskId = await firstCheckOf(workflowId);
      await harness.temporal.workflow.getHandle(workflowId).terminate('test');
      const again = await harness.client.start(input, { workflowId });
      await harness.emulator.endTasks(input.prompt);
      expect(await again.result()).toMatchObject({ taskId, reused: true });
      expect(await paidTasksOf(input.prompt)).toBe(1);
    });

    test('and another input under the same ID never gets the result of the first, nor hides it', async () => {
      const execute = (prompt: string): Promise<GenerationResult> =>
        harness.temporal.workflow.execute('generateMedia', {
          workflowId: idOf('forgotten-input'),
          taskQueue: harness.taskQueue,
          args: [{ model: 'z-image', prompt }],
        });
      const { taskId } = await execute('first input');
      await expect(execute('second input')).rejects.toMatchObject({ cause: { type: 'InputChanged' } });
      expect(await paidTasksOf('second input')).toBe(0);
      expect(await execute('first input')).toMatchObject({ taskId, reused: true });
      expect(await paidTasksOf('first input')).toBe(1);
    });

    test('also the task of an earlier attempt, which failed', async () => {
      const prompt = 'fails first';
      const workflowId = idOf('forgotten-attempts');
      const input = { model: 'z-image', prompt, options: { maxAttempts: 2 } };
      const handle = await harness.client.start(input, { workflowId });
      await until(async () => (await paidTasksOf(prompt)) === 2);
      await until(async () => {
        const { earlier = [], taskId = null } = memoOf(await handle.describe()) ?? {};
        return earlier.length === 1 && taskId !== null;
      });
      await resetToStart(harness.temporal, workflowId);
      expect(await handle.result()).toMatchObject({ attempts: 2, reused: true });
      expect(await paidTasksOf(prompt)).toBe(2);
    });

    test('a step of your own Workflow, after terminate and a second start', async () => {
      const workflowId = idOf('forgotten-steps');
      const input = (prompt: string) => ({ model: 'z-image', prompt, options: { taskQueue: harness.taskQueue } });
      const prompts = ['the first step', 'until it is ended: the second step'];
      const start = () =>
        harness.temporal.workflow.start('twoSteps', {
          workflowId,
          taskQueue: harness.taskQueue,
          args: prompts.map(input),
        });
      const first = await start();
      await until(async () => (await paidTasksOf(prompts[1]!)) === 1);
      await first.terminate();
      const again = await start();
      await harness.emulator.endTasks(prompts[1]);
      const results = (await again.result()) as GenerationResult[];
      expect(results.map(({ reused }) => reused)).toEqual([true, expect.any(Boolean)]);
      expect(await paidTasksOf(prompts[0]!)).toBe(1);
    });
  });
});

/** Runs a submit to its end with nobody who reads that, ends the run, and starts it again. Returns the second run. */
async function endedUnread(harness: Harness, input: GenerateMediaInput, waitMs: number): Promise<GenerationHandle> {
  const workflowId = 'not read';
  const roles = (...names: WorkerRole[]) => harness.startWorkers({ roles: new Set(names) });
  const paid = async (): Promise<number> => (await harness.emulator.ledger()).paidTasks;
  const pending = async (): Promise<number> => ((await handle.describe()).raw.pendingActivities ?? []).length;
  const handle = await harness.client.start(input, { workflowId });
  const workflows = await roles('workflows');
  await until(async () => (await pending()) === 1);
  await workflows.stop();
  await roles('api');
  await until(async () => (await paid()) === 1 && (await pending()) === 0);
  const { mayPostSince } = memoOf(await handle.describe())!;
  await harness.temporal.workflow.getHandle(workflowId).terminate();
  await until(() => Date.now() > mayPostSince!.firstPostedAt + waitMs);
  const again = await harness.client.start(input, { workflowId });
  await roles('workflows', 'results');
  return again;
}

describe.concurrent('a run that was ended before it could read that it had a task', () => {
  const input = { model: 'z-image', prompt: 'not read' };

  test('with a store: its receipt has the task, though the API has forgotten the key', async () => {
    await using harness = await startHarness({ workers: false, emulator: { switches: { keyLifetimeMs: 1 } } });
    const again = await endedUnread(harness, input, 0);
    expect(await again.result()).toMatchObject({ reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('without a store, within the window: the same key is posted again, and the API repeats the task', async () => {
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
    const again = await endedUnread(harness, input, 0);
    const { taskId } = await again.result();
    expect(Object.values((await harness.emulator.ledger()).keys)).toMatchObject([{ posts: 2, tasks: [taskId] }]);
  });

  test('without a store, after the window: it holds, and nothing is posted', async () => {
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
    const idempotencyWindow = 2_000;
    const again = await endedUnread(harness, { ...input, options: { idempotencyWindow } }, idempotencyWindow);
    await until(async () => (await again.state())?.hold?.code === 'SubmitUnresolved');
    const { keys } = await harness.emulator.ledger();
    expect(Object.values(keys)).toMatchObject([{ posts: 1, tasks: [expect.any(String)] }]);
  });
});

test('what somebody else has put into the memo of an earlier run, under a codec that nobody has, stops no submit', async () => {
  await using harness = await startHarness({ workers: false });
  const reversed: PayloadCodec = {
    encode: (payloads) => Promise.resolve(payloads.map((one) => ({ ...one, data: one.data?.toReversed() ?? null }))),
    decode: (payloads) => Promise.resolve(payloads),
  };
  const { connection } = harness.temporal;
  const foreign = new Client({
    connection,
    namespace: harness.namespace,
    dataConverter: { payloadCodecs: [reversed] },
  });
  const input = { model: 'z-image', prompt: 'beside a note' };
  const started = await foreign.workflow.start('generateMedia', {
    workflowId: 'noted',
    taskQueue: harness.taskQueue,
    args: [input],
    memo: { note: { of: 'somebody else' } },
  });
  await started.terminate();
  await harness.startWorkers();
  const again = await harness.client.start(input, { workflowId: 'noted' });
  expect(await again.result()).toMatchObject({ status: 'succeeded', reused: false });
  expect((await harness.emulator.ledger()).paidTasks).toBe(1);
});
