import { DEFAULT_TASK_QUEUE, type GenerateMediaInput, type GenerationResult } from '../src/contract/index.js';
import type { Generation } from '../src/policy/index.js';
import { GenerationRun } from './generation.js';
import { checkedInput } from './input.js';
import { checkStep, runStep } from './steps.js';

export interface GenerateOptions {
  /**
   * Name of this step within the Workflow, 1 to 200 characters, used once. It is part of the idempotency key:
   * keep it when the code around it changes, or the step is paid again after a reset.
   */
  readonly step: string;
}

/**
 * Runs one generation inside your own Workflow and returns its result. It writes no memo and no details of your
 * Workflow; it registers one handler, `rivyaResume`. API calls go to the Workers on `options.taskQueue`
 * (default `rivya`).
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function generate(input: GenerateMediaInput, { step }: GenerateOptions): Promise<GenerationResult> {
  checkStep(step);
  return runGeneration(checkedInput(input), step);
}

/** `generate` without its checks. `paidAs` is the Workflow ID of a child whose key it uses, so that either pays once. */
export async function runGeneration(generation: Generation, step: string, paidAs?: string): Promise<GenerationResult> {
  const run = new GenerationRun(generation, {
    ...(paidAs === undefined ? { use: 'generate' } : { use: 'generateMedia', paidAs }),
    step,
    taskQueue: generation.taskQueue ?? DEFAULT_TASK_QUEUE,
    show: () => undefined,
  });
  return runStep(step, run.progress, () => run.run());
}
