/** What one part of a generation has left behind binds every later one, and its words about money. */
import { temporal } from '@temporalio/proto';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordsOfStore } from '../../src/cli/records.js';
import { chargesOf } from '../../src/cli/charges.js';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import type { GenerationResult, TaskSnapshot } from '../../src/contract/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { activitiesOf, pause } from '../support/pause.js';
import { until } from '../support/until.js';

const { PENDING_ACTIVITY_STATE_SCHEDULED } = temporal.api.enums.v1.PendingActivityState;

// The API still knows a key while the window is open, and has forgotten it when a step is run again.
const WINDOW_MS = 4_000;
const KEY_LIFETIME_MS = 7_000;
const PAUSE_MS = 6_000;

async function tasksOf({ emulator }: Harness, prompt: string): Promise<string[]> {
  const { tasks } = await emulator.ledger();
  return Object.keys(tasks).filter((taskId) => tasks[taskId]!.prompt === prompt);
}

async function held(handle: GenerationHandle, code: string): Promise<void> {
  await until(async () => (await stateOf(handle)).hold?.code === code);
}

async function messageOf(handle: GenerationHandle): Promise<string> {
  return handle.result().then(
    () => 'succeeded',
    (error: Error) => error.message,
  );
}

async function between(handle: GenerationHandle): Promise<boolean> {
  const [submit] = (await handle.describe()).raw.pendingActivities ?? [];
  return submit?.state === PENDING_ACTIVITY_STATE_SCHEDULED && (submit.attempt ?? 0) > 1;
}

describe.concurrent('where only Temporal remembers', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: {
        switches: { keyLifetimeMs: KEY_LIFETIME_MS },
        faults: [
          { on: 'create', prompt: 'unanswered', do: { kind: 'dropAfter' } },
          { on: 'create', prompt: 'long', do: { kind: 'duration', ms: 8_000 } },
          { on: 'create', prompt: 'broke', times: 1, do: { kind: 'dropAfter' } },
          { on: 'create', prompt: 'broke', do: { kind: 'error', code: 'insufficient_credits' } },
          { on: 'create', prompt: 'off', times: 1, do: { kind: 'dropAfter' } },
          { on: 'create', prompt: 'off', do: { kind: 'error', code: 'public_api_disabled' } },
          { on: 'create', prompt: 'a named step', times: 1, do: { kind: 'dropAfter' } },
          { on: 'create', prompt: 'a named step', times: 1, do: { kind: 'error', code: 'validation_failed' } },
          // The look at the task that is named, and the check by which the deadline passes.
          { on: 'status', prompt: 'a named step', times: 2, do: { kind: 'status', status: 'processing' } },
        ],
      },
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  const retriedStep = (prompt: string, options: object): Promise<GenerationResult> => {
    const { taskQueue } = harness;
    const input = { model: 'z-image', prompt, options: { taskQueue, ...options } };
    const workflowId = `${prompt} ${taskQueue}`;
    return harness.temporal.workflow.execute('retriedStep', { workflowId, taskQueue, args: [input, PAUSE_MS] });
  };

  test('a step that failed without an answer is not paid again when it is run again in the same run', async () => {
    const prompt = 'an unanswered step';
    const run = retriedStep(prompt, { idempotencyWindow: WINDOW_MS, onActionNeeded: 'fail' });
    await expect(run).rejects.toMatchObject({ cause: { type: 'SubmitUnresolved' } });
    expect(await tasksOf(harness, prompt)).toHaveLength(1);
  });

  test('a step whose deadline passed gets its own task when it is run again in the same run', async () => {
    const prompt = 'a long step';
    const end = await retriedStep(prompt, { deadline: '1s' }).then(
      ({ taskId }) => taskId,
      (error: Error) => error.message,
    );
    expect(await tasksOf(harness, prompt)).toEqual([end]);
  });

  test('the task that a person named for a step is the answer when the step is run again in the same run', async () => {
    const prompt = 'a named step';
    const run = retriedStep(prompt, { deadline: '1s' });
    const child = harness.temporal.workflow.getHandle(`${prompt} ${harness.taskQueue}/again`);
    const posts = (): number =>
      harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(prompt)).length;
    await until(() => posts() === 2);
    const [taskId] = await tasksOf(harness, prompt);
    // The child is told of the second answer a moment later.
    const resume = (): Promise<boolean> =>
      child.executeUpdate('resume', { args: [{ taskId }] }).then(
        () => true,
        () => false,
      );
    await until(resume);
    expect(await run).toMatchObject({ taskId });
    expect(await tasksOf(harness, prompt)).toEqual([taskId]);
    expect(posts()).toBe(2);
  });

  test('after an accepted risk, a cancel does not say that no task was made', async () => {
    const prompt = 'broke';
    // On a busy machine the repeated POST takes seconds to come, and has to come while the window is open.
    const windowMs = 20_000;
    const options = { idempotencyWindow: windowMs };
    const handle = await harness.client.start({ model: 'z-image', prompt, options });
    await held(handle, 'insufficient_credits');
    const { firstPostedAt } = (await stateOf(handle)).unanswered!;
    await until(() => Date.now() > firstPostedAt + windowMs);
    await handle.resume();
    await held(handle, 'SubmitUnresolved');
    await handle.resume({ reason: 'the Studio shows nothing' });
    await held(handle, 'insufficient_credits');
    expect(memoOf(await handle.describe())).toMatchObject({ riskReason: 'the Studio shows nothing' });
    await handle.cancel();
    expect(await messageOf(handle)).toContain('may have been paid for');
    expect(await tasksOf(harness, prompt)).toHaveLength(1);
  });

  test('after an accepted risk, a passed submit deadline does not say that nothing was paid', async () => {
    const prompt = 'off';
    const options = { idempotencyWindow: WINDOW_MS, submitDeadline: '8s' } as const;
    const handle = await harness.client.start({ model: 'z-image', prompt, options });
    await held(handle, 'SubmitUnresolved');
    await handle.resume({ reason: 'the Studio shows nothing' });
    const message = await messageOf(handle);
    expect(message).toContain('Rivya accepted nothing within 8 s');
    expect(message).toContain('may have been paid for');
    expect(message).not.toContain('paid nothing');
    expect(await tasksOf(harness, prompt)).toHaveLength(1);
  });
});

