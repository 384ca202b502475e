/**
 * The query `generation` and the handlers `checkNow` and `resume`, as Update with a validator and as Signal, because
 * the Service's batch operations send Signals. `generateMedia` and `rivyaChat` register them; clients and users'
 * Workflows send by these definitions. They pay nothing by themselves: each one wakes the wait or the hold of its
 * Workflow.
 */
import { ApplicationFailure, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { CHECK_NOW, FAILURE, failureEnd, RESUME, STATE_QUERY } from '../src/contract/index.js';
import type { GenerationState, ResumeInput } from '../src/contract/index.js';
import { HANDLERS } from '../src/policy/index.js';
import type { Progress } from './progress.js';

export const generationQuery = defineQuery<GenerationState>(STATE_QUERY);
export const checkNowSignal = defineSignal(CHECK_NOW);
export const checkNowUpdate = defineUpdate<string>(CHECK_NOW);
export const resumeSignal = defineSignal<[ResumeInput?]>(RESUME);
export const resumeUpdate = defineUpdate<string, [ResumeInput?]>(RESUME);

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
