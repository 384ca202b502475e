import { activityInfo } from '@temporalio/activity';
import { RivyaApiError } from '../src/api/index.js';
import type { EstimateInput, EstimateResult } from '../src/contract/index.js';
import { judgeRead } from '../src/policy/index.js';
import type { ActivityDependencies } from './context.js';
import { callFailure, retryIn } from './failure.js';
import { priceOf } from './price.js';

/** Looks up starting prices and the balance. It only reads: what can pass is repeated for as long as it takes. */
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
    const { attempt } = activityInfo();
    throw callFailure(error, judgeRead(error), { attempt, retryInMs: retryIn(error) });
  }
}
