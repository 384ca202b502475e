/**
 * The query `generation` and the handlers `checkNow`, `resume` and `changeDeadline`, as Update with a validator and as Signal, because
 * the Service's batch operations send Signals. `generateMedia` and `rivyaChat` register them; clients and users'
 * Workflows send by these definitions. They pay nothing by themselves: each one wakes the wait or the hold of its
 * Workflow.
 */
import { ApplicationFailure, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { CHANGE_DEADLINE, CHECK_NOW, FAILURE, failureEnd, RESUME, STATE_QUERY } from '../src/contract/index.js';
import type { ChangeDeadlineInput, GenerationState, ResumeInput } from '../src/contract/index.js';
import { formatDuration, HANDLERS, readDeadline } from '../src/policy/index.js';
import type { GenerationRun } from './generation.js';
import { orFailure, refuseBeyondTimeouts } from './input.js';
import type { Progress } from './progress.js';

export const generationQuery = defineQuery<GenerationState>(STATE_QUERY);
export const checkNowSignal = defineSignal(CHECK_NOW);
export const checkNowUpdate = defineUpdate<string>(CHECK_NOW);
export const resumeSignal = defineSignal<[ResumeInput?]>(RESUME);
export const resumeUpdate = defineUpdate<string, [ResumeInput?]>(RESUME);

export const changeDeadlineSignal = defineSignal<[ChangeDeadlineInput]>(CHANGE_DEADLINE);
export const changeDeadlineUpdate = defineUpdate<string, [ChangeDeadlineInput]>(CHANGE_DEADLINE);

/** Registers `changeDeadline` of `generateMedia`. As a Signal, what cannot be applied is ignored. */
export function registerDeadline(run: GenerationRun): void {
  const read = (request: unknown): number => {
    const deadlineMs = readDeadline(request);
    refuseBeyondTimeouts('deadline', deadlineMs);
    return deadlineMs;
  };
  const change = (request: ChangeDeadlineInput): string => {
    const deadlineMs = read(request);
    run.changeDeadline(deadlineMs);
    return `It waits until ${formatDuration(deadlineMs)} after the first submit, holds left out. Where it waits for the task, the status is checked now.`;
  };
  const validator = (request: unknown): void => orFailure('', () => void read(request));
  const { changeDeadline: description } = HANDLERS;
  setHandler(changeDeadlineUpdate, change, { description, validator });
  const fits = (request: unknown): boolean => {
    try {
      return read(request) > 0;
    } catch {
      return false;
    }
  };
  setHandler(changeDeadlineSignal, (request) => void (fits(request) && change(request)), { description });
}

/** Registers the handlers of `generateMedia` and `rivyaChat`. */
export function registerHandlers(progress: Progress): void {
  setHandler(generationQuery, () => progress.state, { description: HANDLERS.query });

  const checkNow = (): string => {
    progress.checkNow();
    return HANDLERS.woken;
  };
  setHandler(checkNowSignal, () => void checkNow(), { description: HANDLERS.checkNow });
  setHandler(checkNowUpdate, checkNow, { description: HANDLERS.checkNow });

  const resume = (request?: ResumeInput): string => {
    progress.resume(request);
    return 'Resumed.';
  };
  const validator = (request?: ResumeInput): void => {
    const problem = progress.resumeRefusal(request);
    if (problem === null) return;
    throw ApplicationFailure.nonRetryable(failureEnd(FAILURE.InvalidInput, problem), FAILURE.InvalidInput);
  };
  setHandler(resumeSignal, (request?: ResumeInput) => void resume(request), { description: HANDLERS.resume });
  setHandler(resumeUpdate, resume, { description: HANDLERS.resume, validator });
}
