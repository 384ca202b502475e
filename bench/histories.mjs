// Events and billable actions of histories, as bench/batch.mjs, bench/account.mjs and bench/actions.mjs count them.

const BILLED = new Set([
  'workflowExecutionStartedEventAttributes',
  'activityTaskScheduledEventAttributes',
  'timerStartedEventAttributes',
  'upsertWorkflowSearchAttributesEventAttributes',
  'workflowExecutionSignaledEventAttributes',
  'workflowExecutionUpdateAcceptedEventAttributes',
  // The start of a child is two: this, and its own.
  'childWorkflowExecutionStartedEventAttributes',
]);

/** Actions that Temporal Cloud bills for a history, by its documentation. Heartbeats are in no history. */
function actionsOf(events) {
  const retries = events.reduce((sum, { activityTaskStartedEventAttributes: started }) => {
    return sum + Math.max(0, (started?.attempt ?? 1) - 1);
  }, 0);
  return events.filter((event) => [...BILLED].some((name) => event[name] != null)).length + retries;
}

/** Events and billable actions of a run. */
export async function historyOf(client, { workflowId, runId }) {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  return { events: events.length, actions: actionsOf(events) };
}
