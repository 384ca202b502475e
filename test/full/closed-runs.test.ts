/** Runs that Temporal ends or starts by itself: Workflow retry, time-outs, termination. Paid once, the same task. */
import type { WorkflowFailedError, WorkflowStartOptions } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerateMediaInput, GenerationOptions, GenerationResult } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const LIMIT_MS = 120_000;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    account: false,
    // Nothing but Temporal remembers.
    env: { RIVYA_STORE: '' },
    emulator: {
      switches: { keyLifetimeMs: 1 },
      durations: { image: 6_000 },
      faults: [
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
        { on: 'status', prompt: 'run timeout', times: 2, do: { kind: 'error', code: 'internal_error' } },
        { on: 'create', prompt: 'not answered', times: 1, do: { kind: 'dropAfter' } },
        // So it waits long between its second and third attempt.
        { on: 'create', prompt: 'not answered', do: { kind: 'error', code: 'rate_limited', retryAfter: '600' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

/** Starts it as any program does, without our client. */
const start = (input: GenerateMediaInput, workflowId: string, more: Partial<WorkflowStartOptions> = {}) =>
  harness.temporal.workflow.start('generateMedia', {
    ...more,
    workflowId,
    taskQueue: harness.taskQueue,
    args: [input],
  });

async function ledgerOf(prompt: string): Promise<{ tasks: string[]; posts: number }> {
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(prompt)));
  return { tasks: mine.flatMap(({ tasks }) => tasks), posts: mine.reduce((sum, { posts }) => sum + posts, 0) };
}

const causeOf = (error: unknown): unknown => (error as WorkflowFailedError).cause;

describe.concurrent('a Workflow retry policy', () => {
  const retry = { maximumAttempts: 3, initialInterval: '1s' } as const;

  test.each<[string, string, GenerationOptions]>([
    ['fails', 'GenerationFailed', {}],
    ['stuck', 'DeadlinePassed', { deadline: '1s' }],
  ])('does not repeat a generation that %s (%s)', async (prompt, type, options) => {
    const handle = await start({ model: 'z-image', prompt, options }, `retry ${prompt}`, { retry });
    const failure = causeOf(await handle.result().catch((error: unknown) => error));
    const { tasks, posts } = await ledgerOf(prompt);
    expect(failure).toMatchObject({ type, nonRetryable: true, details: [{ taskId: tasks[0] }] });
    expect({ paid: tasks.length, posts }).toEqual({ paid: 1, posts: 1 });
    const { runId } = await harness.temporal.workflow.getHandle(handle.workflowId).describe();
    expect(runId).toBe(handle.firstExecutionRunId);
  });

  test('takes up the same task after a run timeout', async () => {
    const prompt = 'run timeout';
    const input = { model: 'z-image', prompt, options: { deadline: '4s' } } as const;
    // A busy machine may need more runs than three.
    const handle = await start(input, prompt, { retry: { initialInterval: '1s' }, workflowRunTimeout: '6s' });
    const result = (await handle.result()) as GenerationResult;
    const { runId } = await harness.temporal.workflow.getHandle(prompt).describe();
    expect(runId).not.toBe(handle.firstExecutionRunId);
    expect(result.reused).toBe(true);
    expect(await ledgerOf(prompt)).toEqual({ tasks: [result.taskId], posts: 1 });
  });
});

describe.concurrent('started again, the same task is taken up', () => {
  test('after an execution timeout while it waits', async () => {
    const prompt = 'execution timeout [[duration:20s]]';
    const input = { model: 'z-image', prompt, options: { deadline: '15s' } } as const;
    const handle = await start(input, prompt, { workflowExecutionTimeout: '15s' });
    await expect(handle.result()).rejects.toMatchObject({ cause: { timeoutType: expect.anything() } });
    const again = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    const { taskId, reused } = await again.result();
    expect(reused).toBe(true);
    expect(await ledgerOf('execution timeout')).toEqual({ tasks: [taskId], posts: 1 });
  });

  test.each(['at once', 'when the answer has come to nobody'])(
    'after a termination while it posts, %s (the API remembers the key)',
    async (when) => {
      await using remembering = await startHarness({
        account: false,
        emulator: { faults: [{ on: 'create', times: 1, do: { kind: 'delayAfter', ms: 5_000 } }] },
      });
      const input = { model: 'z-image', prompt: 'while posting' };
      const { workflowId } = await remembering.client.start(input, { workflowId: `terminated while posting, ${when}` });
      await until(async () => (await remembering.emulator.ledger()).paidTasks === 1, LIMIT_MS);
      await remembering.temporal.workflow.getHandle(workflowId).terminate();
      const answered = (): boolean => remembering.emulator.requests().some(({ status }) => status === 201);
      if (when !== 'at once') await until(answered, LIMIT_MS);
      const again = await remembering.client.start(input, { workflowId });
      const { taskId } = await again.result();
      const { keys } = await remembering.emulator.ledger();
      expect(Object.values(keys)).toMatchObject([{ tasks: [taskId], charged: 1 }]);
    },
  );
});

describe.concurrent('started again, an unanswered submit is not posted blind', () => {
  test('after a termination between its repetitions, where the window is over', async () => {
    const prompt = 'not answered';
    await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    const first = harness.temporal.workflow.getHandle(prompt);
    await until(async () => (await first.describe()).raw.pendingActivities?.[0]?.attempt === 3, LIMIT_MS);
    await first.terminate();
    const options = { idempotencyWindow: '1s' } as const;
    const again = await harness.client.start({ model: 'z-image', prompt, options }, { workflowId: prompt });
    await until(async () => (await again.state())?.hold?.code === 'SubmitUnresolved', LIMIT_MS);
    expect((await ledgerOf(prompt)).posts).toBe(2);
    await harness.temporal.workflow.getHandle(prompt).terminate();
  });
});
