/**
 * Starting prices, and the budget that an input allows by them. It guarantees that nothing new is paid above
 * `options.maxCredits`, as far as prices are known before. The Activities that pay, the spending policy and the
 * estimate call it. It never takes an unknown price for 0.
 */
import { RivyaApiError } from '../src/api/index.js';
import { FAILURE } from '../src/contract/index.js';
import { overBudget } from '../src/policy/index.js';
import { activityFailure, finalFailure, retryIn } from './failure.js';

export interface Prices {
  /** Starting price of a model in credits, null where the list of models names none; rejects when there is no list. */
  readonly basePrice: (model: string) => Promise<number | null>;
}

/** Refuses an attempt that is estimated to cost more than its caller allows. */
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
  throw finalFailure(FAILURE.BudgetReached, problem, { action });
}

/**
 * The starting price of a model, for the rule that `needed` names; null where the list names none.
 * @throws ApplicationFailure that is repeated, while there is no list.
 */
export async function priceOf(model: string, prices: Prices | undefined, needed: string): Promise<number | null> {
  try {
    return (await prices?.basePrice(model)) ?? null;
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    const { code, httpStatus, requestId, message } = error;
    const problem = `${needed} needs the price of "${model}", and the list of models cannot be had: ${message}`;
    const action = 'Nothing was sent. Nothing to do: the list of models is asked for again.';
    const facts = { httpStatus, requestId, action };
    throw activityFailure(code ?? 'network_error', problem, facts, { nextRetryDelay: retryIn(error) });
  }
}
