/** What a user's own Workflow module looks like: ours re-exported, theirs beside it. */
import { ApplicationFailure, executeChild, sleep } from '@temporalio/workflow';
import { generate, generateMedia, type GenerateMediaInput, type GenerationResult } from '../../workflows/index.js';

export * from '../../workflows/index.js';

/** Two steps, one after the other. */
export async function twoSteps(first: GenerateMediaInput, second: GenerateMediaInput): Promise<GenerationResult[]> {
  return [await generate(first, { step: 'first' }), await generate(second, { step: 'second' })];
}

/** Two steps at the same time. */
export async function twoAtOnce(a: GenerateMediaInput, b: GenerateMediaInput): Promise<GenerationResult[]> {
  return Promise.all([generate(a, { step: 'a' }), generate(b, { step: 'b' })]);
}

/** The mistake of giving two generations one name. */
export async function sameStepTwice(input: GenerateMediaInput): Promise<string> {
  const [, second] = await Promise.allSettled([generate(input, { step: 'hero' }), generate(input, { step: 'hero' })]);
  if (second.status === 'fulfilled') return 'accepted';
  const { reason } = second as { reason: unknown };
  return reason instanceof ApplicationFailure ? `${reason.type}: ${reason.message}` : String(reason);
}

/** The same mistake, with a Workflow that calls `generate`. */
export async function stepsInChildWithRandomId(input: GenerateMediaInput): Promise<GenerationResult[]> {
  return executeChild(twoSteps, { args: [input, input] });
}

/** The mistake of leaving the ID of a child to the SDK. */
export async function childWithRandomId(input: GenerateMediaInput): Promise<GenerationResult> {
  return executeChild(generateMedia, { args: [input] });
}

/** A step that has failed is run again under its name, as `generate` allows. */
export async function retriedStep(input: GenerateMediaInput, pauseMs: number): Promise<GenerationResult> {
  const step = { step: 'again' };
  try {
    return await generate(input, step);
  } catch {
    await sleep(pauseMs);
    return generate(input, step);
  }
}
