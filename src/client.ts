import { randomBytes } from 'node:crypto';
import {
  ApplicationFailure,
  CancelledFailure,
  TerminatedFailure,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import {
  CHECK_NOW,
  DEFAULT_TASK_QUEUE,
  FAILURE,
  MEMO_FIELD,
  RESUME,
  STATE_QUERY,
  WORKFLOW_TYPE,
  type FailureDetails,
  type GenerateMediaInput,
  type GenerationMemo,
  type GenerationResult,
  type GenerationState,
  type InputIdentity,
  type ResumeInput,
} from './contract/index.js';
import {
  identityOf,
  InvalidInput,
  isSameInput,
  readInput,
  readMemo,
  slug,
  titleOf,
  UNRESOLVED_ENDED,
} from './policy/index.js';
import { describeRun, startOf } from '../activities/runs.js';

// SQL stores of a Temporal Service cap IDs at 255 bytes.
const WORKFLOW_ID_BYTES = 255;
// A Worker that runs answers a query within a second; after this the memo is the better answer.
const QUERY_TIMEOUT_MS = 3_000;
// An Update needs a Worker; a Signal can wait for one.
const UPDATE_TIMEOUT_MS = 10_000;

/** A generation that did not end with a result. `details` say what is known of the task and the money. */
export class GenerationError extends Error {
  override readonly name = 'GenerationError';
  /** Rivya's error code, one of `FAILURE`, or `Cancelled`, `Terminated`, `TimedOut`. */
  readonly code: string;
  readonly workflowId: string;
  readonly details: Partial<FailureDetails>;
  constructor(workflowId: string, code: string, message: string, details: Partial<FailureDetails> = {}) {
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

/** Starts generations and waits for them. Needs Temporal, not the API key. */
export class GenerationClient {
  readonly #client: Client;
  readonly #taskQueue: string;

  /** @param options - `taskQueue` of the Workers, default `rivya`. */
  constructor(client: Client, { taskQueue = DEFAULT_TASK_QUEUE }: { taskQueue?: string } = {}) {
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
  async start(input: GenerateMediaInput, options: StartOptions = {}): Promise<GenerationHandle> {
    const generation = readInput(input);
    const workflowId = options.workflowId ?? newWorkflowId(generation);
    checkWorkflowId(workflowId);
    try {
      await this.#client.workflow.start(WORKFLOW_TYPE, {
        workflowId,
        taskQueue: this.#taskQueue,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
        staticSummary: titleOf(generation),
      });
    } catch (error) {
      // It has completed: its result is the result.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    // The run that has the ID now may be one that somebody else has started.
    await this.#refuseOther(workflowId, identityOf(generation));
    return this.handle(workflowId);
  }

  /** @param runId - One run, which has ended. Default: the latest, and those that follow it. */
  handle(workflowId: string, runId?: string): GenerationHandle {
    return new GenerationHandle(this.#client, workflowId, runId);
  }

  /** Refuses to take a Workflow for what it is not. */
  async #refuseOther(workflowId: string, wanted: InputIdentity): Promise<void> {
    const { type, input } = await startOf(this.#client, workflowId);
    if (type !== WORKFLOW_TYPE) throw other(workflowId, `belongs to a Workflow of type ${type}`);
    let existing: InputIdentity;
    try {
      existing = identityOf(readInput(input));
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      throw other(workflowId, `belongs to a generation that this version cannot compare (${error.problem})`);
    }
    if (!isSameInput(wanted, existing)) throw other(workflowId, 'belongs to a generation with another input');
  }
}

function other(workflowId: string, what: string): GenerationError {
  const message = `Workflow ID "${workflowId}" ${what}. Choose another ID; nothing was started.`;
  return new GenerationError(workflowId, FAILURE.InputChanged, message);
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
   * Waits for the result.
   * @throws GenerationError when the generation did not succeed.
   * @throws WorkflowNotFoundError when there is no such ID.
   */
  async result(): Promise<GenerationResult> {
    for (;;) {
      const { runId } = await this.describe();
      try {
        return (await this.#handle.result()) as GenerationResult;
      } catch (error) {
        if (!(error instanceof WorkflowFailedError)) throw error;
        // A reset ends the old run as "terminated"; the ID then has another run.
        const latest = await this.describe();
        if (error.cause instanceof TerminatedFailure && latest.runId !== runId) continue;
        throw generationError(this.workflowId, error, memoOf(latest));
      }
    }
  }

  /** The state by query, or what the memo says when no Worker answers. */
  async state(): Promise<GenerationState | GenerationMemo | null> {
    try {
      return await this.#client.withDeadline(Date.now() + QUERY_TIMEOUT_MS, () =>
        this.#handle.query<GenerationState>(STATE_QUERY),
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
  async resume(input: ResumeInput = {}): Promise<'resumed' | 'sent'> {
    return (await this.#steer(RESUME, input)) ? 'resumed' : 'sent';
  }

  /** Has the status checked as soon as the last check is 5 s old. */
  async checkNow(): Promise<'resumed' | 'sent'> {
    return (await this.#steer(CHECK_NOW)) ? 'resumed' : 'sent';
  }

  /** Stops waiting. The API has no cancel: a task that exists goes on at Rivya. */
  async cancel(): Promise<void> {
    await this.#handle.cancel();
  }

  /** True when a Worker has applied it; false when it was left as a Signal. */
  async #steer(name: string, input: ResumeInput = {}): Promise<boolean> {
    try {
      await this.#client.withDeadline(Date.now() + UPDATE_TIMEOUT_MS, () =>
        this.#handle.executeUpdate(name, { args: [input] }),
      );
      return true;
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) {
        throw new GenerationError(this.workflowId, FAILURE.InvalidInput, error.cause?.message ?? error.message);
      }
      if (error instanceof WorkflowNotFoundError) {
        // There is such an ID, or this throws: what is not found is a run that could be steered.
        const { status } = await this.describe();
        const message = `Workflow "${this.workflowId}" has ended (${status.name}), so there is nothing to steer.`;
        throw new GenerationError(this.workflowId, FAILURE.InvalidInput, message);
      }
      if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
      await this.#handle.signal(name, input);
      return false;
    }
  }

  /** What the Service knows of the Workflow. */
  async describe(): Promise<WorkflowExecutionDescription> {
    const description = await describeRun(this.#client, this.workflowId, this.#runId);
    if (description === null) throw new WorkflowNotFoundError('No such Workflow.', this.workflowId, this.#runId);
    return description;
  }
}

export function memoOf(description: Pick<WorkflowExecutionDescription, 'memo'>): GenerationMemo | null {
  return readMemo(description.memo?.[MEMO_FIELD]);
}

function generationError(workflowId: string, error: WorkflowFailedError, memo: GenerationMemo | null): GenerationError {
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
    return new GenerationError(workflowId, cause.type ?? 'Failed', cause.message, details);
  }
  const how =
    cause instanceof CancelledFailure ? 'Cancelled' : cause instanceof TerminatedFailure ? 'Terminated' : 'TimedOut';
  const taskId = memo?.taskId ?? null;
  const next =
    taskId !== null
      ? `Task ${taskId} goes on at Rivya; take it up without paying: rivya-temporal generate --model ${memo?.model} --task-id ${taskId}`
      : (memo?.mayPostSince ?? memo?.riskReason ?? null) !== null
        ? UNRESOLVED_ENDED
        : 'No task ID was recorded. Start it again under the same Workflow ID: a task that exists is found and not paid again.';
  return new GenerationError(workflowId, how, `The Workflow has ended: ${how}. ${next}`, {
    taskId,
    idempotencyKey: memo?.idempotencyKey ?? null,
    reservedCredits: memo?.reservedCredits ?? null,
    finalCredits: memo?.finalCredits ?? null,
    action: next,
  });
}

/**
 * Refuses an ID under which nothing should be started.
 * @throws InvalidInput for an empty one or one above 255 bytes.
 */
export function checkWorkflowId(workflowId: string): void {
  if (workflowId.trim() === '') throw new InvalidInput('workflowId', 'is empty');
  if (Buffer.byteLength(workflowId) > WORKFLOW_ID_BYTES) {
    throw new InvalidInput('workflowId', `is longer than ${WORKFLOW_ID_BYTES} bytes`);
  }
}

/** An ID that reads well in the list of the UI: model, start of the prompt, 10 random characters. */
export function newWorkflowId({ model, prompt }: { model: string; prompt?: string | null }): string {
  const words = slug((prompt ?? '').toLowerCase(), 32);
  return `${slug(model, 40)}-${words}-${randomBytes(5).toString('hex')}`;
}
