import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  getExternalWorkflowHandle,
  isCancellation,
  startChild,
  workflowInfo,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import {
  DEFAULT_TASK_QUEUE,
  NOTHING_KNOWN,
  WORKFLOW_TYPE,
  type FailureDetails,
  type GenerateMediaInput,
  type GenerationResult,
} from '../src/contract/index.js';
import { bodyDigest, InvalidInput, titleOf, type Generation } from '../src/policy/index.js';
import { activities } from './activities.js';
import type { GenerateOptions } from './generate.js';
import type { generateMedia } from './generate-media.js';
import { checkedInput, invalidInput } from './input.js';
import { freeStep, stepProblem, takeStep } from './steps.js';

/** A generation that runs as a Workflow of its own. */
export interface GenerationChild {
  /** `<parent>/<step>`. */
  readonly workflowId: string;
  /**
   * Waits for the result; may be called more than once, or never.
   * @throws ApplicationFailure as `generate` does; of type `Cancelled` or `Terminated` where somebody ended the child.
   */
  result(): Promise<GenerationResult>;
}

/**
 * Starts `generateMedia` as a child Workflow `<parent>/<step>` on `options.taskQueue` (default `rivya`). It has a page
 * and handlers of its own, and goes on when this Workflow ends. When the scope of this call is cancelled, the child is
 * asked to stop waiting; its task goes on at Rivya.
 *
 * Where an earlier run of this Workflow has left the child running, `result` waits for it. Nothing is paid again.
 *
 * @throws ApplicationFailure of type `InvalidInput`; nothing was started.
 */
export async function startGeneration(input: GenerateMediaInput, { step }: GenerateOptions): Promise<GenerationChild> {
  return startChecked(checkedChild(input, step));
}

/** What is started, checked. */
export interface Child {
  readonly workflowId: string;
  readonly step: string;
  readonly input: GenerateMediaInput;
  readonly generation: Generation;
}

// SQL stores of a Temporal Service cap IDs at 255, here of any characters.
const WORKFLOW_ID_LENGTH = 255;

/** Checks input and step of a child. `at` says where they stand; the rest is as of `checkedInput`. */
export function checkedChild(
  input: GenerateMediaInput,
  step: string,
  { at = '', outlives = true }: { at?: string; outlives?: boolean } = {},
): Child {
  const workflowId = `${workflowInfo().workflowId}/${step}`;
  const problem = stepProblem(step) ?? idProblem(step, workflowId);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem), at);
  return { workflowId, step, input, generation: checkedInput(input, { at, outlives }) };
}

/** Why a child of this ID cannot stand for the step, or null. */
export function idProblem(step: string, workflowId: string): string | null {
  // Step "b/c" of "a" and step "c" of "a/b" would be one paid task.
  if (step.includes('/')) return 'must not hold "/", which stands between the ID of the Workflow and the step';
  if (workflowId.length <= WORKFLOW_ID_LENGTH) return null;
  return `makes a Workflow ID of more than ${WORKFLOW_ID_LENGTH} characters (<this Workflow>/<step>)`;
}

/** `startGeneration` without its checks. */
export async function startChecked(child: Child): Promise<GenerationChild> {
  const { workflowId, step } = child;
  takeStep(step);
  try {
    const result = resultOf(child, await start(child));
    // Nobody has to ask for the result.
    result.catch(() => freeStep(step));
    return { workflowId, result: () => result };
  } catch (error) {
    freeStep(step);
    throw unwrapped(error, workflowId);
  }
}

type Started = ChildWorkflowHandle<typeof generateMedia>;

/** Null where an earlier run of this Workflow has left one running. A closed one is started again: it finds its task. */
async function start({ workflowId, input, generation }: Child): Promise<Started | null> {
  try {
    return await startChild<typeof generateMedia>(WORKFLOW_TYPE, {
      workflowId,
      taskQueue: queueOf(generation),
      args: [input],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      // A paid wait never ends because a pipeline does.
      parentClosePolicy: 'ABANDON',
      staticSummary: titleOf(generation),
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}

async function resultOf(child: Child, started: Started | null): Promise<GenerationResult> {
  for (let handle = started; ; handle = await start(child)) {
    if (handle === null) {
      await untilEnded(child);
      continue;
    }
    try {
      return await handle.result();
    } catch (error) {
      throw unwrapped(error, child.workflowId);
    }
  }
}

/** Waits for a child of an earlier run. How it ended is asked of a run of our own, unless somebody has ended it. */
async function untilEnded({ workflowId, generation }: Child): Promise<void> {
  const digest = generation.taskId === null ? bodyDigest(generation.body) : null;
  try {
    const { rivyaAwait } = activities.await(queueOf(generation), `wait for ${workflowId}, which still runs`);
    const { status } = await rivyaAwait({ workflowId, bodyDigest: digest });
    if (status === 'CANCELED') throw endedByOthers('Cancelled', workflowId);
    if (status === 'TERMINATED') throw endedByOthers('Terminated', workflowId);
  } catch (error) {
    if (isCancellation(error)) {
      // As if it were a child of this run.
      const handle = getExternalWorkflowHandle(workflowId);
      await CancellationScope.nonCancellable(() => handle.cancel()).catch(() => undefined);
    }
    throw isCancellation(error) ? error : unwrapped(error, workflowId);
  }
}

/** The failure of the generation itself, as `generate` throws it. */
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
  const action =
    known?.action ?? 'Start it again under the same step: a task that exists is found by its key and not paid again.';
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

function queueOf({ taskQueue }: Generation): string {
  return taskQueue ?? DEFAULT_TASK_QUEUE;
}
