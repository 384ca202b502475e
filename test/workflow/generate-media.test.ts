import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { WorkflowFailedError, WorkflowStartOptions } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationError } from '../../src/client.js';
import type {
  FailureDetails,
  GenerateMediaInput,
  GenerationResult,
  GenerationState,
} from '../../src/contract/index.js';
import type { LedgerKey } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { stateOf as stateOfHandle } from '../support/state.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      credits: 10_000,
      rateLimitPerMinute: 100_000,
      // Every fault belongs to one prompt, so that all tests share one emulator and run at the same time.
      faults: [
        { on: 'create', prompt: 'lost twice', times: 2, do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'error after', times: 1, do: { kind: 'errorAfter', code: 'internal_error' } },
        {
          on: 'create',
          prompt: 'html after',
          times: 1,
          do: { kind: 'replyAfter', status: 502, body: '<h1>Bad gateway' },
        },
        // Longer than the first back-off of our own, which is at most 5 s.
        { on: 'create', prompt: 'busy first', times: 1, do: { kind: 'error', code: 'rate_limited', retryAfter: '6' } },
        { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
        { on: 'create', prompt: 'slow answer', do: { kind: 'delayAfter', ms: 3_000 } },
        { on: 'create', prompt: 'answered late', do: { kind: 'delayAfter', ms: 2_000 } },
        { on: 'create', prompt: 'always lost', do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'fails once', times: 1, do: { kind: 'fail' } },
        { on: 'create', prompt: 'always fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
        { on: 'create', prompt: 'until it is ended', do: { kind: 'stuck' } },
        { on: 'status', prompt: 'stuck, watched', do: { kind: 'status', status: 'queued' } },
        { on: 'status', prompt: 'shaky status', times: 1, do: { kind: 'error', code: 'internal_error' } },
        { on: 'status', prompt: 'new word', times: 1, do: { kind: 'status', status: 'rendering' } },
        { on: 'status', prompt: 'early 404, fail', times: 1, do: { kind: 'error', code: 'not_found' } },
        { on: 'status', prompt: 'early 404', times: 1, do: { kind: 'error', code: 'not_found' } },
        { on: 'status', prompt: 'no scope', times: 1, do: { kind: 'error', code: 'api_scope_denied' } },
        { on: 'create', prompt: 'lost, then broke', times: 1, do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'lost, then broke', do: { kind: 'error', code: 'insufficient_credits' } },
        { on: 'create', prompt: 'reset while posting', times: 1, do: { kind: 'delayAfter', ms: 4_000 } },
        { on: 'create', prompt: 'not answered', do: { kind: 'dropAfter' } },
        { on: 'media', prompt: 'then failed', do: { kind: 'reply', status: 403, body: '' } },
        { on: 'status', prompt: 'then failed', skip: 1, do: { kind: 'status', status: 'failed' } },
        { on: 'media', prompt: 'expired once', times: 1, do: { kind: 'reply', status: 403, body: '' } },
        { on: 'media', prompt: 'late in the store', times: 3, do: { kind: 'reply', status: 404, body: '' } },
        { on: 'media', prompt: 'a page', times: 2, do: { kind: 'reply', status: 200, body: '<h1>Sign in' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const run = async (input: GenerateMediaInput, workflowId?: string): Promise<GenerationResult> =>
  (await harness.client.start(input, workflowId === undefined ? {} : { workflowId })).result();

const failureOf = async (input: GenerateMediaInput): Promise<GenerationError> => {
  const handle = await harness.client.start(input);
  return handle.result().then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error as GenerationError,
  );
};

/** What the emulator says of the one key under which this prompt was posted. */
async function ledgerOf(prompt: string): Promise<{ keys: LedgerKey[]; paidTasks: number }> {
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(prompt)));
  return { keys: mine, paidTasks: mine.reduce((sum, { tasks }) => sum + tasks.length, 0) };
}

/** The shortest time between two checks of a task, in milliseconds. */
async function closestChecks(taskId: string): Promise<number> {
  const { checks } = (await harness.emulator.ledger()).tasks[taskId]!;
  expect(checks.length).toBeGreaterThan(1);
  return Math.min(...checks.slice(1).map((at, index) => at - checks[index]!));
}

async function stateOf(workflowId: string): Promise<GenerationState> {
  return stateOfHandle(harness.client.handle(workflowId));
}

describe.concurrent('one generation', () => {
  test('is paid once, waits, and hands over the real file with size and SHA-256', async () => {
    const result = await run({ model: 'z-image', prompt: 'a red fox' });
    expect(result).toMatchObject({
      status: 'succeeded',
      model: 'z-image',
      attempts: 1,
      reused: false,
      simulated: true,
    });
    expect(result).toMatchObject({ reservedCredits: 1, finalCredits: 1, primaryUrl: result.urls[0] });
    const [file] = result.files;
    const bytes = await readFile(fileURLToPath(file!.uri));
    expect(bytes.subarray(1, 4).toString()).toBe('PNG');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(file).toMatchObject({ bytes: bytes.length, sha256, contentType: 'image/png' });
    const ledger = await harness.emulator.ledger();
    expect(ledger.keys[result.idempotencyKey!]).toMatchObject({ tasks: [result.taskId], posts: 1 });
    expect(ledger.tasks[result.taskId]!.checks).toHaveLength(result.statusChecks);
  });

  test('never comes closer than 5 s to the last check, also when it is woken', async () => {
    const handle = await harness.client.start({ model: 'veo3-1-lite', prompt: 'until it is ended, woken' });
    const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
    await until(async () => (await stateOf(handle.workflowId)).statusChecks >= 1);
    // Once more where it came between two waits.
    await until(async () => {
      expect(await workflow.executeUpdate('checkNow')).toContain('5 s');
      await workflow.signal('checkNow');
      const { events } = await workflow.fetchHistory();
      return events!.some(({ timerCanceledEventAttributes: cutShort }) => cutShort != null);
    });
    await until(async () => (await stateOf(handle.workflowId)).statusChecks >= 2);
    await harness.emulator.endTasks('until it is ended, woken');
    const { taskId, statusChecks } = await handle.result();
    const checks = (await harness.emulator.ledger()).tasks[taskId]!.checks;
    const gaps = checks.slice(1).map((at, index) => at - checks[index]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5_000);
    expect(checks).toHaveLength(statusChecks);
  });

  test('tells its state by query, current details and summaries in plain sentences', async () => {
    const startedAt = Date.now();
    const handle = await harness.client.start({ model: 'veo3-1-lite', prompt: 'stuck, watched' });
    const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
    await until(async () => (await stateOf(handle.workflowId)).phase === 'waiting');
    const state = await stateOf(handle.workflowId);
    expect(state).toMatchObject({ status: 'queued', model: 'veo3-1-lite', hold: null, attempt: 1 });
    expect(state.taskId).toMatch(/^task_/);
    expect(Date.parse(state.nextCheckAt!)).toBeGreaterThan(startedAt);
    const metadata = await workflow.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(metadata.currentDetails).toContain('Rivya says queued; waiting for the next check.');
    expect(metadata.currentDetails).toContain(state.taskId);
    await until(async () => (await stateOf(handle.workflowId)).statusChecks >= 1);
    await handle.cancel();
    await handle.result().catch(() => undefined);
    const { events } = await workflow.fetchHistory();
    const summaries = events!.map(({ userMetadata }) => Buffer.from(userMetadata?.summary?.data ?? []).toString());
    expect(summaries).toEqual(
      expect.arrayContaining([
        '"submit veo3-1-lite, attempt 1"',
        expect.stringMatching(/^"wait [23] s before check 1"$/),
        `"check 1 of ${state.taskId}"`,
      ]),
    );
  });
});

describe.concurrent('paid once', () => {
  test.each(['lost twice', 'error after', 'html after'])(
    'when the answer to the submit is not known (%s): same key, same bytes, one paid task',
    async (prompt) => {
      const result = await run({ model: 'z-image', prompt });
      const { keys, paidTasks } = await ledgerOf(prompt);
      expect(paidTasks).toBe(1);
      expect(keys[0]!.tasks).toEqual([result.taskId]);
      expect(keys[0]!.bodies).toHaveLength(1);
      expect(keys[0]!.posts).toBe(prompt === 'lost twice' ? 3 : 2);
    },
  );

  test('when the API is busy: repeated no earlier than it asked', async () => {
    await run({ model: 'z-image', prompt: 'busy first' });
    const posts = harness.emulator.requests().filter(({ body }) => body.includes('busy first'));
    expect(posts).toHaveLength(2);
    expect(posts[1]!.at - posts[0]!.at).toBeGreaterThanOrEqual(6_000);
  });

  test('under one Workflow ID: a second start attaches, and after the end gives the same result', async () => {
    const input = { model: 'z-image', prompt: 'started twice' };
    const [first, second] = await Promise.all([run(input, 'twice'), run(input, 'twice')]);
    expect(second).toEqual(first);
    expect(await run(input, 'twice')).toEqual(first);
    expect((await ledgerOf('started twice')).paidTasks).toBe(1);
  });

  test('under one Workflow ID: another input is refused by name, never charged', async () => {
    await run({ model: 'z-image', prompt: 'the first input' }, 'changed');
    await expect(run({ model: 'z-image', prompt: 'the other input' }, 'changed')).rejects.toMatchObject({
      code: 'InputChanged',
      message: expect.stringContaining('another input'),
    });
    expect((await ledgerOf('the other input')).keys).toEqual([]);
  });

  test('under one Workflow ID: a running one with an input of another version is not attached to unseen', async () => {
    const workflowId = 'of another version';
    const newer = { model: 'z-image', prompt: 'newer', futureField: true };
    // Nobody polls this queue, so it stays running.
    const newest = await harness.temporal.workflow.start('generateMedia', {
      workflowId,
      taskQueue: 'nobody',
      args: [newer],
    });
    await expect(harness.client.start({ model: 'z-image', prompt: 'newer' }, { workflowId })).rejects.toMatchObject({
      code: 'InputChanged',
      message: expect.stringContaining('futureField'),
    });
    await newest.terminate();
  });

  test('when another program starts the same ID with another input: InputChanged, never the other result', async () => {
    const start = (prompt: string): Promise<unknown> =>
      harness.temporal.workflow.execute('generateMedia', {
        workflowId: 'changed-by-others',
        taskQueue: harness.taskQueue,
        args: [{ model: 'z-image', prompt }],
      });
    await start('input of one program');
    const error = await start('input of another program').catch((e: unknown) => (e as WorkflowFailedError).cause);
    expect(error).toMatchObject({ type: 'InputChanged', message: expect.stringContaining('another input') });
    expect((await ledgerOf('input of another program')).keys).toEqual([]);
    const { keys } = await ledgerOf('input of one program');
    expect(keys).toMatchObject([{ posts: 1, charged: 1 }]);
  });

  test('after terminate and a second start: the same task, marked as reused', async () => {
    const input = { model: 'z-image', prompt: 'until it is ended, terminated' };
    const handle = await harness.client.start(input, { workflowId: 'terminated' });
    await until(async () => (await stateOf('terminated')).statusChecks >= 1);
    const { taskId } = await stateOf('terminated');
    await harness.temporal.workflow.getHandle('terminated').terminate('test');
    await harness.emulator.endTasks('until it is ended, terminated');
    await expect(handle.result()).rejects.toMatchObject({ code: 'Terminated', details: { taskId } });
    expect(await run(input, 'terminated')).toMatchObject({ taskId, reused: true });
    expect((await ledgerOf('until it is ended, terminated')).paidTasks).toBe(1);
  });

  test('after a reset to the first Workflow Task: the same task, marked as reused; the waiter follows', async () => {
    const handle = await harness.client.start(
      { model: 'z-image', prompt: 'until it is ended, reset' },
      { workflowId: 'reset' },
    );
    const waiting = handle.result();
    await until(async () => (await stateOf('reset')).statusChecks >= 1);
    const { taskId } = await stateOf('reset');
    await resetToStart(harness.temporal, 'reset');
    await harness.emulator.endTasks('until it is ended, reset');
    expect(await waiting).toMatchObject({ taskId, reused: true });
    expect((await ledgerOf('until it is ended, reset')).paidTasks).toBe(1);
  });

  test('after a reset while the first POST still runs: its conflict is waited out, one paid task', async () => {
    const prompt = 'reset while posting';
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: 'reset-posting' });
    await until(async () => (await ledgerOf(prompt)).paidTasks === 1);
    await resetToStart(harness.temporal, 'reset-posting');
    const { taskId } = await handle.result();
    expect((await ledgerOf(prompt)).keys).toMatchObject([{ tasks: [taskId], charged: 1 }]);
  });

  test('a completed ID is not taken for the wait for another task', async () => {
    await run({ model: 'z-image', prompt: 'task A' }, 'same-id');
    const ownKey = run({ model: 'z-image', prompt: 'task A', idempotencyKey: 'another/key' }, 'same-id');
    await expect(ownKey).rejects.toMatchObject({ code: 'InputChanged' });
    const { taskId } = await run({ model: 'z-image', prompt: 'task B' });
    await expect(run({ model: 'z-image', taskId }, 'same-id')).rejects.toMatchObject({ code: 'InputChanged' });
  });

  test('maxAttempts: another attempt is paid only after the first task failed, under its own key', async () => {
    const result = await run({ model: 'z-image', prompt: 'fails once', options: { maxAttempts: 3 } });
    expect(result).toMatchObject({ attempts: 2, status: 'succeeded' });
    const { keys } = await ledgerOf('fails once');
    expect(keys.map(({ tasks }) => tasks.length)).toEqual([1, 1]);
  });

  test('a key of your own is sent as it is', async () => {
    const result = await run({ model: 'z-image', prompt: 'own key', idempotencyKey: 'order/4711' });
    expect(result.idempotencyKey).toBe('order/4711');
    expect((await harness.emulator.ledger()).keys['order/4711']!.tasks).toEqual([result.taskId]);
  });

  test('the API key never enters the history', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'secretive' });
    await handle.result();
    const history = historyToJSON(await harness.temporal.workflow.getHandle(handle.workflowId).fetchHistory());
    const decoded = history.replace(/"data": "([^"]+)"/g, (_, data: string) => Buffer.from(data, 'base64').toString());
    expect(decoded).toContain('secretive');
    expect(decoded).not.toContain(harness.emulator.apiKey);
  });
});

