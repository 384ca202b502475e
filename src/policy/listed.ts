/**
 * What the API's list of models says against a request. It guarantees that only what the list proves wrong is refused:
 * what the list leaves out, or says in a form that this version cannot read, is for the API to judge. Activities, batches
 * and the command line call it. It asks no API.
 */
import type { AskedOfList, ListedParam } from '../contract/index.js';
import { REFERENCE_ITEMS } from './body.js';
import { InvalidInput } from './fields.js';
import { nearest } from './nearest.js';
import type { Paid } from './text.js';

/** A model as the list describes it. */
export interface ListedModel {
  readonly id: string;
  readonly category: string | null;
  readonly apiStatus: string | null;
  /** In characters. */
  readonly maxPromptLength: number | null;
  /** Null or empty: the list does not name them. */
  readonly params: readonly ListedParam[] | null;
}

export interface ModelList {
  readonly models: readonly ListedModel[];
  /** False where there may be models that are not in it. */
  readonly whole: boolean;
}

// Documented words for models that the API does not offer, or not yet.
const NOT_OFFERED = ['coming_soon', 'studio_only'];

/** The first thing in a request that the list proves wrong, or null. */
export function listedProblem(asked: AskedOfList, { models, whole }: ModelList): InvalidInput | null {
  const { model, promptLength = 0 } = asked;
  const found = models.find(({ id }) => id === model);
  if (found === undefined) {
    if (!whole || models.length === 0) return null;
    const fitting = models.filter((one) => !isOfOtherCall(one, asked.paid)).map(({ id }) => id);
    return new InvalidInput('model', `the list of models has no "${model}"${didYouMean(model, fitting)}`);
  }
  if (isOfOtherCall(found, asked.paid)) {
    const makes = found.category === 'chat' ? 'answers chats and makes no media' : `makes ${found.category}, not chats`;
    return new InvalidInput('model', `"${model}" ${makes}`);
  }
  if (found.apiStatus !== null && NOT_OFFERED.includes(found.apiStatus)) {
    return new InvalidInput('model', `"${model}" cannot be called by the API (${found.apiStatus})`);
  }
  if (found.maxPromptLength !== null && promptLength > found.maxPromptLength) {
    return new InvalidInput('prompt', `has ${promptLength} characters, and "${model}" takes ${found.maxPromptLength}`);
  }
  return paramProblem(asked, found.params ?? []);
}

/** True for a chat model in a generation, and for a model that makes media in a chat. */
function isOfOtherCall({ category }: ListedModel, paid: Paid): boolean {
  return paid === 'task' ? category === 'chat' : ['image', 'video', 'audio'].includes(category ?? '');
}

function paramProblem({ model, paramTypes }: AskedOfList, params: readonly ListedParam[]): InvalidInput | null {
  if (params.length === 0) return null;
  const names = params.map(({ name }) => name);
  for (const [name, type] of Object.entries(paramTypes)) {
    // Every model with references takes them there.
    if (name === REFERENCE_ITEMS) continue;
    const known = params.find((param) => param.name === name);
    if (known === undefined) {
      const problem = `is no parameter of "${model}"${didYouMean(name, names)}; it has ${names.join(', ')}`;
      return new InvalidInput(`params.${name}`, problem);
    }
    const needed = typeOf(known);
    if (needed === null || type === 'null' || type === needed) continue;
    return new InvalidInput(
      `params.${name}`,
      `must be a ${needed}, as each "${known.type}" parameter, not of type ${type}`,
    );
  }
  return null;
}

/** The JSON type of the values of a parameter; null where the list does not prove one. */
function typeOf({ type, options }: ListedParam): string | null {
  if (type === 'number') return 'number';
  if (type === 'text') return 'string';
  // They travel as texts, also numbers and yes or no, unless the list itself shows others.
  const allTexts = options !== null && options.length > 0 && options.every((option) => typeof option === 'string');
  return type === 'select' && allTexts ? 'string' : null;
}

/** Whether a param is given as text. Where the list does not prove it, its values and the word for its type decide. */
export function isGivenAsText(param: ListedParam): boolean {
  const { type, options, default: preset } = param;
  const needed = typeOf(param);
  if (needed !== null) return needed === 'string';
  const shown = [...(options ?? []), ...(preset === null ? [] : [preset])];
  return shown.length > 0 ? shown.some((value) => typeof value === 'string') : !/^(bool|int|float)/.test(type ?? '');
}

function didYouMean(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === null ? '' : ` (did you mean "${meant}"?)`;
}
