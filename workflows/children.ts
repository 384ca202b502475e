/**
 * The paid steps of a user's Workflow: each is a child Workflow `<parent>/<step>`. It guarantees that a step is paid
 * once in all runs of its Workflow: a child that an earlier run has started is waited for, or its stored result is
 * taken. `generate`, `generateAll` and `chat` call it. It submits nothing. Deterministic.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  startChild,
  TerminatedFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { ChildWorkflowHandle, Workflow } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE, failureEnd, NOTHING_KNOWN } from '../src/contract/index.js';
import type { FailureDetails, InputIdentity } from '../src/contract/index.js';
import { InvalidInput, jsonBytes, summaryOf, TIMEOUTS } from '../src/policy/index.js';
import { activities } from './activities.js';
import { callEnd } from './failure.js';
import { invalidInput, orFailure, refuseRandomChild } from './input.js';

export interface StepOptions {
  /**
   * Name of this step, 1 to 200 characters without "/", used once in a run of your Workflow: the step is the child
   * `<parent>/<step>`, which is paid once. In a loop, or after continue-as-new, put the round into the name.
   */
  readonly step: string;
  /**
   * One line for the Temporal UI, the static summary of the child. It is shortened to 220 bytes. Default: the model and the
   * start of the prompt, so give one where prompts are private.
   */
  readonly summary?: string;
}

/** A step whose input is checked, ready to be started. */
export interface PaidStep {
  readonly step: string;
  readonly workflowId: string;
  readonly workflowType: string;
  readonly input: unknown;
  readonly identity: InputIdentity;
  /** Default `rivya`. */
  readonly taskQueue: string | null;
  /** Summary and details for the Temporal UI. */
  readonly userMetadata: { readonly staticSummary: string; readonly staticDetails?: string };
}

// SQL stores of a Temporal Service limit IDs to 255 characters.
const WORKFLOW_ID_LENGTH = 255;
const STEP_LENGTH = 200;

// Names of the steps of this run. Module state is separate for each Workflow run in the sandbox.
const usedNames = new Set<string>();

/**
 * The Workflow ID of a step.
 * @throws ApplicationFailure `InvalidInput` for a name that cannot be one, or is in use.
 */
export function idOfStep(step: unknown, at = '', parent = ownId()): string {
  const problem = stepProblem(step, parent);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem), at);
  return `${parent}/${step as string}`;
}

/**
 * The static summary of a step.
 * @throws ApplicationFailure `InvalidInput` for one that is no text.
 */
export function summaryOfStep(summary: unknown, title: string, at = ''): string {
  if (summary === undefined) return title;
  if (typeof summary === 'string') return summaryOf(summary.replace(/\s+/g, ' ').trim()) || title;
  throw invalidInput(new InvalidInput('summary', 'must be a text'), at);
}

function ownId(): string {
  orFailure('', () => refuseRandomChild());
  return workflowInfo().workflowId;
}

function stepProblem(step: unknown, parent: string): string | null {
  if (typeof step !== 'string' || step.trim() === '') return 'is missing; name each generation of a Workflow';
  if (step.length > STEP_LENGTH || !step.isWellFormed() || /\p{Cc}/u.test(step)) {
    return `must be at most ${STEP_LENGTH} characters of text without control characters`;
  }
  // Step "b/c" of "a" and step "c" of "a/b" would be one paid task.
  if (step.includes('/')) return 'must not hold "/", which stands between the ID of the Workflow and the step';
  if (parent.length + 1 + step.length > WORKFLOW_ID_LENGTH) {
    return `makes a Workflow ID of more than ${WORKFLOW_ID_LENGTH} characters (<this Workflow>/<step>)`;
  }
  if (!usedNames.has(step)) return null;
  return `"${step}" is used twice in this Workflow, so both would get one paid task; give each its own name`;
}

/** A step that runs in a child of its own. */
export interface StartedStep<Result> {
  /** `<parent>/<step>`. */
  readonly workflowId: string;
  /**
   * Waits for the result; may be called more than once, or never.
   * @throws ApplicationFailure as `generate` does.
   */
  result(): Promise<Result>;
}

/** Starts a step, or attaches to its child. A step that has failed may be run again under its name. */
export async function startStep<Result extends object>(paid: PaidStep): Promise<StartedStep<Result>> {
  const { step, workflowId } = paid;
  usedNames.add(step);
  try {
    const result = childResult<Result>(paid, await startOrAttach<Result>(paid));
    // A caller need not ask for the result.
    result.catch(() => usedNames.delete(step));
    return { workflowId, result: () => result };
  } catch (error) {
    usedNames.delete(step);
    throw stepFailure(error, workflowId);
  }
}

type Handle<Result> = ChildWorkflowHandle<(...args: unknown[]) => Promise<Result>>;

// The Service terminates a Workflow, for ever, when the commands of one Workflow Task pass 4 MB. A codec may enlarge them.
const STARTING_BYTES = 1_000_000;
let starting = 0;

