import type { RivyaClient } from '../api/index.js';
import type { MediaKind } from '../contract/index.js';

// Models are added now and then; an hour-old list costs nothing but a video schedule for a new image model.
const FRESH_MS = 3_600_000;
// A failed look-up is tried again soon, but not with every submit.
const RETRY_MS = 60_000;

/**
 * Tells what kind of medium a model makes, from a cached `GET /models`. It answers at once with what it has: the
 * look-up runs behind, and neither its absence nor its failure is ever seen by a submit.
 */
export function modelKinds(api: Pick<RivyaClient, 'listModels'>, now: () => number = Date.now) {
  let kinds = new Map<string, MediaKind>();
  let nextLookUp = 0;

  async function lookUp(): Promise<void> {
    nextLookUp = now() + RETRY_MS;
    const { models } = await api.listModels();
    kinds = new Map(models.flatMap(({ id, kind }) => (kind === null ? [] : [[id, kind]])));
    nextLookUp = now() + FRESH_MS;
  }

  return {
    /** Loads the list in the background; call it when the Worker starts. */
    refresh: (): void => void lookUp().catch(() => undefined),
    kindOf(model: string | null): MediaKind | null {
      if (now() >= nextLookUp) this.refresh();
      return model === null ? null : (kinds.get(model) ?? null);
    },
  };
}
