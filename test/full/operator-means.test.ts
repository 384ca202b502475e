/** What operators do with Temporal's own means to a generation whose task is paid already: it stays one paid task. */
import { temporal as proto } from '@temporalio/proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import { apiTaskQueue } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { activitiesOf, pause } from '../support/pause.js';
import { stateOf } from '../support/state.js';
import { shareFaults, type Release, type SharedFaults } from '../support/tasks.js';
import { until } from '../support/until.js';

const { TASK_QUEUE_TYPE_ACTIVITY } = proto.api.enums.v1.TaskQueueType;
const { PENDING_ACTIVITY_STATE_SCHEDULED } = proto.api.enums.v1.PendingActivityState;

let harness: Harness;
let faults: SharedFaults;
beforeAll(async () => {
  harness = await startHarness({
    // A Service refuses to pause a Workflow without it.
    dynamicConfig: { 'frontend.WorkflowPauseEnabled': 'true' },
    // Nothing but Temporal remembers.
    env: { RIVYA_STORE: '', RIVYA_PATIENCE: '0' },
  });
  faults = shareFaults(harness.emulator);
});
afterAll(() => harness[Symbol.asyncDispose]());

interface Job {
  readonly workflowId: string;
  readonly handle: GenerationHandle;
  /** Lets the API answer again. */
  readonly release: Release;
}

const service = () => harness.temporal.workflowService;
const start = (workflowId: string): Promise<GenerationHandle> =>
  harness.client.start({ model: 'z-image', prompt: workflowId }, { workflowId });
const run = async (workflowId: string) => (await harness.temporal.workflow.getHandle(workflowId).describe()).raw;

async function repeated(workflowId: string, type: string, release: Release): Promise<Job> {
  const handle = await start(workflowId);
  await until(async () => {
    const [pending] = (await run(workflowId)).pendingActivities ?? [];
    return pending?.activityType?.name === type && pending.attempt! > 1;
  });
  return { workflowId, handle, release };
}

/** A generation whose submit is repeated: its task is paid, and no reply came. */
const submitting = (workflowId: string): Promise<Job> =>
  repeated(workflowId, 'rivyaSubmit', faults.add({ on: 'create', prompt: workflowId, do: { kind: 'dropAfter' } }));

/** A generation whose status check is repeated, because the API fails. */
const checking = (workflowId: string): Promise<Job> =>
  repeated(
    workflowId,
    'rivyaCheck',
    faults.add({ on: 'status', prompt: workflowId, do: { kind: 'error', code: 'internal_error' } }),
  );

async function paidTasksOf({ workflowId }: Pick<Job, 'workflowId'>): Promise<string[]> {
  const { tasks } = await harness.emulator.ledger();
  return Object.entries(tasks).flatMap(([id, { prompt }]) => (prompt === workflowId ? [id] : []));
}

/** The task of the result, when it is there. */
const taskOf = async ({ handle }: Job): Promise<string> => (await handle.result()).taskId;

/** Until an attempt is due, and no Worker gets it. */
const untilKept = ({ workflowId }: Job): Promise<void> =>
  until(async () => {
    const [pending] = (await run(workflowId)).pendingActivities ?? [];
    const due = Number(pending?.scheduledTime?.seconds ?? Infinity) * 1_000;
    return pending?.state === PENDING_ACTIVITY_STATE_SCHEDULED && Date.now() > due + 3_000;
  });

