/** Many generations of one Workflow at the same time: every outcome is told, and each is paid once. */
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationOutcome, GenerationStep } from '../../workflows/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      faults: [
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

function items(...prompts: string[]): GenerationStep[] {
  const options = { taskQueue: harness.taskQueue };
  return prompts.map((prompt, index) => ({ step: `shot ${index + 1}`, model: 'z-image', prompt, options }));
}

const many = (what: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${what}, number ${index + 1}.`);

function start(workflowId: string, requests: unknown): Promise<WorkflowHandle> {
  return harness.temporal.workflow.start('allOf', { workflowId, taskQueue: harness.taskQueue, args: [requests] });
}

async function run(workflowId: string, requests: GenerationStep[]): Promise<GenerationOutcome[]> {
  return (await (await start(workflowId, requests)).result()) as GenerationOutcome[];
}

/** Paid tasks of all prompts that begin so. */
async function paidTasksOf(what: string): Promise<number> {
  const { tasks } = await harness.emulator.ledger();
  return Object.values(tasks).filter(({ prompt }) => prompt?.startsWith(what)).length;
}

describe.concurrent('every outcome is told, in order', () => {
  test('a failure takes no sibling with it, and names its task', async () => {
    const [first, ...others] = items('one', 'fails', 'refused', 'four');
    const outcomes = await run('all', [{ ...first!, summary: 'the first' }, ...others]);
    expect(outcomes).toMatchObject([
      { status: 'fulfilled', step: 'shot 1', value: { status: 'succeeded', reused: false } },
      {
        status: 'rejected',
        step: 'shot 2',
        reason: {
          type: 'GenerationFailed',
          taskId: expect.any(String),
          message: expect.stringContaining('options.maxAttempts: 2'),
        },
      },
      { status: 'rejected', step: 'shot 3', reason: { type: 'validation_failed', taskId: null, httpStatus: 400 } },
      { status: 'fulfilled', step: 'shot 4' },
    ]);
    const summaries = [1, 4].map(async (n) =>
      (await harness.temporal.workflow.getHandle(`all/shot ${n}`).describe()).staticSummary(),
    );
    expect(await Promise.all(summaries)).toEqual(['the first', 'z-image: four']);
  });

  test('a cancel stops all of them and ends the Workflow as cancelled', async () => {
    const handle = await start('all-cancelled', items('stuck 1', 'stuck 2'));
    await until(async () => (await paidTasksOf('stuck')) === 2);
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    for (const step of ['shot 1', 'shot 2']) {
      const child = await harness.temporal.workflow.getHandle(`all-cancelled/${step}`).describe();
      expect(child.status.name).toBe('CANCELLED');
    }
  });

  test('none of none', async () => {
    expect(await run('all-of-none', [])).toEqual([]);
  });
});

describe.concurrent('nothing is paid before all requests are good', () => {
  const good = (): GenerationStep[] => items(...many('beside a bad one', 12));
  test.each<[string, (requests: GenerationStep[]) => unknown, string]>([
    ['a model is missing', (all) => all.with(7, { ...all[7]!, model: '' }), '[7].model'],
    ['a step is missing', (all) => all.with(11, { ...all[11]!, step: undefined as never }), '[11].step'],
    ['a step is there twice', (all) => all.with(3, { ...all[3]!, step: 'shot 1' }), '[3].step'],
    ['one is null', (all) => all.with(0, null as never), '[0].step'],
    ['it is no list', () => ({}), 'requests'],
    ['there are too many', (all) => Array.from({ length: 501 }, () => all[0]), 'requests'],
  ])('%s', async (name, spoil, field) => {
    const handle = await start(`all-bad ${name}`, spoil(good()));
    const failure: unknown = await handle.result().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(WorkflowFailedError);
    expect(failure).toMatchObject({
      cause: { type: 'InvalidInput', message: expect.stringContaining(`${field}: `), details: [{ field }] },
    });
    expect(await paidTasksOf('beside a bad one')).toBe(0);
  });
});

// The Service ends a Workflow as terminated, for ever, when the commands of one Workflow Task pass 4 MB.
describe.concurrent('large requests do not end the Workflow, and each is paid once', () => {
  test.each([
    ['20 of 250 kB', { count: 0, bytes: 0 }, { count: 20, bytes: 250_000 }],
    ['5 concurrent calls of 900 kB', { count: 5, bytes: 900_000 }, { count: 0, bytes: 0 }],
    ['20 small ones and 20 of 300 kB', { count: 20, bytes: 100 }, { count: 20, bytes: 300_000 }],
  ])('%s', async (what, calls, all) => {
    const args = [what, harness.taskQueue, calls, all];
    const { taskQueue, temporal } = harness;
    const ends = await temporal.workflow.execute('largeSteps', { workflowId: what, taskQueue, args });
    const count = calls.count + all.count;
    expect(ends).toEqual(Array.from({ length: count }, () => 'fulfilled'));
    expect(await paidTasksOf(`${what},`)).toBe(count);
  });
});

test('each is paid once, also after a reset', async () => {
  const what = 'eleven';
  const first = await run('all-eleven', items(...many(what, 11)));
  expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 11 }, () => 'fulfilled'));
  await resetToStart(harness.temporal, 'all-eleven');
  const again = (await harness.temporal.workflow.getHandle('all-eleven').result()) as GenerationOutcome[];
  expect(again).toMatchObject(first.map(({ step }) => ({ status: 'fulfilled', step, value: { reused: true } })));
  expect(await paidTasksOf(what)).toBe(11);
});
