/**
 * The client of users' programs: starts generations, waits for them and steers them, over Temporal alone. It needs no API key,
 * and one Workflow ID is one paid generation, however often it is started.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import {
  ApplicationFailure,
  CancelledFailure,
  isGrpcServiceError,
  isRetryableError,
  ServiceError,
  TerminatedFailure,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import * as contract from './contract/index.js';
import * as policy from './policy/index.js';
import { describeRun, startOf } from './temporal/runs.js';
import { updateOrSignal } from './temporal/update.js';
import { userMetadata } from './temporal/user-metadata.js';

// SQL stores of a Temporal Service cap IDs at 255 bytes.
const WORKFLOW_ID_BYTES = 255;
// 80 bits. Where two requests met all the same, the second start would be refused: nothing is mixed up or paid.
const ID_HEX = 20;
// A Worker that runs answers a query within a second; after this the memo is the better answer.
const QUERY_TIMEOUT_MS = 3_000;
const BROKEN_OFF_MS = 1_000;

/** A generation that did not end with a result. `details` hold its task, key and credits, as far as they are known. */
export class GenerationError extends Error {
  override readonly name = 'GenerationError';
  /** Rivya's error code, one of `FAILURE`, or `Cancelled`, `Terminated`, `TimedOut`. */
  readonly code: string;
  readonly workflowId: string;
  readonly details: Partial<contract.FailureDetails>;
  constructor(workflowId: string, code: string, message: string, details: Partial<contract.FailureDetails> = {}) {
    super(message);
    this.workflowId = workflowId;
    this.code = code;
    this.details = details;
  }
}

export interface StartOptions {
  /** Workflow ID, at most 255 bytes. The same ID is the same paid generation; default: model, prompt and 10 random characters. */
  readonly workflowId?: string;
}

export class GenerationClient {
  readonly #client: Client;
  readonly #taskQueue: string;

  /** @param options - `taskQueue` of the Workers, default `rivya`. */
  constructor(client: Client, { taskQueue = contract.DEFAULT_TASK_QUEUE }: { taskQueue?: string } = {}) {
    this.#client = client;
    this.#taskQueue = taskQueue;
  }

  /**
   * Starts a generation, or attaches to the one that has this Workflow ID and the same input: a running one is waited for, a
   * completed one gives its stored result. Nothing is paid again.
   *
   * @throws InvalidInput naming the field; nothing was started.
   * @throws GenerationError of code `InputChanged` when the ID belongs to another input.
   */
  async start(input: contract.GenerateMediaInput, options: StartOptions = {}): Promise<GenerationHandle> {
    const generation = policy.readInput(input);
    const workflowId = options.workflowId ?? newWorkflowId(generation);
    checkWorkflowId(workflowId);
    try {
      await this.#client.workflow.start(contract.WORKFLOW_TYPE, {
        workflowId,
        taskQueue: this.#taskQueue,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
        ...userMetadata(generation),
      });
    } catch (error) {
      // It has completed: `result` gives its stored result.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    // The run with this ID may have been started by another call, with another input.
    await this.#refuseOtherInput(workflowId, policy.identityOf(generation));
    return this.handle(workflowId);
  }

  /** @param runId - One run, which has ended. Default: the latest, and those that follow it. */
  handle(workflowId: string, runId?: string): GenerationHandle {
    return new GenerationHandle(this.#client, workflowId, runId);
  }

  /** Refuses a Workflow that is no generation, or one with another input. */
  async #refuseOtherInput(workflowId: string, wanted: contract.InputIdentity): Promise<void> {
    const { type, input } = await startOf(this.#client, workflowId);
    if (type !== contract.WORKFLOW_TYPE) throw other(workflowId, `belongs to a Workflow of type ${type}`);
    let existing: contract.InputIdentity;
    try {
      existing = policy.identityOf(policy.readInput(input));
    } catch (error) {
      if (!(error instanceof policy.InvalidInput)) throw error;
      throw other(workflowId, `belongs to a generation that this version cannot compare (${error.problem})`);
    }
    if (!policy.isSameInput(wanted, existing)) throw other(workflowId, 'belongs to a generation with another input');
  }
}

