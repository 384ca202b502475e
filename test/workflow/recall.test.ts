/** An API that has forgotten every idempotency key: only what Temporal remembers keeps a generation from being paid again. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      switches: { keyLifetimeMs: 1 },
      durations: { image: 8_000 },
      faults: [{ on: 'create', prompt: 'fails first', times: 1, do: { kind: 'fail' } }],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function paidTasksOf(prompt: string): Promise<number> {
  const { tasks } = await harness.emulator.ledger();
  return Object.values(tasks).filter((task) => task.prompt === prompt).length;
}

async function firstCheckOf(workflowId: string): Promise<string | null> {
  const state = async (): Promise<GenerationState> =>
    (await harness.client.handle(workflowId).state()) as GenerationState;
  await until(async () => (await state()).statusChecks === 1);
  return (await state()).taskId;
}

describe.concurrent('paid once although the API forgot the key', () => {
  // An ID that wants to leave the query it stands in.
  test.each(['forgotten-reset', `it's "odd" \\ ID`])(
    'after a reset to the first Workflow Task (%s)',
    async (workflowId) => {
      const prompt = `reset ${workflowId}`;
      const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId });
      const taskId = await firstCheckOf(workflowId);
      await resetToStart(harness.temporal, workflowId);
      expect(await handle.result()).toMatchObject({ taskId, reused: true });
      expect(await paidTasksOf(prompt)).toBe(1);
    },
  );

  test('after terminate and a second start', async () => {
    const input = { model: 'z-image', prompt: 'terminated' };
    const workflowId = 'forgotten-terminated';
    await harness.client.start(input, { workflowId });
    const taskId = await firstCheckOf(workflowId);
    await harness.temporal.workflow.getHandle(workflowId).terminate('test');
    const again = await harness.client.start(input, { workflowId });
    expect(await again.result()).toMatchObject({ taskId, reused: true });
    expect(await paidTasksOf('terminated')).toBe(1);
  });

  test('and another input under the same ID never gets the result of the first', async () => {
    const execute = (prompt: string): Promise<unknown> =>
      harness.temporal.workflow.execute('generateMedia', {
        workflowId: 'forgotten-input',
        taskQueue: harness.taskQueue,
        args: [{ model: 'z-image', prompt }],
      });
    await execute('first input');
    await expect(execute('second input')).rejects.toMatchObject({ cause: { type: 'InputChanged' } });
    expect(await paidTasksOf('second input')).toBe(0);
  });

  test('also the task of an earlier attempt, which failed', async () => {
    const prompt = 'fails first';
    const workflowId = 'forgotten-attempts';
    const input = { model: 'z-image', prompt, options: { maxAttempts: 2 } };
    const handle = await harness.client.start(input, { workflowId });
    await until(async () => (await paidTasksOf(prompt)) === 2);
    await until(async () => memoOf(await handle.describe())?.earlier.length === 1);
    await resetToStart(harness.temporal, workflowId);
    expect(await handle.result()).toMatchObject({ attempts: 2, reused: true });
    expect(await paidTasksOf(prompt)).toBe(2);
  });

  test('and a larger take is still paid on purpose', async () => {
    const input = { model: 'z-image', prompt: 'two takes' };
    const first = await (await harness.client.start(input, { workflowId: 'forgotten-takes' })).result();
    const second = await (
      await harness.client.start({ ...input, take: 2 }, { workflowId: 'forgotten-takes' })
    ).result();
    expect(second.taskId).not.toBe(first.taskId);
    expect(await paidTasksOf('two takes')).toBe(2);
  });
});
