/** One look at the task queues of these Workers, at what is held, and at the account, as the Service shows them. It changes nothing. */
import type { Client } from '@temporalio/client';
import { ACCOUNT_QUERY, apiTaskQueue, type AccountLook, type AccountState } from '../contract/index.js';
import { readAccountMemo } from '../policy/account-memo.js';
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

/** What the account says itself, also of Signals that no memo has yet; null where no Worker answers within that time. */
export async function askAccount(client: Client, workflowId: string, withinMs: number): Promise<AccountState | null> {
  const query = async (): Promise<unknown> => client.workflow.getHandle(workflowId).query(ACCOUNT_QUERY);
  return readAccountMemo(await client.withDeadline(Date.now() + withinMs, query).catch(() => null));
}
