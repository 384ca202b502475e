/** The models of the API as people read them: a table of all, and what one of them takes. */
import type { ModelInfo } from '../api/index.js';
import type { Cell } from '../batch/csv.js';
import type { ListedParam } from '../contract/index.js';
import { isGivenAsText } from '../policy/listed.js';
import { nearest } from '../policy/nearest.js';
import { UsageError } from './errors.js';
import { printFacts, printTable } from './output.js';

const HEAD = ['MODEL', 'CATEGORY', 'FROM CREDITS', 'STATUS', 'INPUTS', 'MODES', 'PARAMS'];

// The completion scripts take the first column below one line of heads.
export function printModels(models: readonly ModelInfo[]): void {
  printTable([HEAD, ...models.map(rowOf)]);
}

function rowOf({ id, category, baseCredits, apiStatus, params, ...model }: ModelInfo): Cell[] {
  const names = params?.map(({ name }) => name).join(', ') ?? '';
  const lists = [model.supportedApiInputs.join(', '), model.supportedModes.join(', '), names];
  return [id, category, baseCredits, apiStatus, ...lists.map((list) => list || null)];
}

/** @throws UsageError where the list has none of this ID. */
export function modelOf(models: readonly ModelInfo[], id: string): ModelInfo {
  const found = models.find((model) => model.id === id);
  if (found !== undefined) return found;
  const ids = models.map((model) => model.id);
  const meant = nearest(id, ids);
  throw new UsageError(
    `model-id: the list of models has no "${id}"${meant === null ? '' : ` (did you mean "${meant}"?)`}.`,
  );
}

export function printModel(model: ModelInfo): void {
  const { id, params, baseCredits, billingType, maxPromptLength: longest, apiStatus, apiInputStatus } = model;
  const [named, listed] = [params ?? [], params !== null && params.length > 0];
  const billing = billingType === null ? '' : ` (${billingType})`;
  printFacts(id, [
    ['name', model.displayName],
    ['category', model.category],
    [
      'starting price',
      baseCredits === null ? 'not in the list' : `${baseCredits} credit${baseCredits === 1 ? '' : 's'}${billing}`,
    ],
    ['status', apiStatus],
    [
      'inputs',
      [model.supportedApiInputs.join(', '), apiInputStatus && `(${apiInputStatus})`].filter(Boolean).join(' ') || null,
    ],
    ['references', model.referenceMedia],
    ['modes', model.supportedModes.join(', ') || null],
    ['longest prompt', longest === null ? null : `${longest} characters`],
    ['params', listed ? null : 'not in the list: see the page of the model at the API'],
    ...named.map((param) => [`--param ${param.name}${isGivenAsText(param) ? '=' : ':='}`, aboutParam(param)] as const),
  ]);
}

function aboutParam({ type, required, default: preset, min, max, options }: ListedParam): string {
  const range = min === null && max === null ? null : `${min ?? '…'} to ${max ?? '…'}`;
  const facts = [type, required === true ? 'required' : null, options?.join(' | '), range];
  const known = [...facts, preset === null ? null : `default ${preset}`].filter((fact) => fact != null && fact !== '');
  return known.join(', ') || 'any';
}
