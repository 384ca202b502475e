/** An API that stores its refusals and errors under the idempotency key, and gives them again for ever. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      credits: 0,
      switches: { storeRefusals: true, storeServerErrors: true },
      faults: [{ on: 'create', prompt: 'broken', times: 1, do: { kind: 'errorAfter', code: 'internal_error' } }],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const stateOf = async (workflowId: string): Promise<GenerationState> =>
  (await harness.client.handle(workflowId).state()) as GenerationState;

// One after the other: the first starts without credits, the second needs what it leaves.
describe('paid once', () => {
  test('when credits come after a refusal that is stored: another key, one paid task', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'poor' }, { workflowId: 'poor' });
    await until(async () => (await stateOf('poor')).phase === 'held');
    const first = await stateOf('poor');
    await harness.emulator.setCredits(undefined, 10);
    await handle.resume();
    const result = await handle.result();
    expect(result.idempotencyKey).not.toBe(first.idempotencyKey);
    const { paidTasks, keys } = await harness.emulator.ledger();
    expect(paidTasks).toBe(1);
    expect(keys[first.idempotencyKey!]).toMatchObject({ tasks: [], posts: 2 });
    expect(keys[result.idempotencyKey!]).toMatchObject({ tasks: [result.taskId], posts: 1 });
    expect(keys[result.idempotencyKey!]!.bodies).toEqual(keys[first.idempotencyKey!]!.bodies);
  });

  test('when the same error comes for the third time: it holds at once and takes the task that is found', async () => {
    const prompt = 'broken';
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    await until(async () => (await stateOf(prompt)).hold?.code === 'SubmitUnresolved');
    const { hold, idempotencyKey } = await stateOf(prompt);
    expect(hold!.message).toMatch(/req_.* again and again/);
    const { tasks, posts } = (await harness.emulator.ledger()).keys[idempotencyKey!]!;
    expect({ tasks: tasks.length, posts }).toEqual({ tasks: 1, posts: 3 });
    await handle.resume({ taskId: tasks[0]! });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0], reused: true });
  });
});
