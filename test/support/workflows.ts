/** Workflows of users, and beside them the Workflows of this package: most tests need one Worker for both. */
import { ApplicationFailure, condition, continueAsNew, executeChild } from '@temporalio/workflow';
import { defineSignal, setHandler } from '@temporalio/workflow';
import {
  estimateCredits,
  generate,
  generateAll,
  startGeneration,
  type CreditEstimate,
  type GenerateMediaInput,
  type GenerationOutcome,
  type GenerationResult,
  type GenerationStep,
  chat,
  type ChatRequest,
  type ChatResult,
} from '../../workflows/index.js';
import { generateMedia } from '../../workflows/bundle.js';

export * from '../../workflows/bundle.js';

/** Two steps, one after the other. */
export async function twoSteps(first: GenerateMediaInput, second: GenerateMediaInput): Promise<GenerationResult[]> {
  return [await generate(first, { step: 'first' }), await generate(second, { step: 'second' })];
}

/** A step that fails is left behind, and the Workflow continues as new and waits. */
export async function nightly(input: GenerateMediaInput, again = false): Promise<void> {
  if (again) await condition(() => false);
  await generate(input, { step: 'round' }).catch(() => undefined);
  await continueAsNew<typeof nightly>(input, true);
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

/** What a Workflow in another language does: it starts the child by name, under an ID of its own. */
export async function childByName(input: GenerateMediaInput, workflowId: string): Promise<GenerationResult> {
  return executeChild<typeof generateMedia>('generateMedia', {
    workflowId,
    args: [input],
    parentClosePolicy: 'ABANDON',
  });
}

/** A step that has failed is run again under its name, as `generate` allows: after a pause, or at the Signal `goOn`. */
export async function retriedStep(input: GenerateMediaInput, pauseMs: number): Promise<GenerationResult> {
  const step = { step: 'again' };
  let goesOn = false;
  setHandler(defineSignal('goOn'), () => void (goesOn = true));
  try {
    return await generate(input, step);
  } catch {
    await condition(() => goesOn, pauseMs);
    return generate(input, step);
  }
}

/** One step. */
export async function oneStep(input: GenerateMediaInput, summary?: string): Promise<GenerationResult> {
  return generate(input, { step: 'only', ...(summary !== undefined && { summary }) });
}

/** Generations that this Workflow starts and does not wait for. */
export async function leftRunning(inputs: GenerateMediaInput[]): Promise<string[]> {
  const started = await Promise.all(inputs.map((input, n) => startGeneration(input, { step: `step ${n + 1}` })));
  return started.map(({ workflowId }) => workflowId);
}

/** So many requests of so many bytes each, which this Workflow makes up by itself: no input carries them. */
interface Large {
  readonly count: number;
  readonly bytes: number;
}

/** Calls of `generate` beside one of `generateAll`, with large inputs; how each ended. */
export async function largeSteps(what: string, taskQueue: string, calls: Large, all: Large): Promise<string[]> {
  const requests = ({ count, bytes }: Large, of: string): GenerationStep[] =>
    Array.from({ length: count }, (_, n) => {
      const params = { note: 'x'.repeat(bytes) };
      return { step: `${of} ${n}`, model: 'z-image', prompt: `${what}, ${of} ${n}.`, params, options: { taskQueue } };
    });
  const single = requests(calls, 'call').map(({ step, ...input }) => generate(input, { step }));
  const [ends, outcomes] = await Promise.all([Promise.allSettled(single), generateAll(requests(all, 'item'))]);
  return [...ends, ...outcomes].map(({ status }) => status);
}

/** The mistake of giving a child the name of a step, and the names that no child can have. */
export async function childNames(input: GenerateMediaInput, names: string[]): Promise<string[]> {
  const first = generate(input, { step: 'hero' });
  const refusals: string[] = [];
  for (const step of names) {
    try {
      await startGeneration(input, { step });
      refusals.push('accepted');
    } catch (error) {
      refusals.push(error instanceof ApplicationFailure ? `${error.type}: ${error.message}` : String(error));
    }
  }
  await first;
  return refusals;
}

/** Many at the same time. */
export async function allOf(requests: GenerationStep[]): Promise<GenerationOutcome[]> {
  return generateAll(requests);
}

/** Steps, one after the other. */
export async function inOrder(...inputs: GenerateMediaInput[]): Promise<GenerationResult[]> {
  const results: GenerationResult[] = [];
  for (const [index, input] of inputs.entries()) {
    results.push(await generate(input, { step: `step ${index + 1}` }));
  }
  return results;
}

/** An image, and a video that is made from it. */
export async function imageThenVideo(
  image: GenerateMediaInput,
  video: GenerateMediaInput,
): Promise<GenerationResult[]> {
  const first = await generate(image, { step: 'image' });
  const second = await generate({ ...video, references: [{ from: first, kind: 'image' }] }, { step: 'video' });
  return [first, second];
}

/** One chat. */
export async function oneChat(request: ChatRequest): Promise<ChatResult> {
  return chat(request, { step: 'ask' });
}

/** Two messages in one session. */
export async function twoChats(first: ChatRequest, second: ChatRequest): Promise<ChatResult[]> {
  const begun = await chat(first, { step: 'begin' });
  const { sessionId: _, ...message } = second;
  return [begun, await chat({ ...message, session: begun }, { step: 'go on' })];
}

/** A prompt written by a chat model, and the image of it. */
export async function promptedImage(
  request: ChatRequest,
  image: Omit<GenerateMediaInput, 'prompt'>,
): Promise<{ chat: ChatResult; image: GenerationResult }> {
  const answer = await chat(request, { step: 'prompt' });
  return { chat: answer, image: await generate({ ...image, prompt: answer.content }, { step: 'image' }) };
}

/** What these would cost, before any of them is started. */
export async function estimate(requests: GenerationStep[], taskQueue: string): Promise<CreditEstimate> {
  return estimateCredits(requests, { taskQueue });
}

/** A prompt written by a chat model, the image of it, and a video that is made from the image. */
export async function film(
  request: ChatRequest,
  image: Omit<GenerateMediaInput, 'prompt'>,
  video: GenerateMediaInput,
): Promise<{ chat: ChatResult; image: GenerationResult; video: GenerationResult }> {
  const begun = await promptedImage(request, image);
  const references = [{ from: begun.image, kind: 'image' as const }];
  return { ...begun, video: await generate({ ...video, references }, { step: 'video' }) };
}
