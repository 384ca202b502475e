/** A whole pipeline: each of its steps is paid once, whatever is done to its Workflow. The ledger is the judge. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatResult, GenerationResult } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

describe.each([
  ['without a store', { RIVYA_STORE: '' }],
  ['with a store', {}],
])('chat, image, video (%s)', (how, env) => {
  let harness: Harness;
  beforeAll(async () => {
    // The API forgets a key at once, so only what we can read ourselves keeps a step from being paid again.
    harness = await startHarness({ env, emulator: { switches: { keyLifetimeMs: 1 } } });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('reset to before all of it: one paid task for each step, the same IDs and the same answer', async () => {
    const { taskQueue, temporal, emulator } = harness;
    const options = { taskQueue };
    const workflowId = `pipeline ${how}`;
    const args = [
      { model: 'gemini-2-5-flash-chat', message: `A picture of a heron, ${how}`, options },
      { model: 'z-image', options },
      { model: 'sora-2', prompt: 'It takes off', options },
    ];
    await temporal.workflow.start('film', { workflowId, taskQueue, args });
    const made = async () => Object.entries((await emulator.ledger()).tasks);
    await until(async () =>
      (await made()).some(([, task]) => task.prompt === 'It takes off' && task.checks.length > 0),
    );
    const before = await emulator.ledger();
    await resetToStart(temporal, workflowId);
    const result = (await temporal.workflow.getHandle(workflowId).result()) as {
      chat: ChatResult;
      image: GenerationResult;
      video: GenerationResult;
    };
    expect([result.chat.reused, result.image.reused, result.video.reused]).toEqual([true, true, true]);
    const after = await emulator.ledger();
    expect(Object.keys(after.tasks).toSorted()).toEqual([result.image.taskId, result.video.taskId].toSorted());
    expect(Object.keys(after.tasks)).toEqual(Object.keys(before.tasks));
    expect(Object.keys(after.chats)).toHaveLength(1);
  });

  test('a reset of 20 completed steps pays nothing, and asks the API for nothing but fresh links', async () => {
    const { taskQueue, temporal, emulator } = harness;
    const workflowId = `twenty ${how}`;
    const requests = Array.from({ length: 20 }, (_, n) => {
      return { step: `shot ${n}`, model: 'z-image', prompt: `twenty ${how} ${n}`, options: { taskQueue } };
    });
    const first = await temporal.workflow.execute('allOf', { workflowId, taskQueue, args: [requests] });
    const taskIds = (outcomes: unknown): string[] =>
      (outcomes as { value: GenerationResult }[]).map(({ value }) => value.taskId);
    const before = emulator.requests().length;
    await resetToStart(temporal, workflowId);
    const again = await temporal.workflow.getHandle(workflowId).result();
    expect(taskIds(again)).toEqual(taskIds(first));
    expect(again).toMatchObject(requests.map(() => ({ status: 'fulfilled', value: { reused: true } })));
    const asked = emulator.requests().slice(before);
    // Without a store, one GET each for links that have not expired.
    expect(asked.map(({ method }) => method)).toEqual(how === 'with a store' ? [] : requests.map(() => 'GET'));
  });
});