describe.concurrent('never lost', () => {
  test('a failed task names itself, the credits and the way to another try', async () => {
    const error = await failureOf({ model: 'z-image', prompt: 'always fails' });
    const [taskId] = (await ledgerOf('always fails')).keys[0]!.tasks;
    expect(error).toMatchObject({ code: 'GenerationFailed' });
    expect(error.message).toContain('options.maxAttempts: 2');
    expect(error.details).toMatchObject({ taskId, code: 'generation_failed', reservedCredits: 1, finalCredits: 0 });
  });

  test('a passed deadline carries the task ID, and taskId takes up the wait without a POST', async () => {
    const input = { model: 'z-image', prompt: 'until it is ended, deadline', options: { deadline: '1s' } } as const;
    const error = await failureOf(input);
    expect(error).toMatchObject({ code: 'DeadlinePassed', message: expect.stringContaining('--task-id') });
    const { taskId, status, ageMs, reservedCredits } = error.details;
    expect({ status, reservedCredits }).toEqual({
      status: expect.stringMatching(/queued|processing/),
      reservedCredits: 1,
    });
    expect(ageMs).toBeGreaterThan(1_000);
    await harness.emulator.endTasks(input.prompt);
    const result = await run({ model: 'z-image', taskId: taskId! });
    expect(result).toMatchObject({ taskId, reused: true, idempotencyKey: null, status: 'succeeded' });
    expect((await ledgerOf('until it is ended, deadline')).keys[0]).toMatchObject({ posts: 1 });
  });

  test('a deadline that passes while nobody looks ends no job that has finished', async () => {
    const options = { deadline: '1s' } as const;
    expect(await run({ model: 'z-image', prompt: 'answered late', options })).toMatchObject({ status: 'succeeded' });
  });

  test('a task of another model, or of nobody, is not taken up', async () => {
    const { taskId } = await run({ model: 'z-image', prompt: 'mine' });
    expect(await failureOf({ model: '4o-image', taskId })).toMatchObject({
      code: 'InvalidInput',
      details: { field: 'model' },
    });
    expect(await failureOf({ model: 'z-image', taskId: 'task_of_nobody' })).toMatchObject({
      code: 'not_found',
      details: { httpStatus: 404 },
    });
  });

  test('a refusal fails with the code of the API after one POST and nothing paid', async () => {
    const error = await failureOf({ model: 'z-image', prompt: 'refused' });
    expect(error).toMatchObject({ code: 'validation_failed', details: { httpStatus: 400 } });
    expect(error.details.requestId).toMatch(/^req_/);
    expect((await ledgerOf('refused')).keys).toMatchObject([{ posts: 1, tasks: [] }]);
  });

  test.each(['shaky status', 'new word', 'early 404'])(
    'a wait goes on after an odd status reply (%s)',
    async (prompt) => {
      const result = await run({ model: 'z-image', prompt });
      expect(result.statusChecks).toBe(2);
      const { checks } = (await harness.emulator.ledger()).tasks[result.taskId]!;
      expect(checks).toHaveLength(2);
      expect(checks[1]! - checks[0]!).toBeGreaterThanOrEqual(5_000);
    },
  );

  test('a cancel during the POST lets it end, and the memo keeps the task ID', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'slow answer' });
    const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
    await until(async () => (await ledgerOf('slow answer')).paidTasks === 1);
    await workflow.cancel();
    await expect(handle.result()).rejects.toMatchObject({
      code: 'Cancelled',
      message: expect.stringContaining('--task-id'),
    });
    const [taskId] = (await ledgerOf('slow answer')).keys[0]!.tasks;
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'cancelled', taskId });
  });

  test('an unanswered submit outside the window holds, and goes on with the task that was found', async () => {
    const input = { model: 'z-image', prompt: 'always lost', options: { idempotencyWindow: '1s' } } as const;
    const handle = await harness.client.start(input);
    const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
    await until(async () => (await stateOf(handle.workflowId)).phase === 'held');
    expect((await stateOf(handle.workflowId)).hold).toMatchObject({ code: 'SubmitUnresolved' });
    // A bare resume would post again blind, so it is refused.
    await expect(workflow.executeUpdate('resume')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('A task may exist') },
    });
    await workflow.signal('resume');
    const { tasks, posts } = (await ledgerOf('always lost')).keys[0]!;
    // Whatever a program in another language sends: nothing of it may wedge the Workflow or post again.
    for (const junk of [
      { reason: 5 },
      { taskId: 5 },
      { taskId: '..' },
      { taskId: '' },
      'x',
      [1],
      { colour: 'red' },
      {},
    ]) {
      await workflow.signal('resume', junk);
      await expect(workflow.executeUpdate('resume', { args: [junk] })).rejects.toMatchObject({
        cause: expect.anything(),
      });
    }
    // A wrong ID does not end the Workflow: it holds again and says why.
    await workflow.signal('resume', { taskId: 'task_mistyped' });
    await until(async () => (await stateOf(handle.workflowId)).hold?.message.includes('task_mistyped') ?? false);
    // The first resume counts; null means "not given".
    await workflow.signal('resume', { taskId: tasks[0], reason: null });
    await workflow.signal('resume', { reason: 'a second thought, which would pay again' });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0], reused: true });
    expect((await ledgerOf('always lost')).keys).toMatchObject([{ posts, tasks: [tasks[0]] }]);
  });

  test('a refusal after an unanswered submit still says that a task may exist, and takes its ID', async () => {
    const prompt = 'lost, then broke';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    const workflow = harness.temporal.workflow.getHandle(handle.workflowId);
    await until(async () => (await stateOf(handle.workflowId)).phase === 'held');
    expect((await stateOf(handle.workflowId)).hold).toMatchObject({
      code: 'insufficient_credits',
      message: expect.stringContaining('a task may exist'),
    });
    const { tasks, posts } = (await ledgerOf(prompt)).keys[0]!;
    await workflow.executeUpdate('resume', { args: [{ taskId: tasks[0] }] });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0], reused: true });
    expect((await ledgerOf(prompt)).keys).toMatchObject([{ posts, tasks: [tasks[0]] }]);
    expect(memoOf(await handle.describe())).toMatchObject({ mayPostSince: null });
  });

  test('a caller who wants no hold is never told that an unanswered submit cost nothing', async () => {
    const options = { onActionNeeded: 'fail' as const, idempotencyWindow: '1s' } as const;
    const error = await failureOf({ model: 'z-image', prompt: 'not answered, fail', options });
    expect(error).toMatchObject({
      code: 'SubmitUnresolved',
      message: expect.stringContaining('may have been paid for'),
    });
    expect(error.details.unanswered).toMatchObject({ firstPostedAt: expect.any(Number) });
  });

  test('a cancel of an unresolved submit says so, and a later start of the same ID does not post blind', async () => {
    const input = { model: 'z-image', prompt: 'not answered, cancel', options: { idempotencyWindow: '1s' } } as const;
    const workflowId = 'unanswered';
    const handle = await harness.client.start(input, { workflowId });
    await until(async () => (await stateOf(workflowId)).phase === 'held');
    await harness.temporal.workflow.getHandle(workflowId).cancel();
    await expect(handle.result()).rejects.toMatchObject({
      code: 'Cancelled',
      message: expect.stringContaining('A task may exist'),
    });
    expect(memoOf(await handle.describe())).toMatchObject({
      hold: null,
      mayPostSince: { firstPostedAt: expect.any(Number) },
    });
    const { posts } = (await ledgerOf(input.prompt)).keys[0]!;
    // A run that is cancelled before it comes to anything knows nothing, and must not hide what the first one knows.
    await harness.client.start(input, { workflowId });
    await harness.temporal.workflow.getHandle(workflowId).cancel();
    await handle.result().catch(() => undefined);
    const { runId } = await handle.describe();
    await harness.client.start(input, { workflowId });
    await until(async () => (await handle.describe()).runId !== runId && (await stateOf(workflowId)).phase === 'held');
    expect((await stateOf(workflowId)).hold).toMatchObject({ code: 'SubmitUnresolved' });
    expect((await ledgerOf(input.prompt)).keys).toMatchObject([{ posts, charged: 1 }]);
    await harness.temporal.workflow.getHandle(workflowId).terminate();
  });

  test('a cancel while an unanswered submit is repeated never says that no task was made', async () => {
    const prompt = 'not answered, repeated';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => ((await ledgerOf(prompt)).keys[0]?.posts ?? 0) >= 2);
    await harness.temporal.workflow.getHandle(handle.workflowId).cancel();
    await expect(handle.result()).rejects.toMatchObject({
      code: 'Cancelled',
      message: expect.stringContaining('A task may exist'),
    });
    expect(memoOf(await handle.describe())?.mayPostSince).toMatchObject({ firstPostedAt: expect.any(Number) });
  });

  test('a task that turns out failed when its links are asked for again is not called succeeded', async () => {
    const error = await failureOf({ model: 'z-image', prompt: 'then failed' });
    expect(error).toMatchObject({ code: 'GenerationFailed' });
  });

  test('a status that is not found at once does not fail a caller who wants no hold', async () => {
    const options = { onActionNeeded: 'fail' as const };
    expect(await run({ model: 'z-image', prompt: 'early 404, fail', options })).toMatchObject({ statusChecks: 2 });
  });

  test('a code that a person must mend holds a paid task, and resume goes on with it', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'no scope' });
    await until(async () => (await stateOf(handle.workflowId)).phase === 'held');
    const held = await stateOf(handle.workflowId);
    expect(held.hold).toMatchObject({ code: 'api_scope_denied', action: expect.stringContaining('scope') });
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'held', hold: { code: 'api_scope_denied' } });
    await harness.temporal.workflow.getHandle(handle.workflowId).executeUpdate('resume');
    expect(await handle.result()).toMatchObject({ taskId: held.taskId });
    await expect(harness.temporal.workflow.getHandle(handle.workflowId).executeUpdate('resume')).rejects.toThrow(
      'already completed',
    );
    expect((await ledgerOf('no scope')).paidTasks).toBe(1);
    expect(await closestChecks(held.taskId!)).toBeGreaterThanOrEqual(5_000);
  });

  test('a result link that has expired is asked for anew, without a person', async () => {
    expect((await run({ model: 'z-image', prompt: 'expired once' })).files).toHaveLength(1);
  });

  test('a result that is not in the store of the host yet is stored half a minute later, without a hold', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'late in the store' });
    const { files, taskId } = await handle.result();
    expect(files).toHaveLength(1);
    // A hold would have waited for 5 min.
    expect((await ledgerOf('late in the store')).paidTasks).toBe(1);
    expect(await closestChecks(taskId)).toBeGreaterThanOrEqual(5_000);
  });

  test('a result link that gives a page twice holds; resume asks for fresh links and stores the file', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'a page' });
    await until(async () => (await stateOf(handle.workflowId)).phase === 'held');
    expect((await stateOf(handle.workflowId)).hold).toMatchObject({ code: 'ResultUnavailable' });
    await harness.temporal.workflow.getHandle(handle.workflowId).signal('resume');
    const result = await handle.result();
    expect(result.files).toHaveLength(1);
    expect((await ledgerOf('a page')).paidTasks).toBe(1);
    expect(await closestChecks(result.taskId)).toBeGreaterThanOrEqual(5_000);
  });
});