/** Starts the child; null where a child of this ID is running or has completed. */
async function startOrAttach<Result>(paid: PaidStep): Promise<Handle<Result> | null> {
  const { workflowId, workflowType, input, userMetadata } = paid;
  const bytes = jsonBytes(input);
  // Commands that the Service has not acknowledged may all be in one Workflow Task. The condition itself counts the bytes,
  // because several conditions can become true before the first of their steps goes on.
  await condition(() => {
    if (starting > 0 && starting + bytes > STARTING_BYTES) return false;
    starting += bytes;
    return true;
  });
  try {
    return await startChild<Workflow>(workflowType, {
      workflowId,
      taskQueue: paid.taskQueue ?? DEFAULT_TASK_QUEUE,
      args: [input],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      // A paid wait never ends because a pipeline does.
      parentClosePolicy: 'ABANDON',
      ...userMetadata,
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  } finally {
    starting -= bytes;
  }
}

async function childResult<Result extends object>(paid: PaidStep, started: Handle<Result> | null): Promise<Result> {
  for (let handle = started; ; handle = await startOrAttach<Result>(paid)) {
    try {
      if (handle !== null) return await handle.result();
    } catch (error) {
      // Temporal reports a reset of the child as its termination, so the latest run of the ID is looked at.
      if (!((error as Error).cause instanceof TerminatedFailure)) throw stepFailure(error, paid.workflowId);
    }
    const stored = await storedResult<Result>(paid);
    if (stored !== null) return stored;
    // The child was open when it was to be started, and has failed since: it is started again.
  }
}

/** Waits for a child of an earlier run and returns its result; null where the child has failed and may be started again. */
async function storedResult<Result extends object>(paid: PaidStep): Promise<Result | null> {
  const { workflowId, workflowType, identity } = paid;
  const taskQueue = paid.taskQueue ?? DEFAULT_TASK_QUEUE;
  try {
    const { rivyaResult } = activities.result(taskQueue, `result of ${workflowId}, which was started before`);
    const { status, result } = await rivyaResult({ workflowId, workflowType, identity });
    if (status === 'CANCELLED') throw endedByOthers('Cancelled', workflowId);
    if (status === 'TERMINATED') throw endedByOthers('Terminated', workflowId);
    if (result === undefined) return null;
    return { ...(result as Result), ...(await freshLinks(result, taskQueue)), reused: true };
  } catch (error) {
    if (isCancellation(error)) {
      // This child belongs to an earlier run, so Temporal does not cancel it with this scope.
      const handle = getExternalWorkflowHandle(workflowId);
      await CancellationScope.nonCancellable(() => handle.cancel()).catch(() => undefined);
    }
    throw isCancellation(error) ? error : stepFailure(error, workflowId);
  }
}

/** New links for a result without files, because links expire. Without an answer the old links stay. */
async function freshLinks(result: unknown, taskQueue: string): Promise<object> {
  const { taskId, files } = result as { taskId?: string; files?: readonly unknown[] };
  if (taskId === undefined || files === undefined || files.length > 0) return {};
  try {
    const { rivyaCheck } = activities.check(taskQueue, `fresh links of ${taskId}`, TIMEOUTS.freshLinks);
    const { task } = await rivyaCheck({ taskId });
    return task.urls.length === 0 ? {} : { urls: task.urls, primaryUrl: task.urls[0] };
  } catch (error) {
    // Throws a cancellation on.
    callEnd(error);
    return {};
  }
}

/** The failure of the step without the layers that Temporal puts around it. */
function stepFailure(error: unknown, workflowId: string): unknown {
  const { cause } = error as { cause?: unknown };
  if (cause instanceof ApplicationFailure) return cause;
  if (!(error instanceof ChildWorkflowFailure)) return error;
  if (!(cause instanceof CancelledFailure)) return endedByOthers('Terminated', workflowId);
  // A cancellation of this Workflow stays one; that of the child alone is a failure.
  if (CancellationScope.current().consideredCancelled) return cause;
  return endedByOthers('Cancelled', workflowId, cause);
}

/** What to do after a step that ended without a result. */
export const RUN_STEP_AGAIN = 'Run the step again under its name: a task that exists is found and not paid again.';

/** A person has cancelled or terminated the child, and not this Workflow. */
function endedByOthers(how: 'Cancelled' | 'Terminated', workflowId: string, cause?: CancelledFailure) {
  const known = cause?.details?.[0] as FailureDetails | undefined;
  const action = known?.action ?? RUN_STEP_AGAIN;
  const message = `Workflow ${workflowId} was ${how.toLowerCase()} by itself. ${failureEnd(how, action)}`;
  const details = [{ ...NOTHING_KNOWN, ...known, code: how, action } satisfies FailureDetails];
  return ApplicationFailure.create({ type: how, message, nonRetryable: true, details, ...(cause && { cause }) });
}
