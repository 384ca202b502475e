/**
 * Generations as children of somebody's own Workflow. The API forgets every key and there is no store, so only what
 * Temporal remembers keeps them from being paid twice.
 */
import { WorkflowFailedError, WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerateMediaInput, GenerationResult } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { activitiesOf, pause } from '../support/pause.js';
import { resetTo, resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: {
      switches: { keyLifetimeMs: 1 },
      // A video ends when its test says so: after it has reset, terminated or cancelled a parent while its child waits.
      durations: { image: 800, video: 3_600_000 },
      faults: [
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
        { on: 'create', prompt: 'fails meanwhile', do: { kind: 'fail' } },
        { on: 'create', prompt: 'broken in order', times: 1, do: { kind: 'error', code: 'validation_failed' } },
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const image = (prompt: string): GenerateMediaInput => request('z-image', prompt);
const video = (prompt: string): GenerateMediaInput => request('veo3-1-lite', prompt);

function request(model: string, prompt: string): GenerateMediaInput {
  return { model, prompt, options: { taskQueue: harness.taskQueue } };
}

function start(workflowId: string, type: string, ...args: unknown[]): Promise<WorkflowHandle> {
  return harness.temporal.workflow.start(type, { workflowId, taskQueue: harness.taskQueue, args });
}

const end = (prompt: string): Promise<void> => harness.emulator.endTasks(prompt);

const handleOf = (workflowId: string): WorkflowHandle => harness.temporal.workflow.getHandle(workflowId);

async function paidTasksOf(...prompts: string[]): Promise<number[]> {
  const { tasks } = await harness.emulator.ledger();
  return prompts.map((prompt) => Object.values(tasks).filter((task) => task.prompt === prompt).length);
}

/** The task ID of a child, once it stands in its memo. */
async function taskOf(workflowId: string): Promise<string> {
  let taskId: string | null = null;
  await until(async () => {
    const description = await handleOf(workflowId)
      .describe()
      .catch(() => null);
    taskId = description === null ? null : (memoOf(description)?.taskId ?? null);
    return taskId !== null;
  });
  return taskId!;
}

/** The failure of a Workflow, without the wrapper of the client. */
async function failureOf(handle: WorkflowHandle): Promise<unknown> {
  try {
    return await handle.result();
  } catch (error) {
    return error instanceof WorkflowFailedError ? error.cause : error;
  }
}

async function isWaitingForRun(workflowId: string): Promise<void> {
  await until(async () => {
    const { raw } = await handleOf(workflowId).describe();
    return (raw.pendingActivities ?? []).some(({ activityType }) => activityType?.name === 'rivyaResult');
  });
}

describe.concurrent('a child', () => {
  test('has the ID of parent and step, a summary and a memo of its own, and one paid task', async () => {
    const handle = await start('child-plain', 'oneStep', image('one child'));
    const result = (await handle.result()) as GenerationResult;
    const child = await handleOf('child-plain/only').describe();
    expect(child).toMatchObject({ type: 'generateMedia', status: { name: 'COMPLETED' } });
    expect(await child.staticSummary()).toBe('z-image: one child');
    expect(await child.staticDetails()).toContain('*Terminate* end the wait alone');
    expect(memoOf(child)).toMatchObject({ phase: 'succeeded', taskId: result.taskId });
    expect(await paidTasksOf('one child')).toEqual([1]);
  });

  test('shows the summary that its step names in the place of a private prompt', async () => {
    const handle = await start('child-private', 'oneStep', image('a private fox'), 'poster 1');
    await handle.result();
    expect(await (await handleOf('child-private/only').describe()).staticSummary()).toBe('poster 1');
    const current = await handleOf('child-private/only').query<{ currentDetails: string }>(
      '__temporal_workflow_metadata',
    );
    expect(current.currentDetails).toContain('Done.');
    expect(current.currentDetails).not.toContain('fox');
    const wrong = await start('child-wrong-summary', 'oneStep', image('never'), 7);
    expect(await failureOf(wrong)).toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('summary: must be a text'),
    });
  });

  test.each([
    ['fails', 'GenerationFailed', { code: 'generation_failed', taskId: expect.any(String), finalCredits: 0 }],
    ['refused', 'validation_failed', { code: 'validation_failed', taskId: null, httpStatus: 400 }],
  ])('that %s is a failure of its step with all that is known', async (prompt, type, details) => {
    const parent = await start(`child-${prompt}`, 'oneStep', image(prompt));
    expect(await failureOf(parent)).toMatchObject({ type, nonRetryable: true, details: [details] });
  });

  test('ends only by itself: its parent is terminated, and its task is still waited for', async () => {
    const parent = await start('child-outlives', 'oneStep', video('outlives'));
    const taskId = await taskOf('child-outlives/only');
    await parent.terminate();
    await end('outlives');
    expect(await handleOf('child-outlives/only').result()).toMatchObject({ taskId, status: 'succeeded' });
  });

  test('is asked to stop waiting when its parent is cancelled, and says what became of its task', async () => {
    const parent = await start('child-cancelled', 'oneStep', image('stuck'));
    const taskId = await taskOf('child-cancelled/only');
    await parent.cancel();
    expect(await failureOf(parent)).toMatchObject({ name: 'CancelledFailure' });
    const child = await handleOf('child-cancelled/only').describe();
    expect(child.status.name).toBe('CANCELLED');
    expect(memoOf(child)).toMatchObject({ phase: 'cancelled', taskId });
  });

  test.each([
    ['Cancelled', (child: WorkflowHandle) => child.cancel()],
    ['Terminated', (child: WorkflowHandle) => child.terminate()],
  ] as const)(
    'that somebody has ended (%s) is a failure of its step, not the end of the parent',
    async (how, endIt) => {
      const parent = await start(`child-ended-${how}`, 'oneStep', image('stuck'));
      await taskOf(`child-ended-${how}/only`);
      await endIt(handleOf(`child-ended-${how}/only`));
      expect(await failureOf(parent)).toMatchObject({
        type: how,
        details: [{ code: how, action: expect.any(String) }],
      });
    },
  );

  test('cannot have a name that is taken, empty, too long or that could be that of another', async () => {
    const names = ['hero', '', 'x'.repeat(200), 'a/b'];
    const long = 'child-names'.padEnd(100, '.');
    const refusals = (await (await start(long, 'childNames', image('names'), names)).result()) as string[];
    expect(refusals).toEqual([
      expect.stringMatching(/^InvalidInput: step: "hero" is used twice/),
      expect.stringMatching(/^InvalidInput: step: is missing/),
      expect.stringMatching(/^InvalidInput: step: makes a Workflow ID of more than 255/),
      expect.stringMatching(/^InvalidInput: step: must not hold "\/"/),
    ]);
    expect(await paidTasksOf('names')).toEqual([1]);
  });
});

describe.concurrent('paid once although the API forgot the key', () => {
  test('when the parent is reset while its child runs', async () => {
    const parent = await start('child-reset', 'oneStep', video('reset while it runs'));
    const taskId = await taskOf('child-reset/only');
    const { runId } = await handleOf('child-reset/only').describe();
    await resetToStart(harness.temporal, 'child-reset');
    await isWaitingForRun('child-reset');
    // The run that waits for the paid task is left alone.
    expect((await handleOf('child-reset/only').describe()).runId).toBe(runId);
    await end('reset while it runs');
    expect(await handleOf('child-reset').result()).toMatchObject({ taskId, reused: true });
    expect(await paidTasksOf('reset while it runs')).toEqual([1]);
    await expect(parent.result()).rejects.toThrow(WorkflowFailedError);
  });

  test('when the parent is terminated while its child runs, and started again', async () => {
    const input = video('started again');
    await start('child-again', 'oneStep', input);
    const taskId = await taskOf('child-again/only');
    await handleOf('child-again').terminate();
    const again = await start('child-again', 'oneStep', input);
    await end('started again');
    expect(await again.result()).toMatchObject({ taskId, reused: true });
    expect(await paidTasksOf('started again')).toEqual([1]);
  });

  test('and a failure of the child that was left running comes out the same way', async () => {
    const input = { ...image('fails'), options: { taskQueue: harness.taskQueue, deadline: '6h' } };
    await start('child-again-fails', 'oneStep', input);
    const taskId = await taskOf('child-again-fails/only');
    await handleOf('child-again-fails').terminate();
    const again = await start('child-again-fails', 'oneStep', input);
    expect(await failureOf(again)).toMatchObject({ type: 'GenerationFailed', details: [{ taskId }] });
    const { keys } = await harness.emulator.ledger();
    expect(Object.values(keys).filter(({ tasks }) => tasks.includes(taskId))).toMatchObject([{ tasks: [taskId] }]);
  });

  test('and another input never gets the result of the child that was left running', async () => {
    await start('child-other', 'oneStep', image('stuck'));
    await taskOf('child-other/only');
    await handleOf('child-other').terminate();
    const other = await start('child-other', 'oneStep', image('another prompt'));
    expect(await failureOf(other)).toMatchObject({ type: 'InputChanged', details: [{ code: 'InputChanged' }] });
    expect(await paidTasksOf('another prompt')).toEqual([0]);
    await handleOf('child-other/only').terminate();
  });

  test('and when the child that is waited for was deleted: a person decides, and nothing is posted', async () => {
    const workflowId = 'child-deleted';
    await start(workflowId, 'oneStep', image('stuck and deleted'));
    await taskOf(`${workflowId}/only`);
    await handleOf(workflowId).terminate();
    const again = await start(workflowId, 'oneStep', image('stuck and deleted'));
    await isWaitingForRun(workflowId);
    // The Service terminates it first, and a look between the two would say so.
    await pause(harness.temporal, workflowId, 'rivyaResult');
    await harness.temporal.workflowService.deleteWorkflowExecution({
      namespace: harness.namespace,
      workflowExecution: { workflowId: `${workflowId}/only` },
    });
    const child = handleOf(`${workflowId}/only`);
    await until(async () =>
      child.describe().then(
        () => false,
        (error) => error instanceof WorkflowNotFoundError,
      ),
    );
    await harness.temporal.workflowService.unpauseActivity(activitiesOf(harness.temporal, workflowId, 'rivyaResult'));
    expect(await failureOf(again)).toMatchObject({
      type: 'SubmitUnresolved',
      message: expect.stringContaining('no longer known to Temporal'),
      details: [{ code: 'SubmitUnresolved', action: expect.stringContaining('Rivya Studio') }],
    });
    expect(await paidTasksOf('stuck and deleted')).toEqual([1]);
  });

  test('and a cancel stops a child that was left running too', async () => {
    await start('child-left-cancel', 'oneStep', image('stuck'));
    await taskOf('child-left-cancel/only');
    await handleOf('child-left-cancel').terminate();
    const again = await start('child-left-cancel', 'oneStep', image('stuck'));
    await isWaitingForRun('child-left-cancel');
    await again.cancel();
    expect(await failureOf(again)).toMatchObject({ name: 'CancelledFailure' });
    await until(async () => (await handleOf('child-left-cancel/only').describe()).status.name === 'CANCELLED');
  });

  test('when a broken third step is mended and the Workflow reset', async () => {
    const prompts = ['first', 'second', 'broken'].map((prompt) => `${prompt} in order`);
    const workflowId = 'mended';
    const broken = await start(workflowId, 'inOrder', ...prompts.map(image));
    expect(await failureOf(broken)).toMatchObject({ type: 'validation_failed' });
    expect(await paidTasksOf(...prompts)).toEqual([1, 1, 0]);
    await resetToStart(harness.temporal, workflowId);
    const results = (await handleOf(workflowId).result()) as GenerationResult[];
    expect(results.map(({ reused }) => reused)).toEqual([true, true, false]);
    expect(await paidTasksOf(...prompts)).toEqual([1, 1, 1]);
  });

  test('when the child is reset while its parent waits for it: the parent gets its result', async () => {
    const parent = await start('child-itself-reset', 'oneStep', video('itself reset'));
    const taskId = await taskOf('child-itself-reset/only');
    await resetToStart(harness.temporal, 'child-itself-reset/only');
    await end('itself reset');
    expect(await parent.result()).toMatchObject({ taskId });
    expect(await paidTasksOf('itself reset')).toEqual([1]);
  });

  test('when the parent is reset to where its child runs already', async () => {
    const workflowId = 'child-reset-inside';
    await start(workflowId, 'oneStep', video('reset inside'));
    const taskId = await taskOf(`${workflowId}/only`);
    const completed = async (): Promise<number[]> => {
      const { events } = await handleOf(workflowId).fetchHistory();
      const tasks = events!.filter(({ workflowTaskCompletedEventAttributes: done }) => done != null);
      return tasks.map(({ eventId }) => Number(eventId));
    };
    const before = (await completed()).length;
    // A Workflow Task after the start of the child, to which the parent can be reset.
    await handleOf(workflowId).signal('nothing');
    await until(async () => (await completed()).length > before);
    await resetTo(harness.temporal, workflowId, (await completed()).at(-1)!);
    await end('reset inside');
    expect(await handleOf(workflowId).result()).toMatchObject({ taskId });
    expect(await paidTasksOf('reset inside')).toEqual([1]);
  });

  test('when an operator cancels a child, and its step is run again: the same task', async () => {
    const first = await start('child-run-again', 'oneStep', video('run again'));
    const taskId = await taskOf('child-run-again/only');
    await handleOf('child-run-again/only').cancel();
    expect(await failureOf(first)).toMatchObject({ type: 'Cancelled' });
    const again = await start('child-run-again', 'oneStep', video('run again'));
    await end('run again');
    expect(await again.result()).toMatchObject({ taskId, reused: true });
    expect(await paidTasksOf('run again')).toEqual([1]);
  });

  test('when a child fails between the start that it refused and the look at it: it is started again', async () => {
    const workflowId = 'child-fails-meanwhile';
    await start(workflowId, 'oneStep', video('fails meanwhile'));
    const taskId = await taskOf(`${workflowId}/only`);
    await handleOf(workflowId).terminate();
    const again = await start(workflowId, 'oneStep', video('fails meanwhile'));
    await isWaitingForRun(workflowId);
    // No look, until the child has failed.
    await pause(harness.temporal, workflowId, 'rivyaResult');
    const { runId, ...child } = await handleOf(`${workflowId}/only`).describe();
    expect(child.status.name).toBe('RUNNING');
    await end('fails meanwhile');
    await handleOf(`${workflowId}/only`)
      .result()
      .catch(() => undefined);
    await harness.temporal.workflowService.unpauseActivity(activitiesOf(harness.temporal, workflowId, 'rivyaResult'));
    expect(await failureOf(again)).toMatchObject({ type: 'GenerationFailed', details: [{ taskId }] });
    expect((await handleOf(`${workflowId}/only`).describe()).runId).not.toBe(runId);
    expect(await paidTasksOf('fails meanwhile')).toEqual([1]);
  });

  test('when an operator cancels a child that is waited for: its step fails, and is not started again behind his back', async () => {
    const workflowId = 'child-cancelled-meanwhile';
    await start(workflowId, 'oneStep', image('stuck'));
    await taskOf(`${workflowId}/only`);
    await handleOf(workflowId).terminate();
    const again = await start(workflowId, 'oneStep', image('stuck'));
    await isWaitingForRun(workflowId);
    await handleOf(`${workflowId}/only`).cancel();
    expect(await failureOf(again)).toMatchObject({ type: 'Cancelled', details: [{ code: 'Cancelled' }] });
    expect((await handleOf(`${workflowId}/only`).describe()).status.name).toBe('CANCELLED');
  });

  test('when another Workflow has the ID of a step: InputChanged with its type, and nothing is started', async () => {
    await start('child-of-others/only', 'estimate', [], harness.taskQueue);
    const parent = await start('child-of-others', 'oneStep', image('of others'));
    expect(await failureOf(parent)).toMatchObject({
      type: 'InputChanged',
      message: expect.stringContaining('a Workflow of type estimate'),
    });
    expect(await paidTasksOf('of others')).toEqual([0]);
  });
});

test('a program in another language starts a child by name, abandoned, and gets its result', async () => {
  const parent = await start('by-name', 'childByName', image('by name'), 'by-name/hero');
  expect(await parent.result()).toMatchObject({ status: 'succeeded', reused: false });
  expect(await paidTasksOf('by name')).toEqual([1]);
});