describe.concurrent('bad input costs nothing', () => {
  const cases: readonly [field: string, input: unknown][] = [
    ['input', 'z-image'],
    ['model', { prompt: 'bad input' }],
    ['prompt', { model: 'z-image' }],
    ['params', { model: 'z-image', prompt: 'bad input', params: [1] }],
    ['params.seed', { model: 'z-image', prompt: 'bad input', params: { seed: 2 ** 60 } }],
    ['colour', { model: 'z-image', prompt: 'bad input', colour: 'red' }],
    ['options.maxAttempts', { model: 'z-image', prompt: 'bad input', options: { maxAttempts: 0 } }],
    ['options.deadline', { model: 'z-image', prompt: 'bad input', options: { deadline: '-1h' } }],
    ['idempotencyKey', { model: 'z-image', taskId: 't', idempotencyKey: 'k' }],
    ['taskId', { model: 'z-image', taskId: '..' }],
    // More than Temporal carries from the Workflow to an Activity.
    ['prompt', { model: 'z-image', prompt: `bad input ${'"'.repeat(700_000)}` }],
  ];
  test.each(cases)('%s: the Workflow fails with InvalidInput that names the field', async (field, input) => {
    const failure = await harness.temporal.workflow
      .execute('generateMedia', { workflowId: `bad ${field}`, taskQueue: harness.taskQueue, args: [input] })
      .then(
        () => expect.fail('it succeeded'),
        (error: WorkflowFailedError) => error.cause as ApplicationFailure,
      );
    expect(failure.type).toBe('InvalidInput');
    expect((failure.details![0] as FailureDetails).field).toBe(field);
    expect(failure.message).toContain('nothing was paid');
    expect(harness.emulator.requests().filter(({ body }) => body.includes('bad input'))).toEqual([]);
  });

  /** The last event of a Workflow that is started in a way which would lose a paid task or pay twice. */
  async function refusalOf(type: string, workflowId: string, options: Partial<WorkflowStartOptions>): Promise<string> {
    const prompt = `bad start of ${workflowId}`;
    const { workflow } = harness.temporal;
    // A cron Workflow goes on with its next run, however this one ended.
    const start = { args: [{ model: 'z-image', prompt }], followRuns: false, ...options };
    const handle = await workflow.start(type, { workflowId, taskQueue: harness.taskQueue, ...start });
    await handle.result().catch(() => undefined);
    const { events } = await workflow.getHandle(workflowId, handle.firstExecutionRunId).fetchHistory();
    expect(harness.emulator.requests().filter(({ body }) => body.includes(prompt))).toEqual([]);
    return JSON.stringify(events!.at(-1));
  }

  test('a run timeout shorter than the deadline is refused before the POST', async () => {
    expect(await refusalOf('generateMedia', 'short run', { workflowRunTimeout: '1h' })).toContain('runTimeout');
    expect(await refusalOf('generateMedia', 'short execution', { workflowExecutionTimeout: '1h' })).toContain(
      'executionTimeout',
    );
  });

  test('a cron Workflow is refused before the POST, with the advice to use a Schedule', async () => {
    expect(await refusalOf('generateMedia', 'cron', { cronSchedule: '@every 1s' })).toContain('Temporal Schedule');
    await harness.temporal.workflow.getHandle('cron').terminate();
  });

  test('a child with a random ID is refused before the POST: a reset of its parent would pay again', async () => {
    expect(await refusalOf('childWithRandomId', 'parent', {})).toContain('an ID of its own');
    expect(await refusalOf('stepsInChildWithRandomId', 'grandparent', {})).toContain('an ID of its own');
  });
});

describe.concurrent('inside your own Workflow', () => {
  test('each step has its own key, and they run one after the other', async () => {
    const input = (prompt: string): GenerateMediaInput => ({
      model: 'z-image',
      prompt,
      options: { taskQueue: harness.taskQueue },
    });
    const results: GenerationResult[] = await harness.temporal.workflow.execute('twoSteps', {
      workflowId: 'pipeline',
      taskQueue: harness.taskQueue,
      args: [input('a step'), input('a step')],
    });
    expect(new Set(results.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(2);
    expect((await ledgerOf('a step')).paidTasks).toBe(2);
  });

  test('a step name used twice is a clear error', async () => {
    const said = await harness.temporal.workflow.execute('sameStepTwice', {
      workflowId: 'same step',
      taskQueue: harness.taskQueue,
      args: [{ model: 'z-image', prompt: 'one step', options: { taskQueue: harness.taskQueue } }],
    });
    expect(said).toMatch(/^InvalidInput: step: "hero" is used twice/);
    expect((await ledgerOf('one step')).paidTasks).toBeLessThanOrEqual(1);
  });
});
