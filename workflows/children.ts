/**
 * The paid steps of a Workflow of yours: each is a child Workflow `<parent>/<step>`, which is started, or attached to where
 * an earlier run of yours has started it. Deterministic.
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
  type ChildWorkflowHandle,
  type Workflow,
} from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE, NOTHING_KNOWN } from '../src/contract/index.js';
import type { FailureDetails, InputIdentity } from '../src/contract/index.js';
import { InvalidInput, jsonBytes, TIMEOUTS } from '../src/policy/index.js';
import { activities } from './activities.js';
import { callEnd } from './failure.js';
import { invalidInput, orFailure, refuseRandomChild } from './input.js';

export interface StepOptions {
  /**
   * Name of this step, 1 to 200 characters without "/", used once in a run of your Workflow: the step is the child
   * `<parent>/<step>`, which is paid once. In a loop, or after continue-as-new, put the round into the name.
   */
  readonly step: string;
}

/** A paid step, checked and ready to be started. */
export interface PaidStep {
  readonly step: string;
  readonly workflowId: string;
  readonly workflowType: string;
  readonly input: unknown;
  readonly identity: InputIdentity;
  /** Default `rivya`. */
  readonly taskQueue: string | null;
  readonly title: string;
}

// SQL stores of a Temporal Service cap IDs at 255, here of any characters.
const WORKFLOW_ID_LENGTH = 255;
const STEP_LENGTH = 200;

// Module state is separate for each Workflow run in the sandbox.
const taken = new Set<string>();

/**
 * The Workflow ID of a step.
 * @throws ApplicationFailure `InvalidInput` for a name that cannot be one, or is in use.
 */
export function idOfStep(step: unknown, at = '', parent = ownId()): string {
  const problem = stepProblem(step, parent);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem), at);
  return `${parent}/${step as string}`;
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
  if (!taken.has(step)) return null;
  return `"${step}" is used twice in this Workflow, so both would get one paid task; give each its own name`;
}

/** A step that runs in a child of its own. */
export interface StartedStep<Result> {
  readonly workflowId: string;
  result(): Promise<Result>;
}

/** Starts a step, or attaches to it. What has failed may be run again under its name. */
export async function startStep<Result extends object>(paid: PaidStep): Promise<StartedStep<Result>> {
  const { step, workflowId } = paid;
  taken.add(step);
  try {
    const result = resultOf<Result>(paid, await start<Result>(paid));
    // Nobody has to ask for the result.
    result.catch(() => taken.delete(step));
    return { workflowId, result: () => result };
  } catch (error) {
    taken.delete(step);
    throw unwrapped(error, workflowId);
  }
}

type Handle<Result> = ChildWorkflowHandle<(...args: unknown[]) => Promise<Result>>;

// The Service ends a Workflow as terminated, for ever, when the commands of one Workflow Task pass 4 MB. A codec may make
// them larger than they are here.
const STARTING_BYTES = 1_000_000;
let starting = 0;

/** Starts the child; null where one is running or has completed. */
async function start<Result>(paid: PaidStep): Promise<Handle<Result> | null> {
  const { workflowId, workflowType, input, title } = paid;
  const bytes = jsonBytes(input);
  // Commands that the Service has not acknowledged may all be in one Workflow Task. The condition takes its place at once,
  // because several are asked before any of them goes on.
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
      staticSummary: title,
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  } finally {
    starting -= bytes;
  }
}

async function resultOf<Result extends object>(paid: PaidStep, started: Handle<Result> | null): Promise<Result> {
  for (let handle = started; ; handle = await start<Result>(paid)) {
    try {
      if (handle !== null) return await handle.result();
    } catch (error) {
      // A reset of the child says the same as its termination, so the ID is asked how it stands.
      if (!((error as Error).cause instanceof TerminatedFailure)) throw unwrapped(error, paid.workflowId);
    }
    const stored = await storedResult<Result>(paid);
    if (stored !== null) return stored;
    // It has failed since it refused to be started.
  }
}

/** What a child of an earlier run returned, when it has ended; null where it has failed and is to be started again. */
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
      // As if it were a child of this run.
      const handle = getExternalWorkflowHandle(workflowId);
      await CancellationScope.nonCancellable(() => handle.cancel()).catch(() => undefined);
    }
    throw isCancellation(error) ? error : unwrapped(error, workflowId);
  }
}

/** Links expire; where no file was stored, new ones are asked for. The old ones stay where there is no answer. */
async function freshLinks(result: unknown, taskQueue: string): Promise<object> {
  const { taskId, files } = result as { taskId?: string; files?: readonly unknown[] };
  if (taskId === undefined || files === undefined || files.length > 0) return {};
  try {
    const { rivyaCheck } = activities.check(taskQueue, `fresh links of ${taskId}`, TIMEOUTS.freshLinks);
    const { task } = await rivyaCheck({ taskId });
    return task.urls.length === 0 ? {} : { urls: task.urls, primaryUrl: task.urls[0] };
  } catch (error) {
    callEnd(error);
    return {};
  }
}

/** The failure of the step itself. */
function unwrapped(error: unknown, workflowId: string): unknown {
  const { cause } = error as { cause?: unknown };
  if (cause instanceof ApplicationFailure) return cause;
  if (!(error instanceof ChildWorkflowFailure)) return error;
  if (!(cause instanceof CancelledFailure)) return endedByOthers('Terminated', workflowId);
  // A cancellation of this Workflow stays one; that of the child alone is a failure.
  if (CancellationScope.current().consideredCancelled) return cause;
  return endedByOthers('Cancelled', workflowId, cause);
}

function endedByOthers(
  how: 'Cancelled' | 'Terminated',
  workflowId: string,
  cause?: CancelledFailure,
): ApplicationFailure {
  const known = cause?.details?.[0] as FailureDetails | undefined;
  const action = known?.action ?? 'Run the step again under its name: a task that exists is found and not paid again.';
  const details: FailureDetails = { ...NOTHING_KNOWN, ...known, code: how, action };
  const message = `Workflow ${workflowId} was ${how.toLowerCase()} by itself. ${action}`;
  return ApplicationFailure.create({
    type: how,
    message,
    nonRetryable: true,
    details: [details],
    ...(cause && { cause }),
  });
}
