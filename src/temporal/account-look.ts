/** One look at the task queues of these Workers and at what is held, as the Service shows them. It changes nothing. */
import type { Client } from '@temporalio/client';
import { apiTaskQueue, type AccountLook } from '../contract/index.js';
import { countHeld, countRunning } from './held.js';
import { servedQueues } from './pollers.js';
import { queueAtService } from './queue-rate.js';

/** A look, with what moves all the time and stands in no memo. */
export interface LiveLook extends AccountLook {
  /** Calls a minute that left the API task queue lately. */
  readonly perMinute: number;
}

/** Looks at the queues of the Workers on `taskQueue`, for the account and for the command. */
export async function lookAtQueues(client: Client, taskQueue: string): Promise<LiveLook> {
  const [queues, queue, heldBy, running] = await Promise.all([
    servedQueues(client, taskQueue),
    queueAtService(client, apiTaskQueue(taskQueue)),
    countHeld(client, taskQueue),
    countRunning(client, taskQueue),
  ]);
  const pollersOf = (role: keyof AccountLook['pollers']): string[] => [
    ...new Set(queues.find((one) => one.role === role)?.pollers),
  ];
  const pollers = { workflows: pollersOf('workflows'), results: pollersOf('results'), api: pollersOf('api') };
  return { at: new Date().toISOString(), heldBy, running, ...queue, pollers };
}
