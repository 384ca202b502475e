/**
 * The lease: the right of one attempt of an Activity to act. It guarantees that no other attempt has begun while it is
 * held, so an acknowledged heartbeat can stand before a POST as a fence. `paidPost` and `rivyaCheck` hold one each. It
 * never aborts a request under way.
 */
import { Context, heartbeat, type Info } from '@temporalio/activity';
import { ActivityCancelledError } from '@temporalio/client';
import { CancelledFailure, type ActivitySerializationContext } from '@temporalio/common';
import { TIMEOUTS } from '../src/policy/index.js';

/** The Service starts no other attempt as long as it has heard from this one within the heartbeat timeout. */
export class Lease {
  #heardAt: Moment | null;
  #underWay: Promise<unknown> = Promise.resolve();

  /** @param since - When the Service handed out this attempt, in milliseconds: no other has begun then. Default: unknown. */
  constructor(since?: number) {
    this.#heardAt = since === undefined ? null : { clock: since, uptime: performance.now() - (Date.now() - since) };
  }

  /**
   * Sends a heartbeat that the Service acknowledges.
   * @throws where this attempt has been timed out, paused or cancelled.
   */
  async renew(details: unknown): Promise<void> {
    // One after the other: an early beat that arrives late would wipe out the fence.
    const sent = this.#underWay.then(() => this.#send(details));
    this.#underWay = sent.catch(() => undefined);
    return sent;
  }

  async #send(details: unknown): Promise<void> {
    const { client, info } = Context.current();
    // The lease counts from before the call: the Service may have taken the beat then.
    const sentAt = now();
    try {
      await client.activity.heartbeat(info.taskToken, details, { serializationContext: contextOf(info) });
    } catch (error) {
      if (error instanceof ActivityCancelledError) throw new CancelledFailure('Cancelled before the request was sent');
      throw error;
    }
    this.#heardAt = sentAt;
  }

  /** True while no other attempt can have begun; false after the process stood still, or the whole machine slept. */
  held(): boolean {
    if (this.#heardAt === null) return false;
    const { clock, uptime } = now();
    // One of the two clocks may stop while a machine sleeps; the other can be set by hand.
    const passed = Math.max(clock - this.#heardAt.clock, uptime - this.#heardAt.uptime);
    return passed < TIMEOUTS.leaseHeld;
  }

  /**
   * Repeats the heartbeat while `work` runs, so that a long request is not taken for a dead Worker. The same details
   * each time: a beat without them would wipe out the fence.
   */
  async keep<T>(details: unknown, work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      // The SDK counts the heartbeat timeout by itself, and only from beats of its own: without them it would throw away
      // an answer that comes later. After a cancel they are the only ones that get through.
      heartbeat(details);
      // A beat that is refused changes nothing here: a POST under way is never given up.
      void this.renew(details).catch(() => undefined);
    }, TIMEOUTS.heartbeatEvery);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }
}

/** The Activity that the details belong to: a codec may bind them to it, and the next attempt decodes them so. */
function contextOf({ namespace, activityId, workflowExecution, isLocal }: Info): ActivitySerializationContext {
  const workflow = workflowExecution === undefined ? {} : { workflowId: workflowExecution.workflowId };
  return { type: 'activity', namespace, activityId, ...workflow, isLocal };
}

interface Moment {
  readonly clock: number;
  readonly uptime: number;
}

function now(): Moment {
  return { clock: Date.now(), uptime: performance.now() };
}