function other(workflowId: string, what: string): GenerationError {
  const action = 'Choose another ID.';
  const code = contract.FAILURE.InputChanged;
  const message = `Workflow ID "${workflowId}" ${what}; nothing was started. ${contract.failureEnd(code, action)}`;
  return new GenerationError(workflowId, code, message, { action });
}

/** One generation by its Workflow ID. */
export class GenerationHandle {
  readonly workflowId: string;
  readonly #client: Client;
  readonly #runId: string | undefined;
  readonly #handle: WorkflowHandle;

  constructor(client: Client, workflowId: string, runId?: string) {
    this.workflowId = workflowId;
    this.#client = client;
    this.#runId = runId;
    // Without a run ID, so that a reset or a run that continued as new is followed.
    this.#handle = client.workflow.getHandle(workflowId, runId, { followRuns: runId === undefined });
  }

  /**
   * Waits for the result. A path to Temporal that breaks off, however often, does not end it as long as the state can be asked for.
   * @throws GenerationError when the generation did not succeed.
   * @throws WorkflowNotFoundError when there is no such ID.
   */
  async result(): Promise<contract.GenerationResult> {
    for (;;) {
      const { runId } = await this.describe();
      try {
        return (await this.#handle.result()) as contract.GenerationResult;
      } catch (error) {
        if (isBrokenOff(error)) {
          await sleep(BROKEN_OFF_MS);
          continue;
        }
        if (!(error instanceof WorkflowFailedError)) throw error;
        // A reset ends the old run as "terminated"; the ID then has another run.
        const latest = await this.describe();
        if (error.cause instanceof TerminatedFailure && latest.runId !== runId) continue;
        throw generationError(this.workflowId, error, memoOf(latest));
      }
    }
  }

  /** The state by query, or the memo where no Worker answers. */
  async state(): Promise<contract.GenerationState | contract.GenerationMemo | null> {
    try {
      return await this.#client.withDeadline(Date.now() + QUERY_TIMEOUT_MS, () =>
        this.#handle.query<contract.GenerationState>(contract.STATE_QUERY),
      );
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw error;
      return memoOf(await this.describe());
    }
  }

  /**
   * Lets a held generation go on. Where no Worker answers within 10 s, the request waits as a Signal until one does.
   * @throws GenerationError of code `InvalidInput`, saying why it cannot be resumed.
   */
  async resume(input: contract.ResumeInput = {}): Promise<'resumed' | 'sent'> {
    return this.#steer(contract.RESUME, input);
  }

  /** Checks the status as soon as the last check is 5 s old. */
  async checkNow(): Promise<'resumed' | 'sent'> {
    return this.#steer(contract.CHECK_NOW);
  }

  /**
   * Waits longer or less for the task, counted from the first submit, holds left out. It costs nothing: the task goes on at Rivya in
   * any case. While it waits for the task, the status is checked at once.
   * @param deadline - 1 s to 30 days, as "12h" or in milliseconds. A deadline that has passed ends the wait.
   * @throws GenerationError of code `InvalidInput`, saying what is wrong with it.
   */
  async changeDeadline(deadline: contract.Duration): Promise<'resumed' | 'sent'> {
    // A Signal that makes no sense would be ignored later, where no Worker answers now.
    try {
      policy.readDeadline({ deadline });
    } catch (error) {
      const problem = contract.failureEnd(contract.FAILURE.InvalidInput, (error as Error).message);
      throw new GenerationError(this.workflowId, contract.FAILURE.InvalidInput, problem);
    }
    return this.#steer(contract.CHANGE_DEADLINE, { deadline });
  }

  /** Stops waiting. The API has no cancel: a task that exists goes on at Rivya. */
  async cancel(): Promise<void> {
    await this.#handle.cancel();
  }

