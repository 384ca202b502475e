/**
 * `generate` and `startGeneration`: one generation as a paid step of a user's Workflow. Users' Workflows call them;
 * `generateMedia` does the work in a child. They submit nothing by themselves.
 */
import { WORKFLOW_TYPE, type GenerateMediaInput, type GenerationResult } from '../src/contract/index.js';
import { identityOf, readInput, STATIC_DETAILS, titleOf } from '../src/policy/index.js';
import { idOfStep, startStep, summaryOfStep, type PaidStep, type StartedStep, type StepOptions } from './children.js';
import { orFailure } from './input.js';

/** A generation that runs as a child Workflow `<parent>/<step>`. */
export type GenerationChild = StartedStep<GenerationResult>;

/**
 * Runs one generation as a step of your Workflow and returns its result. It is the child Workflow `generateMedia` with the
 * ID `<parent>/<step>` on `options.taskQueue` (default `rivya`): paid once, with a page and handlers of its own in the
 * Temporal UI, and it goes on when your Workflow ends. Where an earlier run of your Workflow has started it, this one waits
 * for it or takes its stored result (`reused` is then true). When the scope of this call is cancelled, the child is asked
 * to stop waiting; its task goes on at Rivya.
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`; of type
 * `Cancelled` or `Terminated` where a person has ended the child by itself.
 */
export async function generate(input: GenerateMediaInput, options: StepOptions): Promise<GenerationResult> {
  return (await startGeneration(input, options)).result();
}

/**
 * Starts the generation that `generate` runs, and does not wait for its result.
 * @throws ApplicationFailure of type `InvalidInput`; nothing was started.
 */
export async function startGeneration(input: GenerateMediaInput, options: StepOptions): Promise<GenerationChild> {
  return startStep<GenerationResult>(generationStep(input, options));
}

/**
 * Checks a generation and makes it a step that can be started.
 * @param at - Where input and step stand, put before the name of a wrong field.
 * @param parent - Workflow ID that it is a step of; default that of this Workflow.
 */
export function generationStep(
  input: GenerateMediaInput,
  { step, summary }: StepOptions,
  at = '',
  parent?: string,
): PaidStep {
  const workflowId = idOfStep(step, at, parent);
  const generation = orFailure(at, () => readInput(input));
  const { taskQueue } = generation;
  const identity = identityOf(generation);
  const staticSummary = summaryOfStep(summary, titleOf(generation), at);
  const userMetadata = { staticSummary, staticDetails: STATIC_DETAILS };
  return { step, workflowId, workflowType: WORKFLOW_TYPE, input, identity, taskQueue, userMetadata };
}
