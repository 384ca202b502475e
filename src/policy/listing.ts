import { ERROR_CODES, FAILURE, type GenerationState } from '../contract/index.js';
import { isSettled } from './state.js';

/** The values of the search attributes for a state; null where nothing is known. */
export function listingOf(
  state: Pick<GenerationState, 'phase' | 'status' | 'hold' | 'model' | 'taskId' | 'reservedCredits' | 'finalCredits'>,
) {
  const { model, taskId, finalCredits, reservedCredits } = state;
  // Until a task has ended the API may say 0, which is no price.
  const credits = (isSettled(state) ? finalCredits : null) ?? reservedCredits;
  return { RivyaStatus: statusOf(state), RivyaModel: model, RivyaTaskId: taskId, RivyaCredits: credits };
}

function statusOf({ phase, status, hold }: Pick<GenerationState, 'phase' | 'status' | 'hold'>): string {
  if (phase === 'held') {
    const code = hold?.code ?? '';
    // Only codes of the table: whoever filters by them must be able to name them.
    return `held:${Object.hasOwn(ERROR_CODES, code) || Object.hasOwn(FAILURE, code) ? code : 'other'}`;
  }
  if (phase === 'succeeded' || phase === 'failed' || phase === 'cancelled') return phase;
  if (phase === 'waiting' || phase === 'storing') return status === 'queued' ? 'queued' : 'processing';
  return 'submitting';
}
