/** The paid steps of a Workflow of yours: each has a name of its own and is resumed by it. */
import { ApplicationFailure, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { FAILURE, type ResumeInput } from '../src/contract/index.js';
import { InvalidInput, readResume } from '../src/policy/index.js';
import { invalidInput } from './input.js';
import type { Progress } from './progress.js';

export interface StepResume extends ResumeInput {
  /** The step to resume; all held ones when left out. */
  readonly step?: string;
}

export const rivyaResumeSignal = defineSignal<[StepResume?]>('rivyaResume');
export const rivyaResumeUpdate = defineUpdate<string, [StepResume?]>('rivyaResume');

// Module state is separate for each Workflow execution in the sandbox.
const taken = new Set<string>();
// The ones that `rivyaResume` can reach: children have handlers of their own.
const steps = new Map<string, Progress>();

/** Takes a name for as long as its step runs or has succeeded. Ask `stepProblem` first. */
export function takeStep(step: string): void {
  taken.add(step);
}

/** What has failed may be run again under its name: another name would be another key, and paid again. */
export function freeStep(step: string): void {
  taken.delete(step);
}

/** @throws ApplicationFailure `InvalidInput` for a name that is none, or is in use. */
export function checkStep(step: unknown): void {
  const problem = stepProblem(step);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem));
}

/** Runs a step that can be resumed by its name. */
export async function runStep<T>(step: string, progress: Progress, run: () => Promise<T>): Promise<T> {
  if (steps.size === 0) handleResume();
  takeStep(step);
  steps.set(step, progress);
  try {
    return await run();
  } catch (error) {
    steps.delete(step);
    freeStep(step);
    throw error;
  }
}

/** Why a step of this Workflow cannot have this name, or null. */
export function stepProblem(step: unknown): string | null {
  if (typeof step !== 'string' || step.trim() === '') return 'is missing; name each generation of a Workflow';
  if (step.length > 200 || !step.isWellFormed() || /\p{Cc}/u.test(step)) {
    return 'must be at most 200 characters of text without control characters';
  }
  if (taken.has(step))
    return `"${step}" is used twice in this Workflow, so both would get one paid task; give each its own name`;
  return null;
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
