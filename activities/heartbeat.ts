import { Context } from '@temporalio/activity';
import { ActivityCancelledError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { TIMEOUTS } from '../src/policy/index.js';

/**
 * Sends a heartbeat that the Service acknowledges. It throws when this attempt has been timed out, paused or
 * cancelled, so it can stand before a POST as a fence.
 */
export async function acknowledgedHeartbeat(details: unknown): Promise<void> {
  const { client, info } = Context.current();
  try {
    await client.activity.heartbeat(info.taskToken, details);
  } catch (error) {
    if (error instanceof ActivityCancelledError) throw new CancelledFailure('Cancelled before the request was sent');
    throw error;
  }
}

/**
 * Repeats the heartbeat while `work` runs, so that a long request is not taken for a dead Worker. The same details
 * each time: a beat without them would wipe out the fence.
 */
export async function whileBeating<T>(details: unknown, work: () => Promise<T>): Promise<T> {
  // A beat that is refused changes nothing here: a POST under way is never given up.
  const timer = setInterval(() => void acknowledgedHeartbeat(details).catch(() => undefined), TIMEOUTS.heartbeatEvery);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
