import { ApplicationFailure, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  DEFAULT_TASK_QUEUE,
  FAILURE,
  type GenerateMediaInput,
  type GenerationResult,
  type ResumeInput,
} from '../src/contract/index.js';
import { InvalidInput, readResume, type Generation } from '../src/policy/index.js';
import { GenerationRun } from './generation.js';
import type { Progress } from './progress.js';
import { checkedInput, invalidInput } from './input.js';
import { freeStep, stepProblem, takeStep } from './steps.js';

export interface GenerateOptions {
  /**
   * Name of this generation within the Workflow, 1 to 200 characters, used once. It is part of the idempotency key:
   * keep it when the code around it changes, or the step is paid again after a reset.
   */
  readonly step: string;
}

export interface StepResume extends ResumeInput {
  /** The step to resume; all held ones when left out. */
  readonly step?: string;
}

export const rivyaResumeSignal = defineSignal<[StepResume?]>('rivyaResume');
export const rivyaResumeUpdate = defineUpdate<string, [StepResume?]>('rivyaResume');

// The steps that `rivyaResume` can reach. Module state is separate for each Workflow execution in the sandbox.
const steps = new Map<string, Progress>();

/**
 * Runs one generation inside your own Workflow and returns its result. It writes no memo and no details of your
 * Workflow; it registers one handler, `rivyaResume`. API calls go to the Workers on `options.taskQueue`
 * (default `rivya`).
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function generate(input: GenerateMediaInput, { step }: GenerateOptions): Promise<GenerationResult> {
  const problem = stepProblem(step);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem));
  return runStep(checkedInput(input), step);
}

/** `generate` without its checks. `paidAs` is the Workflow ID of a child whose key it uses, so that either pays once. */
export async function runStep(generation: Generation, step: string, paidAs?: string): Promise<GenerationResult> {
  const run = new GenerationRun(generation, {
    ...(paidAs === undefined ? { use: 'generate' } : { use: 'generateMedia', paidAs }),
    step,
    taskQueue: generation.taskQueue ?? DEFAULT_TASK_QUEUE,
    show: () => undefined,
  });
  if (steps.size === 0) handleResume();
  takeStep(step);
  steps.set(step, run.progress);
  try {
    return await run.run();
  } catch (error) {
    steps.delete(step);
    freeStep(step);
    throw error;
  }
}

/** The held generations that a `rivyaResume` is for, or why there are none. */
function chosen(request: unknown): Progress[] | string {
  let resume: ReturnType<typeof readResume>;
  try {
    resume = readResume(request);
  } catch (error) {
    return error instanceof InvalidInput ? error.problem : String(error);
  }
  const held = [...steps].filter(([, { state }]) => state.hold !== null);
  const named = held.filter(([name]) => resume.step === null || resume.step === name);
  if (named.length === 0) return 'No generation is held under this step, so there is nothing to resume.';
  if ((resume.taskId !== null || resume.reason !== null) && named.length > 1)
    return 'step: is missing; several steps are held, and a task or a reason belongs to one';
  const problems = named.map(([, progress]) => progress.resumeProblem(request));
  const ready = named.filter((_, index) => problems[index] === null).map(([, progress]) => progress);
  return ready.length > 0 ? ready : (problems[0] ?? 'There is nothing to resume.');
}

function handleResume(): void {
  const described = {
    description: 'Go on after a hold of a generation: {"step": "…", "taskId": "…", "reason": "…"}, all optional.',
  };
  const apply = (request: StepResume | undefined): void => {
    const ready = chosen(request);
    if (typeof ready !== 'string') for (const progress of ready) progress.resume(request);
  };
  setHandler(rivyaResumeSignal, apply, described);
  setHandler(
    rivyaResumeUpdate,
    (request?: StepResume) => {
      apply(request);
      return 'Resumed.';
    },
    {
      ...described,
      validator: (request?: StepResume) => {
        const ready = chosen(request);
        if (typeof ready === 'string') throw ApplicationFailure.nonRetryable(ready, FAILURE.InvalidInput);
      },
    },
  );
}
