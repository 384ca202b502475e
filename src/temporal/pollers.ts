/** Which Workers ask the Service for work. */
import type { Client } from '@temporalio/client';
import type { WorkerRole } from '../config.js';
import { apiTaskQueue } from '../contract/index.js';

// A Worker asks for work at least once a minute; Temporal lists it for five.
const FRESH_POLL_MS = 90_000;
// The Service's numbers for the two kinds of task queue.
const WORKFLOW_QUEUE = 1;
const ACTIVITY_QUEUE = 2;

/** What one role of Workers serves. */
export interface ServedQueue {
  readonly role: WorkerRole;
  readonly queue: string;
  /** Identities of the Workers that asked for work lately. */
  readonly pollers: readonly string[];
}

/** The queues of the three roles, and who polls them. */
export function servedQueues(
  client: Client,
  taskQueue: string,
  namespace = client.options.namespace,
): Promise<ServedQueue[]> {
  const queues = [
    ['workflows', taskQueue, WORKFLOW_QUEUE],
    ['results', taskQueue, ACTIVITY_QUEUE],
    ['api', apiTaskQueue(taskQueue), ACTIVITY_QUEUE],
  ] as const;
  const served = queues.map(async ([role, queue, type]) => {
    return { role, queue, pollers: await pollersOf(client, namespace, queue, type) };
  });
  return Promise.all(served);
}

/** A sentence for each role that no Worker has. */
export async function unpolled(client: Client, taskQueue: string): Promise<string[]> {
  const queues = await servedQueues(client, taskQueue);
  return queues.filter(({ pollers }) => pollers.length === 0).map(noWorkerOn);
}

export function noWorkerOn({ role, queue }: Pick<ServedQueue, 'role' | 'queue'>): string {
  return `No Worker with the role "${role}" polls task queue "${queue}", so nothing goes on there. Start one with: rivya-temporal worker`;
}

async function pollersOf(client: Client, namespace: string, name: string, taskQueueType: number): Promise<string[]> {
  const answer = await client.workflowService.describeTaskQueue({ namespace, taskQueue: { name }, taskQueueType });
  const oldest = Date.now() - FRESH_POLL_MS;
  return (answer.pollers ?? [])
    .filter(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1_000 > oldest)
    .map(({ identity }) => identity ?? '');
}
