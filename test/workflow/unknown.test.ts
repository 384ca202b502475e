/**
 * A submit without an answer: a task may exist. Until its ID is known or a person decides, nobody posts again outside
 * the window, under another API key or after a refusal, and nobody says that nothing was paid.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import type { ErrorCode, Hold } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { activitiesOf, pause } from '../support/pause.js';
import { resetToStart } from '../support/reset.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

// Long enough for a second POST on a slow machine, short enough to be waited for.
const WINDOW_MS = 15_000;
/** From the decision to post until the POST has arrived, on a slow machine. */
const LATE_MS = 3_000;
const KEY_LIFETIME_MS = WINDOW_MS + LATE_MS;
const options = { idempotencyWindow: WINDOW_MS };
const repeated: readonly ErrorCode[] = ['idempotency_conflict', 'public_api_disabled'];

/** The reply to the first POST is lost; then this refusal, once or always. */
function lostThen(prompt: string, code: ErrorCode, times?: number): Fault[] {
  const refused: Fault = { on: 'create', prompt, do: { kind: 'error', code } };
  return [
    { on: 'create', prompt, times: 1, do: { kind: 'dropAfter' } },
    times === undefined ? refused : { ...refused, times },
  ];
}

let harness: Harness;
beforeAll(async () => {
  // Made at the time of the submits, so that only its model tells.
  const now = new Date().toISOString();
  const seeded = { status: 'succeeded', createdAt: now, updatedAt: now } as const;
  harness = await startHarness({
    account: false,
    // Without receipts, so that it is Temporal that must remember.
    env: { RIVYA_STORE: undefined },
    emulator: {
      rateLimitPerMinute: 100_000,
      // An API that forgets a key soon after the window: a POST that comes too late is a second paid task.
      switches: { keyLifetimeMs: KEY_LIFETIME_MS },
      seedTasks: [{ id: 'task_of_another_model', model: '4o-image', ...seeded }],
      faults: [
        { on: 'create', prompt: 'never answered', do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'broken three times', times: 3, do: { kind: 'error', code: 'internal_error' } },
        ...lostThen('lost, then broke', 'insufficient_credits', 1),
        ...lostThen('lost, then invalid', 'validation_failed', 1),
        ...lostThen('lost and not found', 'validation_failed', 1),
        ...lostThen('lost and mistaken', 'validation_failed', 1),
        ...repeated.flatMap((code) => lostThen(`lost, then ${code}`, code)),
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function postsOf(prompt: string, { emulator } = harness): Promise<{ posts: number; tasks: readonly string[] }> {
  const keys = Object.values((await emulator.ledger()).keys);
  const mine = keys.filter(({ bodies }) => bodies.some((body) => body.includes(prompt)));
  return {
    posts: mine.reduce((sum, { posts }) => sum + posts, 0),
    tasks: mine.flatMap(({ tasks }) => tasks),
  };
}

/** Waits until the Workflow holds for this code. */
async function held(handle: GenerationHandle, code: string): Promise<Hold> {
  await until(async () => (await stateOf(handle)).hold?.code === code);
  return (await stateOf(handle)).hold!;
}

/** Waits until this time has passed since the first POST of this prompt. */
async function passed(ms: number, prompt: string, { emulator } = harness): Promise<void> {
  const first = emulator.requests().find(({ body }) => body.includes(prompt))!;
  await until(() => Date.now() > first.at + ms);
}

describe.concurrent('a refusal after an unanswered submit', () => {
  test('for credits, and a top-up after the window: it is not posted again, and holds as SubmitUnresolved', async () => {
    const prompt = 'lost, then broke';
    const handle = await harness.client.start({ model: 'z-image', prompt, options });
    const hold = await held(handle, 'insufficient_credits');
    expect(hold.message).toContain('a task may exist');
    expect(await postsOf(prompt)).toMatchObject({ posts: 2, tasks: [expect.anything()] });
    await passed(WINDOW_MS, prompt);
    await handle.resume();
    await held(handle, 'SubmitUnresolved');
    const { posts, tasks } = await postsOf(prompt);
    expect({ posts, paid: tasks.length }).toEqual({ posts: 2, paid: 1 });
    await handle.resume({ taskId: tasks[0]! });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0], reused: true });
    expect(await postsOf(prompt)).toEqual({ posts: 2, tasks });
  });

  test('for the input holds instead of failing, and says that a task may exist', async () => {
    const prompt = 'lost, then invalid';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    const hold = await held(handle, 'SubmitUnresolved');
    expect(hold.message).toContain('validation_failed');
    expect(hold.action).toContain('may have been paid for');
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'held', hold, mayPostSince: expect.anything() });
    const { posts, tasks } = await postsOf(prompt);
    expect({ posts, paid: tasks.length }).toEqual({ posts: 2, paid: 1 });
    await handle.resume({ taskId: tasks[0]! });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0] });
  });

  test.each(repeated)(
    'with %s is repeated with back-off, neither ends nor restarts the window, and then holds',
    async (code) => {
      const prompt = `lost, then ${code}`;
      const handle = await harness.client.start({ model: 'z-image', prompt, options });
      // What an operator reads in Pending Activities meanwhile.
      let said = '';
      await until(async () => {
        said = (await handle.describe()).raw.pendingActivities?.[0]?.lastFailure?.message ?? '';
        return said.includes(code);
      });
      expect(said).toContain('a task may exist');
      expect(said).not.toMatch(/new generation|another Workflow ID/);
      const hold = await held(handle, 'SubmitUnresolved');
      const { posts, tasks } = await postsOf(prompt);
      expect(tasks).toHaveLength(1);
      // After 1 s, 2 s, 4 s and 8 s at the longest, half of it at the shortest: four more fit into the window.
      expect(posts).toBeGreaterThanOrEqual(2);
      expect(posts).toBeLessThanOrEqual(6);
      const times = harness.emulator.requests().filter(({ body }) => body.includes(prompt));
      const { firstPostedAt } = (await stateOf(handle)).unanswered!;
      expect(firstPostedAt).toBeLessThanOrEqual(times[0]!.at);
      expect(times.at(-1)!.at).toBeLessThanOrEqual(firstPostedAt + WINDOW_MS + LATE_MS);
      expect(hold.action).toContain('A task may exist');
    },
  );
});

