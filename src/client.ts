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
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import {
  CHECK_NOW,
  DEFAULT_TASK_QUEUE,
  FAILURE,
  earlierIn,
  MEMO_FIELD,
  RESUME,
  STATE_QUERY,
  taskIn,
  WORKFLOW_TYPE,
  type FailureDetails,
  type GenerateMediaInput,
  type GenerationMemo,
  type GenerationResult,
  type GenerationState,
  type ResumeInput,
} from './contract/index.js';
import {
  InvalidInput,
  readInput,
  sameReferences,
  slug,
  titleOf,
  UNRESOLVED_ENDED,
  type Generation,
} from './policy/index.js';

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
   * Starts a generation, or attaches to the one that has this Workflow ID and the same input. A generation that has
   * completed is not paid again, except with a larger `take`.
   *
   * @throws InvalidInput naming the field; nothing was started.
   * @throws GenerationError of code `InputChanged` when the ID belongs to another input.
   */
  async start(input: GenerateMediaInput, options: StartOptions = {}): Promise<GenerationHandle> {
    const generation = readInput(input);
    const workflowId = options.workflowId ?? newWorkflowId(generation);
    checkWorkflowId(workflowId);
    const previous = await this.#latestInput(workflowId);
    if (previous !== null) refuseOther(workflowId, previous, generation);
    const again = previous !== null && generation.take > previous.input.take;
    try {
      await this.#client.workflow.start(WORKFLOW_TYPE, {
        workflowId,
        taskQueue: this.#taskQueue,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: again ? 'ALLOW_DUPLICATE' : 'ALLOW_DUPLICATE_FAILED_ONLY',
        staticSummary: titleOf(generation),
      });
    } catch (error) {
      // It has completed: its result is the result.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    // Somebody else may have started the same ID in between.
    const running = await this.#latestInput(workflowId);
    if (running !== null) refuseOther(workflowId, running, generation);
    return this.handle(workflowId);
  }

  handle(workflowId: string): GenerationHandle {
    return new GenerationHandle(this.#client, workflowId);
  }

  async #latestInput(workflowId: string): Promise<Latest | null> {
    const handle = this.#client.workflow.getHandle(workflowId);
    try {
      const { type, runId, status } = await handle.describe();
      if (type !== WORKFLOW_TYPE) {
        throw new GenerationError(
          workflowId,
          FAILURE.InputChanged,
          `Workflow ID "${workflowId}" belongs to a Workflow of type ${type}. Choose another ID; nothing was started.`,
        );
      }
      const { namespace, loadedDataConverter } = this.#client.options;
      const { history } = await this.#client.workflowService.getWorkflowExecutionHistory({
        namespace,
        execution: { workflowId, runId },
        maximumPageSize: 1,
      });
      const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
      const input = await decodeFromPayloadsAtIndex<unknown>(loadedDataConverter, 0, payloads, {
        type: 'workflow',
        namespace,
        workflowId,
      });
      return latestOf(workflowId, status.name, input);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  }
}

interface Latest {
  readonly status: WorkflowExecutionDescription['status']['name'];
  readonly input: Generation;
}

/** The latest run of an ID with its input; null where the input was refused, which paid for nothing and binds nobody. */
function latestOf(workflowId: string, status: Latest['status'], input: unknown): Latest | null {
  try {
    return { status, input: readInput(input) };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    if (status === 'FAILED') return null;
    throw other(workflowId, `belongs to a generation that this version cannot compare (${error.problem})`);
  }
}

/** Refuses to take a run for what it is not. A run that failed is started anew, so only its body counts. */
function refuseOther(workflowId: string, { status, input }: Latest, wanted: Generation): void {
  const attaches = status === 'RUNNING' || status === 'COMPLETED';
  // A wait for a task that somebody named has paid for nothing, so once it has ended it binds nobody.
  if (!attaches && input.taskId !== null) return;
  // A larger take after the end is a new generation.
  if (wanted.take > input.take && status !== 'RUNNING') return;
  const take = `is at take ${input.take}${status === 'RUNNING' ? ' and still runs. Wait for it' : '. Ask for it'}, or for a larger take`;
  if (wanted.take !== input.take && (attaches || wanted.take < input.take)) throw other(workflowId, take);
  // A task that is taken up needs no prompt, and has no key; what names it is its ID.
  const same =
    wanted.taskId !== null
      ? !attaches || wanted.taskId === input.taskId
      : wanted.body === input.body &&
        sameReferences(wanted.references, input.references) &&
        (input.taskId !== null || wanted.ownKey === input.ownKey);
  if (same) return;
  const body =
    'belongs to a generation with another input. Choose another ID, or a larger take to pay for this input under the same ID';
  throw other(workflowId, body);
}

function other(workflowId: string, what: string): GenerationError {
  const message = `Workflow ID "${workflowId}" ${what}; nothing was started.`;
  return new GenerationError(workflowId, FAILURE.InputChanged, message);
}

/** One generation by its Workflow ID. */
export class GenerationHandle {
  readonly workflowId: string;
  readonly #client: Client;
  readonly #handle: WorkflowHandle;

  constructor(client: Client, workflowId: string) {
    this.workflowId = workflowId;
    this.#client = client;
    // Without a run ID, so that a reset or a run that continued as new is followed.
    this.#handle = client.workflow.getHandle(workflowId);
  }

  /**
   * Waits for the result.
   * @throws GenerationError when the generation did not succeed.
   * @throws WorkflowNotFoundError when there is no such ID.
   */
  async result(): Promise<GenerationResult> {
    for (;;) {
      const { runId } = await this.#handle.describe();
      try {
        return (await this.#handle.result()) as GenerationResult;
      } catch (error) {
        if (!(error instanceof WorkflowFailedError)) throw error;
        // A reset ends the old run as "terminated"; the ID then has another run.
        const latest = await this.#handle.describe();
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
      return memoOf(await this.#handle.describe());
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
        const { status } = await this.#handle.describe();
        const message = `Workflow "${this.workflowId}" has ended (${status.name}), so there is nothing to steer.`;
        throw new GenerationError(this.workflowId, FAILURE.InvalidInput, message);
      }
      if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
      await this.#handle.signal(name, input);
      return false;
    }
  }

  /** What the Service knows of the Workflow. */
  describe(): Promise<WorkflowExecutionDescription> {
    return this.#handle.describe();
  }
}

export function memoOf(description: Pick<WorkflowExecutionDescription, 'memo'>): GenerationMemo | null {
  const memo = description.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | null | undefined;
  if (typeof memo !== 'object' || memo === null) return null;
  return { ...memo, earlier: earlierIn(memo) } as GenerationMemo;
}

function generationError(workflowId: string, error: WorkflowFailedError, memo: GenerationMemo | null): GenerationError {
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
    return new GenerationError(workflowId, cause.type ?? 'Failed', cause.message, details);
  }
  const how =
    cause instanceof CancelledFailure ? 'Cancelled' : cause instanceof TerminatedFailure ? 'Terminated' : 'TimedOut';
  const taskId = taskIn(memo ?? {});
  const next =
    taskId !== null
      ? `Task ${taskId} goes on at Rivya; take it up without paying: rivya-temporal generate --model ${memo?.model} --task-id ${taskId}`
      : (memo?.unanswered ?? null) !== null || memo?.riskAccepted === true
        ? UNRESOLVED_ENDED
        : 'No task ID was recorded. Start it again under the same Workflow ID: a task that exists is found by its key.';
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