describe.concurrent.each([
  ['rivyaSubmit', submitting],
  ['rivyaCheck', checking],
])('while %s is repeated', (type, live) => {
  test(`${type}: a pause stops it, and an unpause has it go on, paid once`, async () => {
    const job = await live(`pause ${type}`);
    await pause(harness.temporal, job.workflowId, type);
    job.release();
    await service().unpauseActivity(activitiesOf(harness.temporal, job.workflowId, type));
    expect([await taskOf(job)]).toEqual(await paidTasksOf(job));
  });

  test.each([false, true])(
    `${type}: a reset pays nothing again (heartbeat details too: %s)`,
    async (resetHeartbeat) => {
      const job = await live(`reset ${type} ${resetHeartbeat}`);
      await service().resetActivity({ ...activitiesOf(harness.temporal, job.workflowId, type), resetHeartbeat });
      job.release();
      expect([await taskOf(job)]).toEqual(await paidTasksOf(job));
    },
  );

  test(`${type}: too few attempts end the call in a hold, from which a resume leads to the paid task`, async () => {
    const job = await live(`attempts ${type}`);
    await service().updateActivityOptions({
      ...activitiesOf(harness.temporal, job.workflowId, type),
      activityOptions: { retryPolicy: { maximumAttempts: 1 } },
      updateMask: { paths: ['retry_policy.maximum_attempts'] },
    });
    await until(async () => (await stateOf(job.handle)).hold !== null);
    job.release();
    const [taskId] = await paidTasksOf(job);
    await job.handle.resume(type === 'rivyaSubmit' ? { taskId: taskId! } : {});
    expect([await taskOf(job)]).toEqual(await paidTasksOf(job));
  });
});

test('a queue whose rate is 0 makes no call, and goes on at the rate of its Workers, each generation paid once', async () => {
  const setRate = (rateLimit: object) =>
    service().updateTaskQueueConfig({
      namespace: harness.namespace,
      identity: 'test',
      taskQueue: apiTaskQueue(harness.taskQueue),
      taskQueueType: TASK_QUEUE_TYPE_ACTIVITY,
      updateQueueRateLimit: { reason: 'test', ...rateLimit },
    });
  const jobs = await Promise.all([submitting('rate submit'), checking('rate check')]);
  await setRate({ rateLimit: { requestsPerSecond: 0 } });
  for (const { release } of jobs) release();
  const later: Job = { workflowId: 'rate later', handle: await start('rate later'), release: () => undefined };
  await Promise.all([...jobs, later].map(untilKept));
  expect(await paidTasksOf(later)).toEqual([]);
  await setRate({});
  for (const job of [...jobs, later]) expect([await taskOf(job)]).toEqual(await paidTasksOf(job));
});

test('a paused Workflow makes no further attempt, and goes on with its paid task when it is unpaused', async () => {
  const job = await submitting('paused');
  const { workflowId } = job;
  const { runId } = await job.handle.describe();
  const request = { namespace: harness.namespace, workflowId, runId, identity: 'test', reason: 'test' };
  await service().pauseWorkflowExecution({ ...request, requestId: 'pause' });
  job.release();
  await untilKept(job);
  expect((await job.handle.describe()).status.name).toBe('PAUSED');
  await expect(job.handle.checkNow()).rejects.toMatchObject({ cause: { details: expect.stringContaining('paused') } });
  await service().unpauseWorkflowExecution({ ...request, requestId: 'unpause' });
  expect([await taskOf(job)]).toEqual(await paidTasksOf(job));
});

test('what one query has terminated comes to its paid task when it is started again', async () => {
  const jobs = await Promise.all([submitting('bulk-submit'), checking('bulk-check')]);
  const query = "WorkflowId STARTS_WITH 'bulk-' AND ExecutionStatus = 'Running'";
  const found = async (): Promise<number> => (await harness.temporal.workflow.count(query)).count;
  await until(async () => (await found()) === jobs.length);
  await service().startBatchOperation({
    namespace: harness.namespace,
    jobId: 'bulk',
    reason: 'test',
    visibilityQuery: query,
    terminationOperation: { identity: 'test' },
  });
  await until(async () => (await found()) === 0);
  for (const job of jobs) {
    job.release();
    const again = { ...job, handle: await start(job.workflowId) };
    expect([await taskOf(again)]).toEqual(await paidTasksOf(again));
  }
});
