/**
 * What a run knows of the runs before it, and what becomes of a generation that was cut off before it knew anything. Without
 * a store, so only memos tell. The ledger is the judge.
 */
import { randomUUID } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import { temporal as proto } from '@temporalio/proto';
import { describe, expect, test, vi } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

const { BATCH_OPERATION_STATE_RUNNING } = proto.api.enums.v1.BatchOperationState;
const env = { RIVYA_STORE: '' };
const WINDOW_MS = 2_000;

const withoutApi = (harness: Harness) => harness.startWorkers({ roles: new Set(['workflows', 'results']) });
const apiOnly = (harness: Harness) => harness.startWorkers({ roles: new Set(['api']) });

/** Waits until its submit is scheduled: the first Workflow Task is completed, and its memo written. */
async function queued(handle: GenerationHandle): Promise<void> {
  await until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.activityType?.name === 'rivyaSubmit');
}

async function terminate({ temporal }: Harness, { workflowId }: GenerationHandle): Promise<void> {
  await temporal.workflow.getHandle(workflowId).terminate();
}

/** The list of runs trails, and what it does not show is not looked at. */
async function listed({ temporal }: Harness, terminated: number): Promise<void> {
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Terminated'")).count === terminated);
}

const postsOf = ({ emulator }: Harness): number =>
  emulator.requests().filter(({ method, path }) => method === 'POST' && path.endsWith('/generations')).length;

