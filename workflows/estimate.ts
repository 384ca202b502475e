/** `estimateCredits`: what generations will cost. Users' Workflows call it. It pays nothing and reserves nothing. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from '../src/contract/index.js';
import { creditEstimate, InvalidInput, type CreditEstimate } from '../src/policy/index.js';
import { activities } from './activities.js';
import { invalidInput } from './input.js';

export interface EstimateOptions {
  /** Task queue of the Rivya Workers, as in `options.taskQueue` of a generation. Default `rivya`. */
  readonly taskQueue?: string;
}

/**
 * Estimates what generations cost, one attempt each, and compares it with the balance. Prices are the starting prices of
 * the list of models: what the API reserves depends on the parameters and may be more. Costs nothing.
 *
 * @param requests - Of each, only the model is looked at; inputs of `generate` and `generateAll` can be given as they are.
 * @throws ApplicationFailure of type `InvalidInput`, or Rivya's error code where the balance is refused.
 */
export async function estimateCredits(
  requests: readonly { readonly model: string }[],
  { taskQueue = DEFAULT_TASK_QUEUE }: EstimateOptions = {},
): Promise<CreditEstimate> {
  const models = modelsOf(requests);
  const each = [...new Set(models)];
  try {
    const { rivyaEstimate } = activities.estimate(taskQueue, `prices of ${each.length} model(s), and the balance`);
    return creditEstimate(models, await rivyaEstimate({ models: each }));
  } catch (error) {
    const cause = error instanceof ActivityFailure ? error.cause : undefined;
    throw cause instanceof ApplicationFailure ? cause : error;
  }
}

/** @throws ApplicationFailure of type `InvalidInput` that names the request. */
export function modelsOf(requests: readonly ({ readonly model?: unknown } | null)[]): string[] {
  return requests.map((request, index) => {
    const model = request?.model;
    if (typeof model === 'string' && model.trim() !== '') return model;
    throw invalidInput(new InvalidInput('model', 'is missing'), `[${index}].`);
  });
}
