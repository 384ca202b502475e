import type { GenerationHandle } from '../../src/client.js';
import type { GenerationState } from '../../src/contract/index.js';
import { until } from './until.js';

/** The state of a generation. Before its first milestone, a Worker that is slow to answer leaves nothing to read. */
export async function stateOf(handle: GenerationHandle): Promise<GenerationState> {
  let state: GenerationState | null = null;
  await until(async () => {
    state = (await handle.state()) as GenerationState | null;
    return state !== null;
  });
  return state as unknown as GenerationState;
}
