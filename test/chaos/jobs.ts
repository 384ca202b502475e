/** One generation as a user's program runs it: start, perhaps interfere, wait; through every outage of the server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { GenerationClient, GenerationError } from '../../src/client.js';
import type { GenerationResult } from '../../src/contract/index.js';
import { resetToStart } from '../support/reset.js';
import type { Job } from './plan.js';

export interface Outcome {
  readonly job: Job;
  readonly result: GenerationResult | null;
  /** Why there is no result. */
  readonly error: string | null;
}

type Persistent = <T>(call: () => Promise<T>) => Promise<T>;

/** Between two tries of a call while a server is down. */
const RETRY_MS = 500;

/** Runs a job to its end. Never throws: what went wrong is the outcome. */
export async function runJob(job: Job, client: Client, signal: AbortSignal): Promise<Outcome> {
  const generations = new GenerationClient(client);
  const persistent: Persistent = (call) => untilAnswered(call, signal);
  const start = () => persistent(() => generations.start(job.input, { workflowId: job.workflowId }));
  try {
    const generation = await start();
    await sleep(job.storyAfterMs);
    await interfere(job, client, start, persistent);
    const result = await persistent(() => generation.result());
    return { job, result, error: null };
  } catch (error) {
    return { job, result: null, error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}

async function interfere(
  { story, workflowId }: Job,
  client: Client,
  start: () => Promise<unknown>,
  persistent: Persistent,
): Promise<void> {
  const handle = client.workflow.getHandle(workflowId);
  // What has ended already cannot be stopped, and need not be.
  const ifItRuns = (call: () => Promise<unknown>): Promise<unknown> =>
    persistent(() =>
      call().catch((error: unknown) => {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }),
    );
  switch (story) {
    case 'left alone':
    case 'first task fails':
      return;
    case 'woken for a check':
      for (let n = 0; n < 5; n++) {
        await ifItRuns(() => handle.signal('checkNow'));
        await sleep(1_000);
      }
      return;
    case 'cancelled and started again':
      await ifItRuns(() => handle.cancel());
      await persistent(async () => {
        // Cancelled is only what has ended: a POST under way is let end first.
        while ((await handle.describe()).status.name === 'RUNNING') await sleep(RETRY_MS);
      });
      await start();
      return;
    case 'terminated and started again':
      await ifItRuns(() => handle.terminate('chaos'));
      await start();
      return;
    case 'reset to its first Workflow Task':
      await persistent(() => resetToStart(client, workflowId));
  }
}

/** Repeats a call until it is answered. What the product itself says is an answer. */
async function untilAnswered<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof GenerationError || error instanceof TypeError) throw error;
    }
    signal.throwIfAborted();
    await sleep(RETRY_MS);
  }
}
