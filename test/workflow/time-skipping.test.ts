/** Hours of waiting in seconds. The test server locks up with several Workflows in flight: one at a time. */
import { randomUUID } from 'node:crypto';
import type { WorkflowFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readSettings } from '../../src/config.js';
import type { GenerateMediaInput, GenerationResult } from '../../src/contract/index.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { nextWait } from '../../src/policy/index.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { quietRuntime } from '../support/harness.js';
import { createTimeSkipping } from '../support/time-skipping.js';

const HOUR = 3_600_000;
const taskQueue = `test-${randomUUID()}`;
let env: TestWorkflowEnvironment;
let emulator: Emulator;
let workers: RunningWorkers;

beforeAll(async () => {
  quietRuntime();
  env = await createTimeSkipping();
  emulator = await startEmulator({
    clock: () => env.currentTimeMs(),
    durations: { video: 10 * HOUR },
    switches: { resultLagMs: 0 },
  });
  const settings = readSettings({
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_TASK_QUEUE: taskQueue,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
    RIVYA_PATIENCE: '0',
  });
  workers = await startWorkers(settings, {
    connection: env.nativeConnection,
    namespace: 'default',
    workflows: { workflowBundle: { codePath: inject('bundle') } },
    account: false,
  });
});
afterAll(async () => {
  await workers.stop();
  await emulator.close();
  await env.teardown();
});

const run = (input: GenerateMediaInput): Promise<GenerationResult> =>
  env.client.workflow.execute('generateMedia', { workflowId: randomUUID(), taskQueue, args: [input] });

const failureOf = (input: GenerateMediaInput): Promise<ApplicationFailure> =>
  run(input).then(
    () => expect.fail('it succeeded'),
    (error: WorkflowFailedError) => error.cause as ApplicationFailure,
  );

/** Status checks of a video of this length by the schedule alone, each wait made as long or short as jitter can. */
function checksOf(durationMs: number, random: number): number {
  let age = nextWait({ ageMs: 0, kind: 'video', first: true, random });
  let checks = 1;
  for (; age < durationMs; checks++) age += nextWait({ ageMs: age, kind: 'video', first: false, random });
  return checks;
}

test('a job of ten hours costs about 190 checks, and is delivered', async () => {
  const result = await run({ model: 'veo3-1-lite', prompt: 'ten hours', options: { deadline: '12h' } });
  expect(result.status).toBe('succeeded');
  expect(result.statusChecks).toBeGreaterThanOrEqual(checksOf(10 * HOUR, 0));
  // Two more: the test server's clock creeps while a check runs.
  expect(result.statusChecks).toBeLessThanOrEqual(checksOf(10 * HOUR, 1) + 2);
  const { checks } = (await emulator.ledger()).tasks[result.taskId]!;
  expect(checks).toHaveLength(result.statusChecks);
});

test('the default deadline of 6 h passes on an answer, names the task, and pays nothing more', async () => {
  const before = (await emulator.ledger()).paidTasks;
  const failure: unknown = await run({ model: 'veo3-1-lite', prompt: 'too long' }).catch(
    (error: { cause: unknown }) => error.cause,
  );
  expect(failure).toMatchObject({ type: 'DeadlinePassed', details: [{ taskId: expect.stringMatching(/^task_/) }] });
  const { paidTasks, tasks } = await emulator.ledger();
  expect(paidTasks).toBe(before + 1);
  const { checks } = Object.values(tasks).find(({ prompt }) => prompt === 'too long')!;
  const waited = checks.at(-1)! - checks[0]!;
  expect(waited).toBeGreaterThan(5.9 * HOUR);
  expect(waited).toBeLessThan(6.2 * HOUR);
});

test('an API that accepts nothing ends after the submit deadline, with nothing paid', async () => {
  emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'public_api_disabled' } }]);
  const failure: unknown = await run({ model: 'z-image', prompt: 'closed' }).catch(
    (error: { cause: unknown }) => error.cause,
  );
  expect(failure).toMatchObject({ type: 'DeadlinePassed', message: expect.stringContaining('paid nothing') });
  // 24 h at up to 10 min a try: no hammering.
  const posts = emulator.requests().filter(({ body }) => body.includes('closed')).length;
  expect(posts).toBeGreaterThan(100);
  expect(posts).toBeLessThan(400);
});

test('a submit whose answer is lost until the submit deadline is never called unpaid, and keeps one key', async () => {
  emulator.setFaults([{ on: 'create', do: { kind: 'dropAfter' } }]);
  const input = { model: 'z-image', prompt: 'lost for hours', options: { onActionNeeded: 'fail' as const } };
  const failure: unknown = await run(input).catch((error: { cause: unknown }) => error.cause);
  expect(failure).toMatchObject({ type: 'SubmitUnresolved', message: expect.stringContaining('Rivya Studio') });
  const { keys } = await emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies[0]!.includes('lost for hours'));
  expect(mine).toMatchObject([{ tasks: [expect.anything()], bodies: [expect.anything()] }]);
});

test('a key of your own that the API knows with another input ends as InputChanged, and costs nothing', async () => {
  emulator.setFaults([]);
  const failure: unknown = await run({ model: 'z-image', prompt: 'own key, first', idempotencyKey: 'order/1' })
    .then(() => run({ model: 'z-image', prompt: 'own key, second', idempotencyKey: 'order/1' }))
    .catch((error: { cause: unknown }) => error.cause);
  expect(failure).toMatchObject({ type: 'InputChanged', details: [{ httpStatus: 409 }] });
  expect((await emulator.ledger()).keys['order/1']).toMatchObject({
    charged: 1,
    bodies: [expect.anything(), expect.anything()],
  });
});

