/** A Workflow that an operator has paused (server 1.30 and newer) has not ended: nobody starts it anew or calls it closed. */
import { expect, test } from 'vitest';
import { OPEN_QUERY } from '../../src/contract/index.js';
import { startHarness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

test('a step whose child is paused is waited for, and paid once', async () => {
  const dynamicConfig = { 'frontend.WorkflowPauseEnabled': 'true' };
  await using harness = await startHarness({ dynamicConfig, emulator: { faults: [unfinished()] } });
  const { temporal, taskQueue, namespace, emulator } = harness;
  const input = { model: 'z-image', prompt: 'paused', options: { taskQueue } };
  const workflowId = 'pausing';
  await temporal.workflow.start('oneStep', { workflowId, taskQueue, args: [input] });
  const child = temporal.workflow.getHandle(`${workflowId}/only`);
  await until(async () => (await emulator.ledger()).paidTasks === 1);
  const { runId } = await child.describe();
  const request = { namespace, workflowId: child.workflowId, runId, identity: 'test', reason: 'test' };
  await temporal.workflowService.pauseWorkflowExecution({ ...request, requestId: 'pause' });
  await until(async () => (await child.describe()).status.name === 'PAUSED');
  const open = async (): Promise<number> =>
    (await temporal.workflow.count(`WorkflowId = '${child.workflowId}' AND ${OPEN_QUERY}`)).count;
  await until(async () => (await open()) === 1);
  await resetToStart(temporal, workflowId);
  // It is looked at again and again, and not started anew.
  await until(async () => {
    const { raw } = await temporal.workflow.getHandle(workflowId).describe();
    const [pending] = raw.pendingActivities ?? [];
    return pending?.activityType?.name === 'rivyaResult' && (pending.attempt ?? 0) > 1;
  });
  await temporal.workflowService.unpauseWorkflowExecution({ ...request, requestId: 'unpause' });
  emulator.setFaults([]);
  expect(await temporal.workflow.getHandle(workflowId).result()).toMatchObject({ status: 'succeeded', reused: true });
  expect((await child.describe()).runId).toBe(runId);
  expect((await emulator.ledger()).paidTasks).toBe(1);
});
