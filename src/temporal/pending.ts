/** Why the next step of a Workflow does not come, as the Service tells it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { memoOf } from '../client.js';
import { unpolled } from './pollers.js';

/** Why nothing goes on; `text` also says how often it was tried and since when. */
export interface Delay {
  readonly reason: string;
  readonly text: string;
}

/**
 * The last failure of the Activity that a run waits for, a missing Worker, or its turn within the rate limit. Null where an
 * Activity is under way, or none is needed.
 */
export async function delayOf(client: Client, description: WorkflowExecutionDescription): Promise<Delay | null> {
  const [call] = description.raw.pendingActivities ?? [];
  if (call?.lastFailure != null) {
    const { attempt, lastFailure, lastStartedTime, lastAttemptCompleteTime } = call;
    const { mayPostSince = null } = memoOf(description) ?? {};
    const since = mayPostSince === null ? '' : ` since ${new Date(mayPostSince.firstPostedAt).toISOString()}`;
    const reason = named(lastFailure.applicationFailureInfo?.type, lastFailure.message ?? 'unknown');
    const last = timeOf(lastAttemptCompleteTime ?? lastStartedTime);
    return { reason, text: `${reason} (attempt ${attempt}${since}; the last one failed at ${last})` };
  }
  const missing = (await unpolled(client, description.taskQueue)).join(' ');
  if (missing !== '') return { reason: missing, text: missing };
  if (call == null || call.lastStartedTime != null) return null;
  const reason = 'waits for its turn within the rate limit';
  return { reason, text: `${reason} (since ${timeOf(call.scheduledTime)})` };
}

function timeOf(time: { readonly seconds?: unknown } | null | undefined): string {
  return new Date(Number(time?.seconds ?? 0) * 1_000).toISOString();
}

/** A message with its code, unless it names it. */
export function named(code: string | null | undefined, message: string): string {
  return code == null || message.includes(code) ? message : `${code}: ${message}`;
}
