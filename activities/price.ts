import { ApplicationFailure } from '@temporalio/common';
import { RivyaApiError } from '../src/api/index.js';
import { FAILURE, type FailureDetails } from '../src/contract/index.js';
import { overBudget } from '../src/policy/index.js';
import { finalFailure, nothingKnown, retryIn } from './failure.js';

export interface Prices {
  /** Starting price of a model in credits, null where the list of models does not tell; rejects when there is no list. */
  readonly basePrice: (model: string) => Promise<number | null>;
}

/** Refuses what is estimated to cost more than its caller allows. Call it right before something new is paid for. */
export async function checkBudget(
  maxCredits: number | undefined,
  { model, attempt }: { model: string; attempt: number },
  prices: Prices | undefined,
): Promise<void> {
  if (maxCredits === undefined) return;
  const basePrice = await priceOf(model, prices, 'options.maxCredits');
  const problem = overBudget({ maxCredits, model, attempt, basePrice });
  if (problem === null) return;
  const action = 'Give a larger options.maxCredits or leave it out, or choose another model, and start again.';
  throw finalFailure(FAILURE.BudgetReached, `${problem} ${action}`, { action });
}

/**
 * The starting price of a model, for the rule that `needed` names; null where the list does not tell.
 * @throws ApplicationFailure that is repeated, while there is no list.
 */
export async function priceOf(model: string, prices: Prices | undefined, needed: string): Promise<number | null> {
  try {
    return (await prices?.basePrice(model)) ?? null;
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    const { code, httpStatus, requestId } = error;
    const action = 'Nothing was sent. Nothing to do: the list of models is asked for again.';
    const details: FailureDetails = { ...nothingKnown(), code: code ?? 'network_error', httpStatus, requestId, action };
    throw ApplicationFailure.create({
      type: details.code,
      message: `${needed} needs the price of "${model}", and the list of models cannot be had: ${error.message} ${action}`,
      details: [details],
      nextRetryDelay: retryIn(error),
    });
  }
}
