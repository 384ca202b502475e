import type { Client } from '@temporalio/client';

/** Resets the latest run to its first Workflow Task, as "Reset" in the UI does. */
export async function resetToStart(client: Client, workflowId: string): Promise<void> {
  const { runId } = await client.workflow.getHandle(workflowId).describe();
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
  });
  // Event 4, unless a Worker was killed before it could complete its first Workflow Task.
  const first = history?.events?.find(({ workflowTaskCompletedEventAttributes: completed }) => completed != null);
  if (first === undefined) throw new Error(`${workflowId} has not completed a Workflow Task yet.`);
  await resetTo(client, workflowId, Number(first.eventId));
}

/** Resets the latest run to a Workflow Task, named by the event that completed it. Signals and Updates after it are applied again. */
export async function resetTo(client: Client, workflowId: string, eventId: number): Promise<void> {
  const { runId } = await client.workflow.getHandle(workflowId).describe();
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId, runId },
    // The wire type is a Long.
    workflowTaskFinishEventId: { low: eventId, high: 0, unsigned: false, toNumber: () => eventId } as never,
    requestId: `${runId}-reset-${eventId}`,
    reason: 'test',
  });
}
