import {
  allHandlersFinished,
  ApplicationFailure,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import {
  CHECK_NOW,
  FAILURE,
  MEMO_FIELD,
  RESUME,
  STATE_QUERY,
  type GenerateMediaInput,
  type GenerationMemo,
  type GenerationResult,
  type GenerationState,
  type ResumeInput,
} from '../src/contract/index.js';
import { describeState, InvalidInput, titleOf, type Generation } from '../src/policy/index.js';
import { GenerationRun, type Carried } from './generation.js';
import { checkedInput, invalidInput } from './input.js';
import type { Show } from './progress.js';

export const generationQuery = defineQuery<GenerationState>(STATE_QUERY);
export const checkNowSignal = defineSignal(CHECK_NOW);
export const checkNowUpdate = defineUpdate<string>(CHECK_NOW);
export const resumeSignal = defineSignal<[ResumeInput?]>(RESUME);
export const resumeUpdate = defineUpdate<string, [ResumeInput?]>(RESUME);

/**
 * Runs one generation: submits it under a key derived from the Workflow ID, waits durably, stores the files.
 * Input and result are one JSON object each, so a program in any language can start it by name.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function generateMedia(input: GenerateMediaInput, carried?: Carried): Promise<GenerationResult> {
  const generation = checkedInput(input);
  if (carried !== undefined) refuseForeign();
  const run: GenerationRun = new GenerationRun(
    generation,
    {
      use: 'generateMedia',
      step: '',
      taskQueue: generation.taskQueue ?? workflowInfo().taskQueue,
      show: showOf(generation, () => run.digest),
      watches: true,
      checkpoint: async (next) => {
        if (!workflowInfo().continueAsNewSuggested) return;
        await condition(allHandlersFinished);
        await continueAsNew<typeof generateMedia>(input, next);
      },
    },
    carried,
  );
  const { progress } = run;

  setHandler(generationQuery, () => progress.state, {
    description: 'State of the generation: status, task ID, next check.',
  });
  const checkNow = { description: 'Check the status now (never within 5 s of the last check). No argument.' };
  setHandler(checkNowSignal, () => progress.checkNow(), checkNow);
  setHandler(
    checkNowUpdate,
    () => {
      progress.checkNow();
      return 'The status is checked as soon as the last check is 5 s old.';
    },
    checkNow,
  );
  const resume = {
    description:
      'Go on after a hold, once its cause is mended. After SubmitUnresolved: {"taskId": "…"} or {"reason": "…"}; otherwise no argument.',
  };
  setHandler(resumeSignal, (request?: ResumeInput) => progress.resume(request), resume);
  setHandler(
    resumeUpdate,
    (request?: ResumeInput) => {
      progress.resume(request);
      return 'Resumed.';
    },
    {
      ...resume,
      validator: (request?: ResumeInput) => {
        const problem = progress.resumeProblem(request);
        if (problem !== null) throw ApplicationFailure.nonRetryable(problem, FAILURE.InvalidInput);
      },
    },
  );

  const result = await run.run();
  await condition(allHandlersFinished);
  return result;
}

/** What a run hands on is believed, for example that a POST is unanswered, which no spending policy keeps back. */
function refuseForeign(): void {
  if (workflowInfo().continuedFromExecutionRunId !== undefined) return;
  throw invalidInput(new InvalidInput('carried', 'is what this Workflow hands to its own next run; leave it out'));
}

/** Current details cost no history; the memo costs one event, so it follows milestones only. */
function showOf(generation: Generation, digest: () => string): Show {
  const title = titleOf(generation);
  return (state, milestone) => {
    setCurrentDetails(describeState(state, title));
    if (!milestone) return;
    const { phase, status, taskId, model, idempotencyKey, reservedCredits, finalCredits, hold } = state;
    const { unanswered, riskAccepted, riskReason, attempt, firstKey, refusedBy = null, earlier } = state;
    const { take, labels } = generation;
    const credits = { reservedCredits, finalCredits };
    const identity = { taskId, model, idempotencyKey, firstKey, bodyDigest: digest(), take, attempt, labels };
    const risk = { unanswered, riskAccepted, riskReason };
    const memo: GenerationMemo = { phase, status, ...identity, ...credits, hold, ...risk, refusedBy, earlier };
    upsertMemo({ [MEMO_FIELD]: memo });
  };
}
