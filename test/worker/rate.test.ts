/** The limit that the Temporal Service enforces over all Workers of one queue. */
import { temporal } from '@temporalio/proto';
import { expect, test } from 'vitest';
import { activitiesPerSecond } from '../../src/policy/index.js';
import { startHarness } from '../support/harness.js';

test('the Workers that call the API tell the Service the limit of the settings', async () => {
  // The account sets the same limit at the Service.
  await using harness = await startHarness({ account: false, env: { RIVYA_RATE_LIMIT_PER_MINUTE: '600' } });
  const limit = async (): Promise<number | null | undefined> => {
    const { effectiveRateLimit } = await harness.temporal.workflowService.describeTaskQueue({
      namespace: harness.namespace,
      taskQueue: { name: `${harness.taskQueue}-api` },
      taskQueueType: temporal.api.enums.v1.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
      reportConfig: true,
      reportStats: true,
    });
    return effectiveRateLimit?.requestsPerSecond;
  };
  // The Service carries it as a number of single precision.
  const wanted = Math.fround(activitiesPerSecond(600));
  await expect.poll(limit, { timeout: 180_000 }).toBe(wanted);
});