test('time in a hold before the first POST does not lengthen the deadline', async () => {
  await emulator.setCredits(undefined, 0);
  const handle = await env.client.workflow.start('generateMedia', {
    workflowId: randomUUID(),
    taskQueue,
    args: [{ model: 'veo3-1-lite', prompt: 'held first', options: { deadline: '1h' } }],
  });
  // The hold tries again by itself; by then there are credits.
  await env.sleep('2m');
  await emulator.setCredits(undefined, 1_000);
  const failure: unknown = await handle.result().catch((error: { cause: unknown }) => error.cause);
  expect(failure).toMatchObject({ type: 'DeadlinePassed' });
  const { checks } = Object.values((await emulator.ledger()).tasks).find(({ prompt }) => prompt === 'held first')!;
  expect(checks.at(-1)! - checks[0]!).toBeLessThan(1.1 * HOUR);
});

test('a task that is not found any more holds with its ID, and is delivered when it is found again', async () => {
  emulator.setFaults([
    { on: 'create', do: { kind: 'duration', ms: HOUR / 2 } },
    { on: 'status', skip: 10, times: 3, do: { kind: 'error', code: 'not_found' } },
  ]);
  const before = (await emulator.ledger()).paidTasks;
  const result = await run({ model: 'veo3-1-lite', prompt: 'lost for a while' });
  const { checks } = (await emulator.ledger()).tasks[result.taskId]!;
  // Held for 5, 10 and 20 min: nobody hammers for a task that is not there.
  const missed = checks.slice(11, 14).map((at, index) => at - checks[10 + index]!);
  for (const [index, minutes] of [5, 10, 20].entries()) {
    expect(missed[index]!).toBeGreaterThanOrEqual(minutes * 60_000);
  }
  expect((await emulator.ledger()).paidTasks).toBe(before + 1);
});

test('a caller who wants no hold learns which task was not found, and how its wait is taken up', async () => {
  emulator.setFaults([{ on: 'status', skip: 10, do: { kind: 'error', code: 'not_found' } }]);
  const input: GenerateMediaInput = {
    model: 'veo3-1-lite',
    prompt: 'lost for good',
    options: { onActionNeeded: 'fail' },
  };
  const failure = await failureOf(input);
  const [taskId] = Object.entries((await emulator.ledger()).tasks).find(([, { prompt }]) => prompt === input.prompt)!;
  expect(failure).toMatchObject({ type: 'not_found', details: [{ taskId, httpStatus: 404 }] });
  expect(failure.message).toContain(`--task-id ${taskId}`);
});

test.each([7, -7])('an API whose clock is wrong by %i hours changes nothing', async (hours) => {
  emulator.setFaults([{ on: 'create', do: { kind: 'duration', ms: HOUR / 3 } }]);
  emulator.setSwitches({ clockOffsetMs: hours * HOUR });
  const result = await run({ model: 'veo3-1-lite', prompt: `clock ${hours}` });
  expect(result.reused).toBe(false);
  expect(result.statusChecks).toBeGreaterThanOrEqual(checksOf(HOUR / 3, 0));
  expect(result.statusChecks).toBeLessThanOrEqual(checksOf(HOUR / 3, 1) + 2);
});

test('where the clocks behind a reply disagree, checks still slow down', async () => {
  const reply = { id: 'task_of_tomorrow', status: 'processing', created_at: '2999-01-01T00:00:00Z' };
  emulator.setSwitches({ clockOffsetMs: 0 });
  emulator.setFaults([
    { on: 'create', do: { kind: 'duration', ms: HOUR / 2 } },
    { on: 'create', do: { kind: 'id', id: reply.id } },
    { on: 'status', times: 60, do: { kind: 'reply', status: 200, body: JSON.stringify(reply) } },
  ]);
  const result = await run({ model: 'veo3-1-lite', prompt: 'made tomorrow' });
  expect(result.taskId).toBe(reply.id);
  expect(result.statusChecks).toBeLessThanOrEqual(checksOf(HOUR / 2, 1) + 2);
});

// An old task is asked every 5 min, but not for a result that trails its status.
test.each([0, 10])(
  'a task of %i hours that succeeds without a link is checked for 5 min, then named',
  async (hours) => {
    const id = `task_without_link_${hours}`;
    const born = new Date((await env.currentTimeMs()) - hours * HOUR).toISOString();
    const body = JSON.stringify({ id, status: 'succeeded', created_at: born, result: { primary_url: null, urls: [] } });
    emulator.setFaults([
      { on: 'create', do: { kind: 'id', id } },
      { on: 'status', do: { kind: 'reply', status: 200, body } },
    ]);
    const failure = await failureOf({ model: 'z-image', prompt: id });
    expect(failure).toMatchObject({ type: 'ResultMissing', details: [{ taskId: id }] });
    expect(failure.message).toContain(`--task-id ${id}`);
    const { checks } = (await emulator.ledger()).tasks[id]!;
    expect(checks.length).toBeGreaterThanOrEqual(6);
    // The test server's clock creeps while a check runs.
    expect(checks.at(-1)! - checks[0]!).toBeLessThanOrEqual(5.2 * 60_000);
  },
);
