/** The Workflow `rivyaBatch` as the commands start it, look at it and steer it. */
import type { Client } from '@temporalio/client';
import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { BATCH_MEMO_FIELD, BATCH_QUERY, BATCH_WORKFLOW_TYPE, isOpen } from '../contract/index.js';
import type { BatchInput, BatchRequests, BatchState } from '../contract/index.js';
import { failingTaskProblem } from '../temporal/pending.js';
import { describeRun } from '../temporal/runs.js';
import { updateOrSignal } from '../temporal/update.js';
import { UsageError } from './errors.js';

// Without it a connection that died while the computer slept would answer nothing for long.
const LOOK_TIMEOUT_MS = 20_000;
const QUERY_TIMEOUT_MS = 3_000;

export interface SeenBatch {
  readonly state: BatchState | null;
  readonly isRunning: boolean;
  /** True where the Workflow has said it itself: its memo may be a minute old. */
  readonly isFresh: boolean;
  /** That its Workflow Tasks fail, and why; null where they do not. */
  readonly problem: string | null;
  /** Of its latest run, in the words of the Service. */
  readonly status: string;
}

export class BatchHandle {
  readonly batchId: string;
  readonly #client: Client;
  readonly #taskQueue: string;

  constructor(client: Client, batchId: string, taskQueue: string) {
    this.batchId = batchId;
    this.#client = client;
    this.#taskQueue = taskQueue;
  }

  /** Null where Temporal has no such Workflow. @throws UsageError where the ID belongs to a Workflow of another type. */
  async look(): Promise<SeenBatch | null> {
    const run = await this.#client.withDeadline(Date.now() + LOOK_TIMEOUT_MS, () =>
      describeRun(this.#client, this.batchId),
    );
    if (run === null) return null;
    if (run.type !== BATCH_WORKFLOW_TYPE) {
      throw new UsageError(
        `--id: the Workflow ID "${this.batchId}" belongs to a Workflow of type ${run.type}. Choose another ID. Nothing was paid.`,
      );
    }
    const memo = (run.memo?.[BATCH_MEMO_FIELD] ?? null) as BatchState | null;
    const isRunning = isOpen(run.status.name);
    const fresh = isRunning ? await this.#query() : null;
    const problem = isRunning ? await failingTaskProblem(this.#client, run) : null;
    return { state: fresh ?? memo, isRunning, isFresh: fresh !== null, problem, status: run.status.name };
  }

  /** Null where no Worker answers. */
  async #query(): Promise<BatchState | null> {
    const handle = this.#client.workflow.getHandle(this.batchId);
    const query = (): Promise<BatchState> => handle.query<BatchState>(BATCH_QUERY);
    return this.#client.withDeadline(Date.now() + QUERY_TIMEOUT_MS, query).catch(() => null);
  }

  /** Starts it, also where it has ended before. False where it runs already. */
  async start(input: BatchInput): Promise<boolean> {
    try {
      await this.#client.workflow.start(BATCH_WORKFLOW_TYPE, {
        workflowId: this.batchId,
        taskQueue: this.#taskQueue,
        args: [input],
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `Batch ${this.batchId}`,
      });
      return true;
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
      throw error;
    }
  }

  /**
   * Sends an Update. Returns its answer; null where no Worker answers within 10 s, so that it waits as a Signal.
   * @throws UsageError with what its validator says, or where the batch does not run.
   */
  async request<Name extends keyof BatchRequests>(name: Name, argument?: BatchRequests[Name]): Promise<string | null> {
    const handle = this.#client.workflow.getHandle(this.batchId);
    try {
      const applied = await updateOrSignal(this.#client, handle, name, argument);
      return applied === null ? null : (applied.answer as string);
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) throw new UsageError(error.cause?.message ?? error.message);
      if (error instanceof WorkflowNotFoundError) throw new UsageError(`Batch "${this.batchId}" does not run.`);
      throw error;
    }
  }

  /** Starts nothing more; items that run go on. */
  async cancel(): Promise<void> {
    await this.#client.workflow.getHandle(this.batchId).cancel();
  }
}

/** Ends a run that no command leads any more, before a Worker goes on with it. Its items run on, and the next start finds them. */
export async function endLeft(client: Client, batchId: string): Promise<void> {
  const run = await describeRun(client, batchId);
  if (run === null || run.type !== BATCH_WORKFLOW_TYPE || !isOpen(run.status.name)) return;
  await client.workflow.getHandle(batchId).terminate('The command that ran it has ended, and another one goes on.');
}
