/** What is refused for its price before anything is paid, and what an estimate says. The judge is the ledger. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      credits: 100,
      switches: { keyLifetimeMs: 1 },
      durations: { image: 800, video: 8_000 },
      faults: [
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'paid before', do: { kind: 'stuck' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function postsOf(prompt: string): Promise<{ posts: number; tasks: number }> {
  const { keys, tasks } = await harness.emulator.ledger();
  return {
    posts: Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${prompt}"`))).length,
    tasks: Object.values(tasks).filter((task) => task.prompt === prompt).length,
  };
}

const run = async (workflowId: string, input: GenerateMediaInput) =>
  (await harness.client.start(input, { workflowId })).result();

describe.concurrent('options.maxCredits', () => {
  test('lets through what starts at no more', async () => {
    const input = { model: 'z-image', prompt: 'cheap', options: { maxCredits: 1 } };
    expect(await run('budget-enough', input)).toMatchObject({ status: 'succeeded', reservedCredits: 1 });
  });

  const refused = (message: RegExp) => ({
    code: 'BudgetReached',
    message: expect.stringMatching(message) as string,
    details: { code: 'BudgetReached', taskId: null, action: expect.stringContaining('options.maxCredits') as string },
  });

  test('refuses a model that starts at more, before anything is sent', async () => {
    const input = { model: 'veo3-1-lite', prompt: 'starts at more', options: { maxCredits: 9.5 } };
    const says = /allows 9\.5 credits, and "veo3-1-lite" starts at 10\./;
    await expect(run('budget more', input)).rejects.toMatchObject(refused(says));
    expect(await postsOf('starts at more')).toEqual({ posts: 0, tasks: 0 });
  });

  test('refuses a model without a known price, before anything is sent', async () => {
    await using paged = await startHarness({ emulator: { switches: { modelList: 'firstPage' } } });
    const input = { model: 'sora-2', prompt: 'no price', options: { maxCredits: 9.5 } };
    const ended = (await paged.client.start(input, { workflowId: 'budget none' })).result();
    await expect(ended).rejects.toMatchObject(refused(/names no price for "sora-2"/));
    expect((await paged.emulator.ledger()).keys).toEqual({});
  });

  test('counts an attempt that failed', async () => {
    const input = { model: 'z-image', prompt: 'fails', options: { maxCredits: 1, maxAttempts: 3 } };
    await expect(run('budget-attempts', input)).rejects.toMatchObject({
      code: 'BudgetReached',
      message: expect.stringContaining('1 x 2 attempts = 2'),
    });
    expect(await postsOf('fails')).toEqual({ posts: 1, tasks: 1 });
  });

  test('holds for a chat too', async () => {
    const ask = (maxCredits: number): Promise<unknown> => {
      const options = { maxCredits, taskQueue: harness.taskQueue };
      return harness.temporal.workflow.execute('oneChat', {
        workflowId: `budget chat ${maxCredits}`,
        taskQueue: harness.taskQueue,
        args: [{ model: 'gpt-5-2-chat', message: `at most ${maxCredits}`, options }],
      });
    };
    await expect(ask(2)).rejects.toMatchObject({ cause: { type: 'BudgetReached' } });
    expect(await ask(3)).toMatchObject({ model: 'gpt-5-2-chat' });
    expect(await postsOf('at most 2')).toEqual({ posts: 0, tasks: 0 });
  });

  test('never keeps back a task that is paid already', async () => {
    const input = { model: 'veo3-1-lite', prompt: 'paid before', options: { maxCredits: 10 } };
    const handle = await harness.client.start(input, { workflowId: 'budget-lowered' });
    await until(async () => memoOf(await handle.describe())?.taskId != null);
    await harness.temporal.workflow.getHandle('budget-lowered').terminate();
    await harness.emulator.endTasks('paid before');
    expect(await run('budget-lowered', { ...input, options: { maxCredits: 1 } })).toMatchObject({ reused: true });
    expect(await postsOf('paid before')).toEqual({ posts: 1, tasks: 1 });
  });
});

describe('estimateCredits', () => {
  const estimate = (...models: unknown[]): Promise<unknown> =>
    harness.temporal.workflow.execute('estimate', {
      workflowId: `estimate ${models.join(' ')}`,
      taskQueue: harness.taskQueue,
      args: [models.map((model) => ({ model })), harness.taskQueue],
    });

  test('adds up starting prices and compares them with the balance, and nothing is paid', async () => {
    const paid = Object.keys((await harness.emulator.ledger()).tasks).length;
    expect(await estimate('z-image', 'runway', 'z-image')).toEqual({
      total: 14,
      requests: [
        { model: 'z-image', credits: 1 },
        { model: 'runway', credits: 12 },
        { model: 'z-image', credits: 1 },
      ],
      unknown: [],
      currentCredits: expect.any(Number),
      enough: true,
    });
    expect(await estimate('kling-2-6', 'kling-2-6')).toMatchObject({ total: 110, enough: false });
    expect(await estimate('z-image', 'tomorrow')).toMatchObject({ total: 1, unknown: ['tomorrow'], enough: null });
    expect(Object.keys((await harness.emulator.ledger()).tasks)).toHaveLength(paid);
  });

  test('names the request that has no model', async () => {
    await expect(estimate('z-image', '')).rejects.toMatchObject({
      cause: { type: 'InvalidInput', details: [{ field: '[1].model' }] },
    });
  });
});
