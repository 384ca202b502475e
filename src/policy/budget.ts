/** The budget of a generation and the estimate of many, both by starting prices. An unknown price never counts as 0. */
import type { EstimateResult, PaidCallInput } from '../contract/index.js';

type BudgetedAttempt = Required<Pick<PaidCallInput, 'model' | 'attempt' | 'maxCredits'>> & { basePrice: number | null };

/**
 * Why an attempt costs more than is allowed, by the starting price of its model, or null. All attempts count, because
 * whether a failed one is given back is not published.
 */
export function overBudget({ maxCredits, model, attempt, basePrice }: BudgetedAttempt): string | null {
  const ends = 'Nothing was sent and nothing was paid by this attempt.';
  if (basePrice === null) {
    return `options.maxCredits allows ${maxCredits} credits, and the list of models names no price for "${model}". ${ends}`;
  }
  if (basePrice * attempt <= maxCredits) return null;
  const sum = attempt === 1 ? `${basePrice}` : `${basePrice} x ${attempt} attempts = ${basePrice * attempt}`;
  return `options.maxCredits allows ${maxCredits} credits, and "${model}" starts at ${sum}. ${ends}`;
}

/** The estimated cost of generations, one attempt each. */
export interface CreditEstimate {
  /** Sum of the known starting prices. */
  readonly total: number;
  /** In order; `credits` is null where the list of models names no price. */
  readonly requests: readonly { readonly model: string; readonly credits: number | null }[];
  /** Models without a known price. */
  readonly unknown: readonly string[];
  /** The balance of the account; null where the API names none. */
  readonly currentCredits: number | null;
  /** Whether the balance covers the total; null where a price or the balance is not known. */
  readonly enough: boolean | null;
}

export function creditEstimate(models: readonly string[], { prices, currentCredits }: EstimateResult): CreditEstimate {
  const requests = models.map((model) => ({ model, credits: prices[model] ?? null }));
  const total = requests.reduce((sum, { credits }) => sum + (credits ?? 0), 0);
  const unknown = [...new Set(requests.filter(({ credits }) => credits === null).map(({ model }) => model))];
  const short = currentCredits !== null && total > currentCredits;
  // The known prices alone may pass the balance.
  const enough = short ? false : currentCredits === null || unknown.length > 0 ? null : true;
  return { total, requests, unknown, currentCredits, enough };
}
