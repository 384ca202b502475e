/**
 * The Activity `rivyaRead`: a read of the API within the rate of its queue. The account asks by it whether a cause is over;
 * the command shows its answer. A refusal is a result, since it answers the question. It pays nothing.
 */
import { RivyaApiError } from '../src/api/index.js';
import type { ReadInput, ReadResult } from '../src/contract/index.js';
import { judgeRead } from '../src/policy/index.js';
import { sideEffect, type ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';

export async function rivyaRead(
  { what }: ReadInput,
  { api, keys, onStep }: Pick<ActivityDependencies, 'api' | 'keys' | 'onStep'>,
): Promise<ReadResult> {
  let fingerprint: string | null = null;
  try {
    fingerprint = (await keys.current())?.fingerprint() ?? null;
    const read = async () => (what === 'models' ? api.listModels() : api.getCredits());
    const { serverTime: _, simulated, ...body } = await sideEffect(onStep, 'GET', read);
    return { body, refused: null, fingerprint, simulated };
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    const verdict = judgeRead(error);
    if (verdict.retry) throw callFailure(error, verdict, {});
    const { httpStatus, requestId, message } = error;
    return {
      body: null,
      refused: { code: verdict.code, message, requestId, httpStatus },
      fingerprint,
      simulated: false,
    };
  }
}