test.concurrent('three errors that are not the same one are no stored one: repeated, one paid task', async () => {
  const prompt = 'broken three times';
  const handle = await harness.client.start({ model: 'z-image', prompt });
  const { taskId } = await handle.result();
  expect(await postsOf(prompt)).toEqual({ posts: 4, tasks: [taskId] });
});

describe.concurrent('the window', () => {
  /** A submit that was lost and whose Activity is paused, once its window has passed. */
  async function pausedBeyondWindow(prompt: string, workflowId = prompt): Promise<[GenerationHandle, number]> {
    const handle = await harness.client.start({ model: 'z-image', prompt, options }, { workflowId });
    await until(async () => (await postsOf(prompt)).posts > 0);
    await pause(harness.temporal, handle.workflowId, 'rivyaSubmit');
    await passed(WINDOW_MS, prompt);
    return [handle, (await postsOf(prompt)).posts];
  }

  const theSubmit = ({ workflowId }: GenerationHandle) => activitiesOf(harness.temporal, workflowId, 'rivyaSubmit');

  test('is not passed by a backlog: Workers that come back too late post nothing', async () => {
    const prompt = 'no Worker for long';
    const other = await startHarness({
      account: false,
      workers: false,
      emulator: { faults: [{ on: 'create', do: { kind: 'dropAfter' } }] },
    });
    const workers = await other.startWorkers();
    const handle = await other.client.start({ model: 'z-image', prompt, options });
    await until(async () => (await postsOf(prompt, other)).posts > 0);
    await workers.stop();
    const before = await postsOf(prompt, other);
    await passed(WINDOW_MS, prompt, other);
    await other.startWorkers();
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf(prompt, other)).toEqual(before);
    expect(before.tasks).toHaveLength(1);
    await other[Symbol.asyncDispose]();
  });

  test('is not passed by a paused Activity', async () => {
    const [handle, posts] = await pausedBeyondWindow('never answered, paused');
    await harness.temporal.workflowService.unpauseActivity(theSubmit(handle));
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf('never answered, paused')).toMatchObject({ posts, tasks: [expect.anything()] });
  });

  test('is not passed by a reset of the Activity', async () => {
    const [handle, posts] = await pausedBeyondWindow('never answered, Activity reset');
    await harness.temporal.workflowService.resetActivity(theSubmit(handle));
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf('never answered, Activity reset')).toMatchObject({ posts, tasks: [expect.anything()] });
  });

  test('is not passed by a reset of the Activity that also wipes its heartbeat', async () => {
    const [handle, posts] = await pausedBeyondWindow('never answered, wiped');
    await harness.temporal.workflowService.resetActivity({ ...theSubmit(handle), resetHeartbeat: true });
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf('never answered, wiped')).toMatchObject({ posts, tasks: [expect.anything()] });
  });

  test('is not passed by a reset of the Workflow', async () => {
    const [handle, posts] = await pausedBeyondWindow('never answered, Workflow reset');
    await resetToStart(harness.temporal, handle.workflowId);
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf('never answered, Workflow reset')).toMatchObject({ posts, tasks: [expect.anything()] });
  });

  test('is not passed by terminate and a second start', async () => {
    const prompt = 'never answered, started again';
    const [handle, posts] = await pausedBeyondWindow(prompt);
    await harness.temporal.workflow.getHandle(handle.workflowId).terminate();
    await harness.client.start({ model: 'z-image', prompt, options }, { workflowId: prompt });
    await held(handle, 'SubmitUnresolved');
    expect(await postsOf(prompt)).toMatchObject({ posts, tasks: [expect.anything()] });
  });
});

