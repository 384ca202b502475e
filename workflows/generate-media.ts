/** The Workflow `generateMedia`: one generation, one Workflow Execution. */
import { allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { GenerateMediaInput, GenerationResult } from '../src/contract/index.js';
import { GenerationRun, type Carried } from './generation.js';
import { handle } from './handlers.js';
import { checkedInput, refuseForeign } from './input.js';

/**
 * Runs one generation: submits it under a key derived from the Workflow ID, waits durably, stores the files.
 * Input and result are one JSON object each, so a program in any language can start it by name.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function generateMedia(input: GenerateMediaInput, carried?: Carried): Promise<GenerationResult> {
  const generation = checkedInput(input);
  refuseForeign(carried);
  const run = new GenerationRun(
    generation,
    async (next) => {
      if (!workflowInfo().continueAsNewSuggested) return;
      await condition(allHandlersFinished);
      await continueAsNew<typeof generateMedia>(input, next);
    },
    carried,
  );
  handle(run.progress);
  const result = await run.progress.end(() => run.run());
  await condition(allHandlersFinished);
  return result;
}