describe.concurrent('a run that was cut off before it looked', () => {
  test('hides nothing: the task under key number 2 of the run before it is found', async () => {
    await using harness = await startHarness({
      account: false,
      workers: false,
      env,
      emulator: {
        switches: { keyLifetimeMs: 1 },
        faults: [unfinished(), { on: 'create', times: 1, do: { kind: 'error', code: 'insufficient_credits' } }],
      },
    });
    await withoutApi(harness);
    const api = await apiOnly(harness);
    const start = () => harness.client.start({ model: 'z-image', prompt: 'a fox' }, { workflowId: 'cut off' });
    const first = await start();
    await until(async () => (await stateOf(first)).phase === 'held');
    await first.resume();
    await until(async () => memoOf(await first.describe())?.taskId != null);
    const { taskId } = memoOf(await first.describe())!;
    await terminate(harness, first);
    await api.stop();
    const second = await start();
    await queued(second);
    expect(memoOf(await second.describe())).toMatchObject({ keyNumber: 1, lookedBy: null, taskId: null });
    await terminate(harness, second);
    await listed(harness, 2);
    await apiOnly(harness);
    harness.emulator.setFaults([]);
    const third = await start();
    expect(await third.result()).toMatchObject({ taskId, reused: true });
    expect(memoOf(await third.describe())).toMatchObject({ keyNumber: 2, lookedBy: (await third.describe()).runId });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test.each([
    ['started again within the window, posts and pays once', 0],
    ['started again after the window, holds and posts nothing', WINDOW_MS],
  ])('and %s', async (_, waitMs) => {
    await using harness = await startHarness({ account: false, workers: false, env });
    const options = { idempotencyWindow: waitMs === 0 ? '1h' : WINDOW_MS } as const;
    const start = () =>
      harness.client.start({ model: 'z-image', prompt: 'a fox', options }, { workflowId: 'cut off at once' });
    await withoutApi(harness);
    const first = await start();
    await queued(first);
    const { mayPostSince } = memoOf(await first.describe())!;
    expect(mayPostSince).toEqual({ firstPostedAt: expect.any(Number), fingerprint: 'unknown' });
    await terminate(harness, first);
    await listed(harness, 1);
    await until(() => Date.now() > mayPostSince!.firstPostedAt + waitMs);
    await apiOnly(harness);
    const second = await start();
    if (waitMs === 0) await second.result();
    else await until(async () => (await stateOf(second)).hold?.code === 'SubmitUnresolved');
    expect([postsOf(harness), (await harness.emulator.ledger()).paidTasks]).toEqual(waitMs === 0 ? [1, 1] : [0, 0]);
  });
});

/** What an operator does in the UI: one batch operation of the Service, which sends a Signal to all that run. */
async function signalAll({ temporal, namespace }: Harness, argument: unknown): Promise<void> {
  const jobId = randomUUID();
  const { workflowService } = temporal;
  await workflowService.startBatchOperation({
    namespace,
    jobId,
    reason: 'test',
    visibilityQuery: "WorkflowType = 'generateMedia' AND ExecutionStatus = 'Running'",
    signalOperation: { signal: 'resume', input: { payloads: [defaultPayloadConverter.toPayload(argument)] } },
  });
  await until(async () => {
    const { state } = await workflowService.describeBatchOperation({ namespace, jobId });
    return state !== BATCH_OPERATION_STATE_RUNNING;
  });
}

test('200 generations that were queued for longer than the window all hold, and one batch operation has each paid once', async () => {
  const count = 200;
  await using harness = await startHarness({
    account: false,
    workers: false,
    env,
    emulator: { durations: { image: 500 }, credits: 10_000, rateLimitPerMinute: 100_000 },
  });
  const ids = Array.from({ length: count }, (_, n) => `queued ${n}`);
  const options = { idempotencyWindow: WINDOW_MS };
  const startAll = () =>
    Promise.all(
      ids.map((workflowId) => harness.client.start({ model: 'z-image', prompt: workflowId, options }, { workflowId })),
    );
  await withoutApi(harness);
  const handles = await startAll();
  for (const handle of handles) await queued(handle);
  const queuedAt = Date.now();
  await Promise.all(handles.map((handle) => terminate(harness, handle)));
  await listed(harness, count);
  await until(() => Date.now() > queuedAt + WINDOW_MS);
  await apiOnly(harness);
  await startAll();

  const phases = async (): Promise<string[]> => {
    const memos = await Promise.all(handles.map(async (handle) => memoOf(await handle.describe())));
    return memos.map((memo) => (memo?.phase === 'held' ? memo.hold!.code : (memo?.phase ?? 'starting')));
  };
  const held = async (): Promise<number> => (await phases()).filter((phase) => phase === 'SubmitUnresolved').length;
  for (const handle of handles) {
    await until(async () => memoOf(await handle.describe())?.hold?.code === 'SubmitUnresolved');
  }
  expect(await held()).toBe(count);
  expect(postsOf(harness)).toBe(0);

  // One that holds a moment later is not in the list yet, so it is repeated.
  do await signalAll(harness, { reason: 'no Worker had ever taken them' });
  while ((await held()) > 0);
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(new Set(results.map(({ taskId }) => taskId)).size).toBe(count);
  const { keys, paidTasks } = await harness.emulator.ledger();
  expect(paidTasks).toBe(count);
  expect(Object.values(keys).filter(({ posts, tasks }) => posts !== 1 || tasks.length !== 1)).toEqual([]);
});

describe.concurrent('while the Service cannot list the runs', () => {
  test.each([
    [14, 'UNAVAILABLE', 'visibility store is down'],
    [7, 'PERMISSION_DENIED', 'Request unauthorized.'],
  ])(
    '(code %i, %s) a first submit waits and says why, posts nothing, and goes on afterwards',
    async (code, name, why) => {
      await using harness = await startHarness({ account: false, env });
      const away = Object.assign(new Error(`${code} ${name}: ${why}`), { code, details: why, metadata: {} });
      const list = vi.spyOn(harness.connection.workflowService, 'listWorkflowExecutions').mockRejectedValue(away);
      const handle = await harness.client.start({ model: 'z-image', prompt: 'not listed' });
      await until(async () => {
        const [pending] = (await handle.describe()).raw.pendingActivities ?? [];
        return (pending?.attempt ?? 0) > 2 && (pending?.lastFailure?.message?.includes(why) ?? false);
      });
      const [pending] = (await handle.describe()).raw.pendingActivities!;
      expect(pending!.lastFailure!.message).toContain('Nothing was posted');
      expect(postsOf(harness)).toBe(0);
      list.mockRestore();
      await handle.result();
      expect((await harness.emulator.ledger()).paidTasks).toBe(1);
      expect(postsOf(harness)).toBe(1);
    },
  );
});