test.concurrent(
  'another API key after an unanswered submit posts nothing: another account would pay again',
  async () => {
    const prompt = 'lost under another key';
    const directory = await mkdtemp(path.join(tmpdir(), 'rivya-unknown-'));
    const file = path.join(directory, 'key');
    await writeFile(file, 'rvya_sk_first');
    const first = { key: 'rvya_sk_first', account: 'first' };
    const second = { key: 'rvya_sk_second', account: 'second' };
    const other = await startHarness({
      account: false,
      env: { RIVYA_API_KEY: undefined, RIVYA_API_KEY_FILE: file },
      emulator: { keys: [first, second], faults: [{ on: 'create', do: { kind: 'dropAfter' } }] },
    });
    const handle = await other.client.start({ model: 'z-image', prompt });
    await until(async () => (await postsOf(prompt, other)).tasks.length > 0);
    other.emulator.setKeys([{ ...first, state: 'revoked' }, second]);
    other.emulator.setFaults([]);
    await writeFile(file, second.key);
    const hold = await held(handle, 'api_key_revoked');
    expect(hold.message).toContain('a task may exist');
    const before = await postsOf(prompt, other);
    await handle.resume();
    expect((await held(handle, 'SubmitUnresolved')).message).toContain('the API key has changed');
    expect(await postsOf(prompt, other)).toEqual(before);
    expect(before.tasks).toHaveLength(1);
    await other[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  },
);

describe.concurrent('a person decides on an unresolved submit', () => {
  test('a reason posts again, is paid again on purpose, and stays in the history', async () => {
    const prompt = 'lost and not found';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await held(handle, 'SubmitUnresolved');
    const reason = 'looked in the Studio, there is none; Ada';
    // By now the API has forgotten the key, so this is a second payment.
    await passed(KEY_LIFETIME_MS, prompt);
    await handle.resume({ reason });
    const { taskId } = await handle.result();
    const { posts, tasks } = await postsOf(prompt);
    expect({ posts, paid: tasks.length, last: tasks.at(-1) }).toEqual({ posts: 3, paid: 2, last: taskId });
    const { events } = await harness.temporal.workflow.getHandle(handle.workflowId).fetchHistory();
    const updates = events!.map(
      (event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.args?.payloads?.[0],
    );
    expect(updates.map((payload) => Buffer.from(payload?.data ?? []).toString())).toContain(JSON.stringify({ reason }));
  });

  test('a task of another model is not taken: it holds again and says why', async () => {
    const prompt = 'lost and mistaken';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await held(handle, 'SubmitUnresolved');
    const { posts, tasks } = await postsOf(prompt);
    await handle.resume({ taskId: 'task_of_another_model' });
    await until(async () => (await stateOf(handle)).hold?.message.includes('is of model 4o-image') ?? false);
    await handle.resume({ taskId: tasks[0]! });
    expect(await handle.result()).toMatchObject({ taskId: tasks[0] });
    expect(await postsOf(prompt)).toEqual({ posts, tasks });
  });
});
