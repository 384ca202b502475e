/**
 * An operator can wipe what the attempts of an Activity have told: a reset does, and an unpause can. The window of the key
 * still counts from the first POST, without a store that remembers it, and when the API has forgotten the key.
 */
import { describe, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import type { Duration } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { activitiesOf, pause } from '../support/pause.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

const WINDOW_MS = 4_000;
/** From the window's end until the API has forgotten the key. */
const MARGIN_MS = 2_000;
/** Two attempts on a slow machine come within this. */
const LONG_WINDOW_MS = 45_000;
const SUBMIT = 'rivyaSubmit';
const API_ONLY = { RIVYA_WORKER_ROLES: 'api', RIVYA_STORE: '' };

const startForgetful = (answers: 'never' | 'late' = 'never', windowMs = WINDOW_MS): Promise<Harness> =>
  startHarness({
    workers: false,
    env: { RIVYA_STORE: '' },
    emulator: {
      switches: { keyLifetimeMs: windowMs + MARGIN_MS },
      faults: [{ on: 'create', do: answers === 'never' ? { kind: 'dropAfter' } : { kind: 'delayAfter', ms: 40_000 } }],
    },
  });

const start = ({ client }: Harness, idempotencyWindow: Duration = WINDOW_MS): Promise<GenerationHandle> =>
  client.start({ model: 'z-image', prompt: 'wiped', options: { idempotencyWindow } }, { workflowId: 'wiped' });

const submits = ({ temporal }: Harness): ReturnType<typeof activitiesOf> => activitiesOf(temporal, 'wiped', SUBMIT);
const posts = ({ emulator }: Harness): number => emulator.requests().filter(({ method }) => method === 'POST').length;

/** Until the API has forgotten the key, and would answer. */
async function forgotten({ emulator }: Harness, windowMs = WINDOW_MS): Promise<void> {
  const last = Math.max(...emulator.requests().map(({ at }) => at));
  await until(() => Date.now() > last + windowMs + MARGIN_MS);
  emulator.setFaults([]);
}

/** What has become of it: a hold, or a second paid task. */
async function outcome({ emulator }: Harness, handle: GenerationHandle): Promise<{ paid: number; hold?: string }> {
  const paid = async (): Promise<number> => (await emulator.ledger()).paidTasks;
  await until(async () => (await stateOf(handle)).hold !== null || (await paid()) > 1);
  const code = (await stateOf(handle)).hold?.code;
  return { paid: await paid(), ...(code !== undefined && { hold: code }) };
}

const PAID_ONCE = { paid: 1, hold: 'SubmitUnresolved' };

describe.concurrent('nothing is posted blind after the window', () => {
  test.each<[string, number, object]>([
    ['an unpause that wiped it, before the second attempt', 1, { resetHeartbeat: true }],
    ['an unpause that wiped it, before the third attempt', 2, { resetHeartbeat: true }],
    ['an unpause that wiped it and began to count anew', 2, { resetHeartbeat: true, resetAttempts: true }],
  ])('by %s', async (_, attempts, how) => {
    const windowMs = attempts > 1 ? LONG_WINDOW_MS : WINDOW_MS;
    await using harness = await startForgetful('never', windowMs);
    await harness.startWorkers();
    const handle = await start(harness, windowMs);
    await until(() => posts(harness) >= attempts);
    await pause(harness.temporal, 'wiped', SUBMIT);
    await forgotten(harness, windowMs);
    await harness.temporal.workflowService.unpauseActivity({ ...submits(harness), ...how });
    expect(await outcome(harness, handle)).toEqual(PAID_ONCE);
  });

  test('by a run that was ended after a reset had wiped it, and started again', async () => {
    await using harness = await startForgetful();
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const api = await harness.startWorkers({ roles: new Set(['api']) });
    await start(harness);
    await until(() => posts(harness) > 0);
    await pause(harness.temporal, 'wiped', SUBMIT);
    await api.stop();
    await harness.temporal.workflowService.resetActivity({ ...submits(harness), resetHeartbeat: true });
    await harness.temporal.workflow.getHandle('wiped').terminate();
    await forgotten(harness);
    await harness.startWorkers({ roles: new Set(['api']) });
    expect(await outcome(harness, await start(harness))).toEqual(PAID_ONCE);
  });

  test('by the attempt after one that died before it could tell anything', async () => {
    await using harness = await startForgetful();
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const api = await harness.startWorkers({ roles: new Set(['api']) });
    const handle = await start(harness);
    await until(() => posts(harness) > 0);
    await pause(harness.temporal, 'wiped', SUBMIT);
    await api.stop();
    await harness.temporal.workflowService.resetActivity({ ...submits(harness), resetHeartbeat: true });
    const { connection, workflowService } = harness.temporal;
    await connection.withDeadline(Date.now() + 30_000, () =>
      workflowService.pollActivityTaskQueue({
        namespace: harness.namespace,
        taskQueue: { name: `${harness.taskQueue}-api` },
        identity: 'takes it and dies',
      }),
    );
    await forgotten(harness);
    await harness.startWorkers({ roles: new Set(['api']) });
    expect(await outcome(harness, handle)).toEqual(PAID_ONCE);
  });

  test('by another Worker, when a reset wiped it during a POST and its Worker was killed', async () => {
    await using harness = await startForgetful('late');
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const first = spawnWorker({ ...harness, env: API_ONLY });
    const handle = await start(harness);
    await until(async () => (await harness.emulator.ledger()).paidTasks === 1);
    await harness.temporal.workflowService.resetActivity({ ...submits(harness), resetHeartbeat: true });
    await kill(first);
    await forgotten(harness);
    const second = spawnWorker({ ...harness, env: API_ONLY });
    try {
      expect(await outcome(harness, handle)).toEqual(PAID_ONCE);
    } finally {
      await kill(second);
    }
  });
});

// Looks like an attempt whose heartbeat was wiped, so it is taken for one that may have posted.
describe.concurrent('a pause before the very first attempt', () => {
  async function unpausedAfter(harness: Harness, ms: number, window?: Duration): Promise<GenerationHandle> {
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const handle = await start(harness, window);
    await until(async () => (await handle.describe()).raw.pendingActivities?.length === 1);
    await pause(harness.temporal, 'wiped', SUBMIT);
    const pausedAt = Date.now();
    await until(() => Date.now() > pausedAt + ms);
    await harness.startWorkers({ roles: new Set(['api']) });
    await harness.temporal.workflowService.unpauseActivity({ ...submits(harness), resetHeartbeat: true });
    return handle;
  }

  test('that ends within the window posts and pays once', async () => {
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
    const handle = await unpausedAfter(harness, 0, '12h');
    expect(await handle.result()).toMatchObject({ status: 'succeeded' });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });

  test('that ends after the window holds and posts nothing, and a reason pays once', async () => {
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
    const handle = await unpausedAfter(harness, WINDOW_MS);
    await until(async () => (await stateOf(handle)).hold?.code === 'SubmitUnresolved');
    expect(posts(harness)).toBe(0);
    await handle.resume({ reason: 'it was paused before it began' });
    await handle.result();
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });
});
