import type { Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { until } from './until.js';

const { PENDING_ACTIVITY_STATE_PAUSED } = temporal.api.enums.v1.PendingActivityState;

/** What names the Activities of one type in the requests that pause, unpause and reset them, as the UI sends them. */
export function activitiesOf({ options: { namespace } }: Client, workflowId: string, type: string) {
  return { namespace, execution: { workflowId }, type, identity: 'test' };
}

/** Pauses the only Activity of a Workflow, and returns when no attempt of it is under way any more. */
export async function pause(client: Client, workflowId: string, type: string): Promise<void> {
  await client.workflowService.pauseActivity({ ...activitiesOf(client, workflowId, type), reason: 'test' });
  await until(async () => {
    const { raw } = await client.workflow.getHandle(workflowId).describe();
    return raw.pendingActivities?.[0]?.state === PENDING_ACTIVITY_STATE_PAUSED;
  });
}