const SECOND = 'rvya_sk_second';

/** Submits are worked on and never answered; Workers have the key of the first account unless told otherwise. */
async function startUnanswered(): Promise<Harness> {
  return startHarness({
    account: false,
    workers: false,
    emulator: {
      keys: [
        { key: 'rvya_sk_first', account: 'first' },
        { key: SECOND, account: 'second' },
      ],
      faults: [{ on: 'create', do: { kind: 'dropAfter' } }],
    },
  });
}

/** What came of it under the key of another account. */
async function outcome(
  harness: Harness,
  handle: GenerationHandle,
): Promise<{ code: string | undefined; paid: number }> {
  const paid = async (): Promise<number> => (await harness.emulator.ledger()).paidTasks;
  await until(async () => (await stateOf(handle)).hold !== null || (await paid()) > 1);
  return { code: (await stateOf(handle)).hold?.code, paid: await paid() };
}

describe.concurrent('a receipt', () => {
  const input = { model: 'z-image', prompt: 'unanswered' };

  test('says after a cancel between two attempts whose submit it was, so another account does not pay', async () => {
    await using harness = await startUnanswered();
    const first = await harness.startWorkers();
    const handle = await harness.client.start(input);
    await until(() => between(handle));
    await handle.cancel();
    expect(await messageOf(handle)).toContain('may have been paid for');
    await first.stop();
    await harness.startWorkers({ apiKey: SECOND });
    const again = await harness.client.start(input, { workflowId: handle.workflowId });
    expect(await outcome(harness, again)).toEqual({ code: 'SubmitUnresolved', paid: 1 });
  });

  test('says after a reset of the Activity whose submit it was, so another account does not pay', async () => {
    await using harness = await startUnanswered();
    const first = await harness.startWorkers();
    const handle = await harness.client.start(input);
    await until(() => between(handle));
    await pause(harness.temporal, handle.workflowId, 'rivyaSubmit');
    await first.stop();
    await harness.temporal.workflowService.resetActivity({
      ...activitiesOf(harness.temporal, handle.workflowId, 'rivyaSubmit'),
      resetHeartbeat: true,
    });
    await harness.startWorkers({ apiKey: SECOND });
    expect(await outcome(harness, handle)).toEqual({ code: 'SubmitUnresolved', paid: 1 });
  });

  test('of a POST that was refused after a cancel leaves nothing open', async () => {
    const faults = [{ on: 'create' as const, do: { kind: 'delayBefore' as const, ms: 4_000 } }];
    await using harness = await startHarness({ account: false, emulator: { credits: 0, faults } });
    const handle = await harness.client.start(input);
    await until(() => harness.emulator.requests().some(({ method }) => method === 'POST'));
    await handle.cancel();
    await messageOf(handle);
    const { records } = await recordsOfStore(new Receipts(harness.settings.store!, harness.emulator.url));
    expect(chargesOf(records).flatMap(({ flags }) => flags)).toEqual([]);
  });
});

test.concurrent('a link that trails is waited for also when a success of Friday is read on Monday', async () => {
  await using harness = await startHarness({ account: false, workers: false, env: { RIVYA_STORE: '' } });
  await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
  const task: TaskSnapshot = {
    taskId: 'task_friday',
    status: 'succeeded',
    model: 'z-image',
    kind: 'image',
    reservedCredits: 1,
    finalCredits: 1,
    createdAt: null,
    updatedAt: null,
    ageMs: null,
    urls: [],
    error: null,
    simulated: true,
    requestId: null,
  };
  let checks = 0;
  // No real API can be asked on Friday and read on Monday within a test.
  const api = await Worker.create({
    connection: harness.connection,
    namespace: harness.namespace,
    taskQueue: `${harness.taskQueue}-api`,
    activities: {
      rivyaSubmit: async () => ({
        answer: { ...task, status: 'queued' },
        position: null,
        idempotencyKey: 'of friday',
        sinceFirstPostMs: 0,
        reused: false,
        lookedBy: '',
      }),
      rivyaCheck: async () => {
        checks += 1;
        const askedAt = checks === 1 ? Date.now() - 60 * 3_600_000 : Date.now();
        const urls = checks > 2 ? [`${harness.emulator.url}/media/a.png`] : [];
        return { task: { ...task, askedAt, urls }, checks: 1 };
      },
    },
  });
  const { status } = await api.runUntil(async () =>
    (await harness.client.start({ model: 'z-image', prompt: 'a weekend' })).result(),
  );
  expect(status).toBe('succeeded');
});