  async #steer(name: string, input: object = {}): Promise<'resumed' | 'sent'> {
    const refusal = (message: string) => new GenerationError(this.workflowId, contract.FAILURE.InvalidInput, message);
    try {
      const applied = await updateOrSignal(this.#client, this.#handle, name, input);
      return applied === null ? 'sent' : 'resumed';
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) throw refusal(error.cause?.message ?? error.message);
      if (error instanceof WorkflowNotFoundError) {
        // `describe` throws where there is no such ID; else its run has ended.
        const { status } = await this.describe();
        const why = `Workflow "${this.workflowId}" has ended (${status.name}), so there is nothing to steer.`;
        throw refusal(contract.failureEnd(contract.FAILURE.InvalidInput, why));
      }
      throw error;
    }
  }

  /** @throws WorkflowNotFoundError when there is no such ID. */
  async describe(): Promise<WorkflowExecutionDescription> {
    const description = await describeRun(this.#client, this.workflowId, this.#runId);
    if (description === null) throw new WorkflowNotFoundError('No such Workflow.', this.workflowId, this.#runId);
    return description;
  }
}

/** True where the SDK has repeated a call ten times, which a connection that lives for seconds uses up in minutes. */
function isBrokenOff(error: unknown): boolean {
  return error instanceof ServiceError && isGrpcServiceError(error.cause) && isRetryableError(error.cause);
}

export function memoOf(description: Pick<WorkflowExecutionDescription, 'memo'>): contract.GenerationMemo | null {
  return policy.readMemo(description.memo?.[contract.MEMO_FIELD]);
}

function generationError(workflowId: string, error: WorkflowFailedError, memo: contract.GenerationMemo | null) {
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<contract.FailureDetails>;
    return new GenerationError(workflowId, cause.type ?? 'Failed', cause.message, details);
  }
  const how =
    cause instanceof CancelledFailure ? 'Cancelled' : cause instanceof TerminatedFailure ? 'Terminated' : 'TimedOut';
  const { taskId, idempotencyKey, reservedCredits, finalCredits } = memo ?? contract.NOTHING_KNOWN;
  const action =
    taskId !== null
      ? `Task ${taskId} goes on at Rivya; wait for it without paying: rivya-temporal generate --model ${memo?.model} --task-id ${taskId}`
      : (memo?.mayPostSince ?? memo?.riskReason ?? null) !== null
        ? policy.UNRESOLVED_ENDED
        : 'No task ID was recorded. Start it again under the same Workflow ID: a task that exists is found and not paid again.';
  const message = `The Workflow has ended: ${how}. ${contract.failureEnd(how, action)}`;
  return new GenerationError(workflowId, how, message, {
    taskId,
    idempotencyKey,
    reservedCredits,
    finalCredits,
    action,
  });
}

/**
 * Refuses an ID under which nothing should be started.
 * @throws InvalidInput for an empty one or one above 255 bytes.
 */
export function checkWorkflowId(workflowId: string): void {
  if (workflowId.trim() === '') throw new policy.InvalidInput('workflowId', 'is empty');
  if (Buffer.byteLength(workflowId) > WORKFLOW_ID_BYTES) {
    throw new policy.InvalidInput('workflowId', `is longer than ${WORKFLOW_ID_BYTES} bytes`);
  }
}

/** A readable ID: model, start of the prompt, 10 random characters. */
export function newWorkflowId(request: Named): string {
  return readableId(request, randomBytes(5).toString('hex'));
}

/**
 * The ID that the same request gets in every release (`test/golden`), so that it is paid once however often it is started:
 * model, start of the prompt, a digest of all by which a start tells inputs apart. Labels and options do not count.
 */
export function workflowIdOfInput(generation: policy.Generation): string {
  const { taskId, ownKey, digest } = policy.identityOf(generation);
  // The ID alone identifies a task that exists.
  if (taskId !== null) return readableId({ model: 'task', prompt: taskId }, policy.digestOf(taskId).slice(0, ID_HEX));
  return readableId(generation, policy.digestOf(JSON.stringify([digest, ownKey])).slice(0, ID_HEX));
}

type Named = { readonly model: string; readonly prompt?: string | null };

function readableId({ model, prompt }: Named, end: string): string {
  return `${policy.slug(model, 40)}-${policy.slug((prompt ?? '').toLowerCase(), 32)}-${end}`;
}
