import type { ModelInfo, RivyaClient } from '../api/index.js';
import type { MediaKind } from '../contract/index.js';

// Models are added now and then; an hour-old list costs nothing but a video schedule for a new image model.
const FRESH_MS = 3_600_000;
// A failed look-up is tried again soon, but not with every submit.
const RETRY_MS = 60_000;

/** What the list says of models, from one cached `GET /models` for all who ask. */
export interface Models {
  /** Loads the list in the background; call it when the Worker starts. */
  refresh(): void;
  /** Kind of medium that a model makes. Answers at once with what is there; the look-up runs behind and never fails. */
  kindOf(model: string | null): MediaKind | null;
  /**
   * The starting price of a model in credits, by a list that is at most an hour old (a minute, where the model is not in
   * it); null where the list does not tell. What a generation costs is its `reserved_credits`, which may be more.
   * @throws RivyaApiError when there is no such list and the API gives none now.
   */
  basePrice(model: string): Promise<number | null>;
}

export function cachedModels(api: Pick<RivyaClient, 'listModels'>, now: () => number = Date.now): Models {
  let models = new Map<string, ModelInfo>();
  let loadedAt = -Infinity;
  let nextLookUp = -Infinity;
  let underWay: Promise<void> | null = null;

  async function load(): Promise<void> {
    nextLookUp = now() + RETRY_MS;
    const list = await api.listModels();
    models = new Map(list.models.map((model) => [model.id, model]));
    loadedAt = now();
    nextLookUp = loadedAt + FRESH_MS;
  }

  // A thousand submits that ask at the same time make one call.
  function lookUp(): Promise<void> {
    underWay ??= load().finally(() => {
      underWay = null;
    });
    return underWay;
  }

  return {
    refresh: () => void lookUp().catch(() => undefined),
    kindOf(model) {
      if (now() >= nextLookUp) this.refresh();
      return model === null ? null : (models.get(model)?.kind ?? null);
    },
    async basePrice(model) {
      // A model that is not in the list may have been added a moment ago.
      if (now() >= loadedAt + (models.has(model) ? FRESH_MS : RETRY_MS)) await lookUp();
      return models.get(model)?.baseCredits ?? null;
    },
  };
}
