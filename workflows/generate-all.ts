/**
 * `generateAll`: many generations side by side, each a paid step of a user's Workflow. It guarantees that all inputs
 * are checked before the first child is started. Users' Workflows call it.
 */
import { ApplicationFailure, CancellationScope, CancelledFailure } from '@temporalio/workflow';
import { NOTHING_KNOWN } from '../src/contract/index.js';
import type { FailureDetails, GenerateMediaInput, GenerationResult } from '../src/contract/index.js';
import { InvalidInput } from '../src/policy/index.js';
import { RUN_STEP_AGAIN, startStep, type PaidStep, type StepOptions } from './children.js';
import { generationStep } from './generate.js';
import { invalidInput } from './input.js';

/** One of the generations of `generateAll`: a request with the options of its step. */
export type GenerationStep = GenerateMediaInput & StepOptions;

/** The end of one of these generations. */
export type GenerationOutcome =
  | { readonly status: 'fulfilled'; readonly step: string; readonly value: GenerationResult }
  | { readonly status: 'rejected'; readonly step: string; readonly reason: FailureReason };

/** A failure with all that is known of task and money. `type` as `generate` throws it. */
export type FailureReason = FailureDetails & { readonly type: string; readonly message: string };

// Temporal advises at most 500 open children; a larger batch is several Workflows.
const MOST_STEPS = 500;

/**
 * Runs generations at the same time, each as `generate` does, and returns how each ended, in order: one that fails takes no
 * other with it. All requests are checked before the first is started.
 *
 * @throws ApplicationFailure of type `InvalidInput` that names the request, as in `[17].model`; nothing was paid.
 * @throws CancelledFailure when its scope is cancelled, after all have stopped waiting; its details hold the outcomes.
 */
export async function generateAll(requests: readonly GenerationStep[]): Promise<GenerationOutcome[]> {
  const steps = checkedSteps(requests, generationStep);
  const settled = await Promise.allSettled(steps.map(generatedResult));
  const outcomes = settled.map((end, index) => outcomeOf(end, steps[index]?.step ?? ''));
  if (CancellationScope.current().consideredCancelled) throw cancelledAll(outcomes);
  return outcomes;
}

async function generatedResult(step: PaidStep): Promise<GenerationResult> {
  return (await startStep<GenerationResult>(step)).result();
}

/**
 * Checks a list of steps, each with its place in it.
 * @throws ApplicationFailure of type `InvalidInput` that names the request.
 */
export function checkedSteps<T>(
  requests: readonly GenerationStep[],
  check: (input: GenerateMediaInput, options: StepOptions, at: string) => T,
): T[] {
  const given: unknown = requests;
  if (!Array.isArray(given)) throw invalidInput(new InvalidInput('requests', 'must be a list'));
  if (requests.length > MOST_STEPS) {
    throw invalidInput(
      new InvalidInput('requests', `are more than ${MOST_STEPS}; divide them among several Workflows`),
    );
  }
  const places = new Map<string, number>();
  return requests.map((request: GenerationStep | null, index) => {
    const at = `[${index}].`;
    const { step, summary, ...input } = request ?? ({} as GenerationStep);
    const checked = check(input, { step, ...(summary !== undefined && { summary }) }, at);
    const other = places.get(step);
    if (other !== undefined) {
      const problem = `"${step}" is that of [${other}], so both would get one paid task`;
      throw invalidInput(new InvalidInput('step', problem), at);
    }
    places.set(step, index);
    return checked;
  });
}

/**
 * The outcome of one generation.
 * @throws whatever is no failure of a generation: a bug is no outcome.
 */
export function outcomeOf(end: PromiseSettledResult<GenerationResult>, step: string): GenerationOutcome {
  if (end.status === 'fulfilled') return { status: 'fulfilled', step, value: end.value };
  const error: unknown = end.reason;
  if (!(error instanceof ApplicationFailure) && !(error instanceof CancelledFailure)) throw error;
  const details = (error.details?.[0] ?? {}) as Partial<FailureDetails>;
  const type = error instanceof ApplicationFailure ? (error.type ?? 'Failed') : 'Cancelled';
  const known = { ...NOTHING_KNOWN, code: type, action: RUN_STEP_AGAIN, ...details };
  const reason = { ...known, type, message: error.message };
  return { status: 'rejected', step, reason };
}

function cancelledAll(outcomes: readonly GenerationOutcome[]): CancelledFailure {
  const done = outcomes.filter(({ status }) => status === 'fulfilled').length;
  const message = `Cancelled. ${done} of ${outcomes.length} generations had succeeded; tasks of the others go on at Rivya.`;
  // Task IDs and states only: the results of hundreds would be more than a failure can carry.
  const ends = outcomes.map((end) => ({
    step: end.step,
    status: end.status,
    taskId: end.status === 'fulfilled' ? end.value.taskId : end.reason.taskId,
  }));
  return new CancelledFailure(message, [{ ...NOTHING_KNOWN, code: 'Cancelled', outcomes: ends }]);
}
