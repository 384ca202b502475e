import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelInfo, RivyaClient } from '../api/index.js';
import type { AskedOfList, MediaKind } from '../contract/index.js';
import type { InvalidInput } from '../policy/index.js';
import { listedProblem, type ModelList } from '../policy/listed.js';

// Models are added now and then; an hour-old list costs nothing but a video schedule for a new image model.
const FRESH_MS = 3_600_000;
// A failed look-up is tried again soon, but not with every submit.
const RETRY_MS = 60_000;
// A submit has 75 s, of which its POST may take 60.
const PATIENCE_MS = 5_000;

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
  /**
   * What a list proves wrong in a request, or null: also where no list that is at most a minute old says so. It never fails,
   * and waits at most {@link PATIENCE_MS} for a list.
   */
  problemOf(request: AskedOfList): Promise<InvalidInput | null>;
}

export function cachedModels(api: Pick<RivyaClient, 'listModels'>, now: () => number = Date.now): Models {
  let list: ModelList = { models: [], whole: false };
  let models = new Map<string, ModelInfo>();
  let loadedAt = -Infinity;
  let triedAt = -Infinity;
  let nextLookUp = -Infinity;
  let underWay: Promise<void> | null = null;

  async function load(): Promise<void> {
    triedAt = now();
    nextLookUp = triedAt + RETRY_MS;
    const { models: all, whole } = await api.listModels();
    models = new Map(all.map((model) => [model.id, model]));
    list = { models: all, whole };
    loadedAt = now();
    nextLookUp = loadedAt + FRESH_MS;
  }

  // A thousand submits that ask at the same time make one call.
  const lookUp = (): Promise<void> => (underWay ??= load().finally(() => (underWay = null)));

  /** At most once a minute, also after a failure: a submit must not cost two calls. It never fails. */
  async function renewed(): Promise<void> {
    if (underWay === null && now() < triedAt + RETRY_MS) return;
    const late = sleep(PATIENCE_MS, undefined, { ref: false });
    await Promise.race([lookUp(), late]).catch(() => undefined);
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
    async problemOf(request) {
      const isOlder = (ms: number): boolean => now() >= loadedAt + ms;
      if (isOlder(FRESH_MS)) await renewed();
      if (isOlder(FRESH_MS) || listedProblem(request, list) === null) return null;
      // A model or a parameter that is not in the list may have been added a moment ago.
      if (isOlder(RETRY_MS)) await renewed();
      return isOlder(RETRY_MS) ? null : listedProblem(request, list);
    },
  };
}
