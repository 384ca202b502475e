/** The Workers that ask the Service for work, by role. */
import type { Client } from '@temporalio/client';
import type { WorkerRole } from '../config.js';
import { apiTaskQueue } from '../contract/index.js';

// A Worker asks for work at least once a minute; Temporal lists it for five.
const FRESH_POLL_MS = 90_000;
// The Service's numbers for the two kinds of task queue.
const [WORKFLOW_QUEUE, ACTIVITY_QUEUE] = [1, 2];

/** The task queue of one role. */
export interface ServedQueue {
  readonly role: WorkerRole;
  readonly queue: string;
  /** Identities of the Workers that asked for work lately. */
  readonly pollers: readonly string[];
}

/** The task queue of each role, and the Workers that poll it. */
export function servedQueues(client: Client, taskQueue: string, namespace = client.options.namespace) {
  const served = async (role: WorkerRole, queue: string, taskQueueType: number): Promise<ServedQueue> => {
    const asked = { namespace, taskQueue: { name: queue }, taskQueueType };
    const { pollers } = await client.workflowService.describeTaskQueue(asked);
    const oldest = Date.now() - FRESH_POLL_MS;
    const fresh = pollers?.filter(({ lastAccessTime: time }) => Number(time?.seconds ?? 0) * 1_000 > oldest) ?? [];
    return { role, queue, pollers: fresh.map(({ identity }) => identity ?? '') };
  };
  return Promise.all([
    served('workflows', taskQueue, WORKFLOW_QUEUE),
    served('results', taskQueue, ACTIVITY_QUEUE),
    served('api', apiTaskQueue(taskQueue), ACTIVITY_QUEUE),
  ]);
}

/** A sentence for each role that no Worker has. */
export async function unpolled(client: Client, taskQueue: string): Promise<string[]> {
  const queues = await servedQueues(client, taskQueue);
  return queues.filter(({ pollers }) => pollers.length === 0).map(noWorkerOn);
}

export function noWorkerOn({ role, queue }: Pick<ServedQueue, 'role' | 'queue'>): string {
  return `No Worker with the role "${role}" polls task queue "${queue}", so nothing goes on there. Start one with: rivya-temporal worker`;
}
