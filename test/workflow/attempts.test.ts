/** How often one generation may be paid: `maxAttempts`, counted over all its runs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationError } from '../../src/client.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    // Without receipts: the keys alone must lead to the same tasks.
    env: { RIVYA_STORE: undefined },
    emulator: {
      faults: [
        { on: 'create', prompt: 'always fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function keysOf(prompt: string) {
  const { keys } = await harness.emulator.ledger();
  return Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(prompt)));
}

async function failureOf(input: GenerateMediaInput, workflowId: string): Promise<GenerationError> {
  const handle = await harness.client.start(input, { workflowId });
  return handle.result().then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error as GenerationError,
  );
}

describe.concurrent('maxAttempts', () => {
  test('bounds the paid tasks over a reset and a second start: the same ones are walked again for nothing', async () => {
    const prompt = 'always fails, walked again';
    const workflowId = 'walked-again';
    const input = { model: 'z-image', prompt, options: { maxAttempts: 2 } };
    const failure = await failureOf(input, workflowId);
    expect(failure).toMatchObject({
      code: 'GenerationFailed',
      message: expect.stringContaining('options.maxAttempts: 3'),
    });
    const keys = await keysOf(prompt);
    expect(keys.map(({ tasks }) => tasks.length)).toEqual([1, 1]);
    expect(failure.details.taskId).toBe(keys[1]!.tasks[0]);

    const { runId } = await harness.client.handle(workflowId).describe();
    await resetToStart(harness.temporal, workflowId);
    await until(async () => (await harness.client.handle(workflowId).describe()).runId !== runId);
    const afterReset: unknown = await harness.client
      .handle(workflowId)
      .result()
      .catch((error: unknown) => error);
    expect(afterReset).toMatchObject({ code: 'GenerationFailed', details: { taskId: failure.details.taskId } });
    expect(await failureOf(input, workflowId)).toMatchObject({ details: { taskId: failure.details.taskId } });
    expect((await keysOf(prompt)).map(({ tasks }) => tasks)).toEqual(keys.map(({ tasks }) => tasks));
  });

  test('raised after a failure buys the next attempt only', async () => {
    const prompt = 'always fails, raised';
    const input = (maxAttempts: number) => ({ model: 'z-image', prompt, options: { maxAttempts } });
    await failureOf(input(1), 'raised');
    await failureOf(input(3), 'raised');
    expect((await keysOf(prompt)).map(({ tasks }) => tasks.length)).toEqual([1, 1, 1]);
  });

  test('buys nothing after a refusal of the input', async () => {
    const prompt = 'refused three times?';
    const failure = await failureOf({ model: 'z-image', prompt, options: { maxAttempts: 3 } }, 'refused-once');
    expect(failure).toMatchObject({ code: 'validation_failed' });
    expect(await keysOf(prompt)).toMatchObject([{ posts: 1, tasks: [] }]);
  });
});

// A harness of its own: the reply must name the task, so its fault cannot be there from the start.
test.concurrent('a task that ended for wrong input is never bought again, whatever maxAttempts allows', async () => {
  await using other = await startHarness({ emulator: { faults: [{ on: 'create', do: { kind: 'stuck' } }] } });
  const options = { maxAttempts: 3 };
  const handle = await other.client.start({ model: 'z-image', prompt: 'ends refused', options });
  await until(async () => (await other.emulator.ledger()).paidTasks === 1);
  const [id] = Object.keys((await other.emulator.ledger()).tasks);
  const error = { code: 'validation_failed', message: 'No such size.' };
  const body = JSON.stringify({ id, status: 'failed', reserved_credits: 1, final_credits: 0, result: null, error });
  other.emulator.setFaults([{ on: 'status', do: { kind: 'reply', status: 200, body } }]);
  await expect(handle.result()).rejects.toMatchObject({
    code: 'GenerationFailed',
    message: expect.stringContaining('validation_failed: No such size.'),
    details: { taskId: id, code: 'validation_failed', finalCredits: 0 },
  });
  expect((await other.emulator.ledger()).paidTasks).toBe(1);
});
