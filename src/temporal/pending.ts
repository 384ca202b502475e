/** Why the next step of a Workflow does not come, as the Service tells it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { memoOf } from '../client.js';
import { unpolled } from './pollers.js';

/** Why an Activity is not done; `text` also says how often it was tried and since when. */
export interface Delay {
  readonly reason: string;
  readonly text: string;
}

/**
 * The last failure of the Activity that a run waits for, or, where it has never been started, a missing Worker or its turn
 * within the rate limit. Null for one that is under way, or none.
 */
export async function delayOf(client: Client, description: WorkflowExecutionDescription): Promise<Delay | null> {
  const [call] = description.raw.pendingActivities ?? [];
  if (call == null) return null;
  const { attempt, lastFailure, scheduledTime, lastStartedTime, lastAttemptCompleteTime } = call;
  if (lastFailure != null) {
    const { mayPostSince = null } = memoOf(description) ?? {};
    const since = mayPostSince === null ? '' : ` since ${new Date(mayPostSince.firstPostedAt).toISOString()}`;
    const reason = named(lastFailure.applicationFailureInfo?.type, lastFailure.message ?? 'unknown');
    const last = timeOf(lastAttemptCompleteTime ?? lastStartedTime);
    return { reason, text: `${reason} (attempt ${attempt}${since}; the last one failed at ${last})` };
  }
  if (lastStartedTime != null) return null;
  const [reason = 'waits for its turn within the rate limit'] = await unpolled(client, description.taskQueue);
  return { reason, text: `${reason} (since ${timeOf(scheduledTime)})` };
}

function timeOf(time: { readonly seconds?: unknown } | null | undefined): string {
  return new Date(Number(time?.seconds ?? 0) * 1_000).toISOString();
}

/** A message with its code, unless it names it. */
export function named(code: string | null | undefined, message: string): string {
  return code == null || message.includes(code) ? message : `${code}: ${message}`;
}
