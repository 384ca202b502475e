/** Histories of Workflows, as a test counts them. */
import type { temporal } from '@temporalio/proto';

/**
 * Events of a history, without those of Workflow Tasks that a busy machine did not complete in time: each that was completed is
 * three.
 */
export function lengthOf({ events }: temporal.api.history.v1.IHistory): number {
  const isOfTask = (name: string): boolean =>
    /^workflowTask(Scheduled|Started|Completed|TimedOut|Failed)Event/.test(name);
  const kinds = (events ?? []).map((event) => Object.keys(event).find((name) => name.endsWith('Attributes')) ?? '');
  const completed = kinds.filter((name) => name === 'workflowTaskCompletedEventAttributes').length;
  return kinds.filter((name) => !isOfTask(name)).length + 3 * completed;
}
