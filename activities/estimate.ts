/** The Activity `rivyaEstimate`: starting prices and the balance. `estimateCredits` calls it. It only reads and pays nothing. */
import { RivyaApiError } from '../src/api/index.js';
import type { EstimateInput, EstimateResult } from '../src/contract/index.js';
import { judgeRead } from '../src/policy/index.js';
import type { ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';
import { priceOf } from './price.js';

export async function rivyaEstimate(
  { models }: EstimateInput,
  { api, spending }: Pick<ActivityDependencies, 'api' | 'spending'>,
): Promise<EstimateResult> {
  const prices: Record<string, number | null> = {};
  for (const model of models) prices[model] = await priceOf(model, spending, 'The estimate');
  try {
    const { currentCredits } = await api.getCredits();
    return { prices, currentCredits };
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    throw callFailure(error, judgeRead(error), {});
  }
}
