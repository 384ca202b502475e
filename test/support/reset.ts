import type { Client } from '@temporalio/client';

/** Resets the latest run to its first Workflow Task, as "Reset" in the UI does. */
export async function resetToStart(client: Client, workflowId: string): Promise<void> {
  const { runId } = await client.workflow.getHandle(workflowId).describe();
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId, runId },
    // The first Workflow Task completed: event 4 of every history. The wire type is a Long.
    workflowTaskFinishEventId: { low: 4, high: 0, unsigned: false, toNumber: () => 4 } as never,
    requestId: `${runId}-reset`,
    reason: 'test',
  });
}
