/**
 * The Workflow `generateMedia`: one generation, one Workflow Execution. It guarantees that its memo says how it ended,
 * and that it continues as new only between two calls. Clients and the steps of users' Workflows start it. It makes no
 * call by itself: `GenerationRun` does. Deterministic.
 */
import { allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { GenerateMediaInput, GenerationResult } from '../src/contract/index.js';
import { GenerationRun, type CarriedGeneration } from './generation.js';
import { registerDeadline, registerHandlers } from './handlers.js';
import { checkedInput, refuseForeignCarried } from './input.js';

/**
 * Runs one generation: submits it under a key derived from the Workflow ID, waits durably, stores the files.
 * Input and result are one JSON object each, so a program in any language can start it by name.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function generateMedia(input: GenerateMediaInput, carried?: CarriedGeneration): Promise<GenerationResult> {
  const generation = checkedInput(input);
  refuseForeignCarried(carried);
  const run = new GenerationRun(
    generation,
    async (next) => {
      if (!workflowInfo().continueAsNewSuggested) return;
      await condition(allHandlersFinished);
      await continueAsNew<typeof generateMedia>(input, next);
    },
    carried,
  );
  registerHandlers(run.progress);
  registerDeadline(run);
  const result = await run.progress.recordEnd(() => run.run());
  await condition(allHandlersFinished);
  return result;
}
