/** One Workflow ID, started more than once: what attaches, what pays again, and what is refused before anything starts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      faults: [
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const start = (input: GenerateMediaInput, workflowId: string) => harness.client.start(input, { workflowId });

async function runIdOf(workflowId: string): Promise<string> {
  return (await harness.client.handle(workflowId).describe()).runId;
}

async function paidTasksOf(prompt: string): Promise<number> {
  const { tasks } = await harness.emulator.ledger();
  return Object.values(tasks).filter((task) => task.prompt === prompt).length;
}

describe.concurrent('while it runs', () => {
  test('the same input attaches, also with other options and labels; another body is refused', async () => {
    const workflowId = 'runs';
    const input = { model: 'z-image', prompt: 'stuck' };
    await start(input, workflowId);
    const runId = await runIdOf(workflowId);
    await start({ ...input, labels: { team: 'ads' }, options: { deadline: '2h', maxAttempts: 3 } }, workflowId);
    expect(await runIdOf(workflowId)).toBe(runId);
    const others: GenerateMediaInput[] = [
      { ...input, model: '4o-image' },
      { ...input, prompt: 'another prompt' },
      { ...input, params: { aspect_ratio: '4:3' } },
      { ...input, clientRequestId: 'another-1' },
      { ...input, idempotencyKey: 'another/key' },
      { model: 'z-image', taskId: 'task_of_another' },
    ];
    for (const other of others) {
      await expect(start(other, workflowId)).rejects.toMatchObject({
        code: 'InputChanged',
        message: expect.stringContaining('nothing was started'),
      });
    }
    expect(await runIdOf(workflowId)).toBe(runId);
    await harness.temporal.workflow.getHandle(workflowId).terminate();
  });
});

describe.concurrent('after its end', () => {
  test('a completed one gives its result, also with other options and labels', async () => {
    const workflowId = 'completed';
    const input = { model: 'z-image', prompt: 'a completed one' };
    const first = await (await start(input, workflowId)).result();
    const labelled = { ...input, labels: { team: 'ads' }, options: { deadline: '2h' } } as const;
    expect(await (await start(labelled, workflowId)).result()).toEqual(first);
    expect(await paidTasksOf(input.prompt)).toBe(1);
  });

  test('a failed one comes to the same task for nothing; only a larger maxAttempts pays again', async () => {
    const workflowId = 'failed';
    const input = { model: 'z-image', prompt: 'it fails' };
    const taskOf = async (given: GenerateMediaInput): Promise<string> => {
      const error: unknown = await (await start(given, workflowId)).result().catch((failure: unknown) => failure);
      expect(error).toMatchObject({
        code: 'GenerationFailed',
        message: expect.stringContaining('options.maxAttempts: '),
      });
      return (error as { details: { taskId: string } }).details.taskId;
    };
    const taskId = await taskOf(input);
    expect(await taskOf(input)).toBe(taskId);
    expect(await paidTasksOf(input.prompt)).toBe(1);
    const other = await start({ ...input, prompt: 'another one' }, workflowId);
    await expect(other.result()).rejects.toMatchObject({ code: 'InputChanged' });
    expect(await paidTasksOf('another one')).toBe(0);
    expect(await taskOf(input)).toBe(taskId);
    expect(await taskOf({ ...input, options: { maxAttempts: 2 } })).not.toBe(taskId);
    expect(await paidTasksOf(input.prompt)).toBe(2);
  });
});
