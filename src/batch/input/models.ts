/** What the list of models says about the input of a batch. */
import type { ModelInfo } from '../../api/index.js';
import type { Generation } from '../../policy/input.js';
import { askedOfList } from '../../policy/asked.js';
import { listedProblem } from '../../policy/listed.js';
import type { ParamType } from './params.js';

/** The list of models, also by their IDs; null where the list cannot be had. */
export type ModelList = {
  readonly models: readonly ModelInfo[];
  readonly whole: boolean;
  readonly byId: ReadonlyMap<string, ModelInfo>;
} | null;

/** @param whole - False where there may be models that are not in it. */
export function modelList(models: readonly ModelInfo[], whole = true): ModelList {
  return { models, whole, byId: new Map(models.map((model) => [model.id, model])) };
}

/**
 * The type of a param by the list; a text where the list does not name another one, because values of `select` params are
 * texts. Null: it cannot be known now.
 */
export function paramTypeOf(models: ModelList, model: string, param: string): ParamType | null {
  if (models === null) return null;
  const listed = models.byId.get(model);
  // A model that the whole list does not have is refused by its name.
  if (listed === undefined ? !models.whole : !listed.params) return null;
  const { type = null, options = null } = listed?.params?.find(({ name }) => name === param) ?? {};
  for (const named of ['number', 'boolean'] as const) {
    if (type === named || (options?.length && options.every((option) => typeof option === named))) return named;
  }
  return 'text';
}

/** @throws InvalidInput where the API would refuse the request by what its list of models says. */
export function checkModel({ body }: Generation, models: ModelList): void {
  if (models === null) return;
  const problem = listedProblem(askedOfList('task', body), models);
  if (problem !== null) throw problem;
}
