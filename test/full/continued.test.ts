/** A server that asks for a new run after about three checks: a generation that continues as new several times. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationHandle } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const LIMIT_MS = 120_000;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    dynamicConfig: { 'limit.historyCount.suggestContinueAsNew': '38' },
    // Nothing but Temporal remembers.
    env: { RIVYA_STORE: '' },
    emulator: { switches: { keyLifetimeMs: 1 }, durations: { image: 45_000 } },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function paidTasksOf(prompt: string): Promise<string[]> {
  const { tasks } = await harness.emulator.ledger();
  return Object.entries(tasks).flatMap(([taskId, task]) => (task.prompt === prompt ? [taskId] : []));
}

/** Starts one, and waits for its second run, whose memo must tell all that the first one's did. */
async function inSecondRun(workflowId: string, options: object = {}): Promise<GenerationHandle> {
  const input = { model: 'z-image', prompt: workflowId, options };
  const handle = await harness.client.start(input, { workflowId });
  const { runId } = await handle.describe();
  await until(async () => {
    const description = await handle.describe();
    return description.runId !== runId && memoOf(description)?.taskId != null;
  }, LIMIT_MS);
  return handle;
}

async function runsOf(workflowId: string): Promise<string[]> {
  const runs: string[] = [];
  for await (const { status } of harness.temporal.workflow.list({ query: `WorkflowId = '${workflowId}'` })) {
    runs.push(status.name);
  }
  return runs;
}

describe.concurrent('a generation in its second run', () => {
  test('goes on through further ones: one task, every check counted, and its waiter gets the result', async () => {
    const workflowId = 'several runs';
    const handle = await harness.client.start({ model: 'z-image', prompt: workflowId }, { workflowId });
    const result = await handle.result();
    expect((await runsOf(workflowId)).filter((status) => status === 'CONTINUED_AS_NEW').length).toBeGreaterThan(1);
    expect(await paidTasksOf(workflowId)).toEqual([result.taskId]);
    expect(result.reused).toBe(false);
    const { checks } = (await harness.emulator.ledger()).tasks[result.taskId]!;
    expect(checks).toHaveLength(result.statusChecks);
    expect(Math.min(...checks.slice(1).map((at, index) => at - checks[index]!))).toBeGreaterThanOrEqual(5_000);
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'succeeded', taskId: result.taskId });
    const workflow = harness.temporal.workflow.getHandle(workflowId);
    const { currentDetails } = await workflow.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toContain('**Done.**\n\nz-image\n');
  });

  test('keeps its deadline, which began with the first', async () => {
    const handle = await inSecondRun('deadline in the second run', { deadline: '25s' });
    const error: unknown = await handle.result().catch((e: unknown) => e);
    const [taskId] = await paidTasksOf('deadline in the second run');
    expect(error).toMatchObject({ code: 'DeadlinePassed', details: { taskId } });
    const { checks } = (await harness.emulator.ledger()).tasks[taskId!]!;
    // Two checks are at most 10 s apart at this age, so one of them comes soon after the deadline.
    expect(checks.at(-1)! - checks[0]!).toBeLessThan(45_000);
  });

  test('can be cancelled, and its memo keeps the task', async () => {
    const handle = await inSecondRun('cancelled in the second run');
    await handle.cancel();
    const error: unknown = await handle.result().catch((e: unknown) => e);
    const [taskId] = await paidTasksOf('cancelled in the second run');
    expect(error).toMatchObject({ code: 'Cancelled', details: { taskId } });
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'cancelled', taskId });
  });

  test('can be reset, and its waiter follows', async () => {
    const handle = await inSecondRun('reset in the second run');
    const waiting = handle.result();
    await resetToStart(harness.temporal, handle.workflowId);
    const { taskId } = await waiting;
    expect(await paidTasksOf(handle.workflowId)).toEqual([taskId]);
  });

  test('can be terminated and started again: the same task', async () => {
    const handle = await inSecondRun('terminated in the second run');
    await harness.temporal.workflow.getHandle(handle.workflowId).terminate();
    const input = { model: 'z-image', prompt: handle.workflowId };
    const again = await harness.client.start(input, { workflowId: handle.workflowId });
    const { taskId, reused } = await again.result();
    expect(await paidTasksOf(handle.workflowId)).toEqual([taskId]);
    expect(reused).toBe(true);
  });
});
