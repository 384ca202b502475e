/** From a record of the input to items: defaults, the judgement of `readInput`, IDs and names of Workflows. */
import type { BatchItem } from '../../contract/batch.js';
import type { GenerateMediaInput, GenerationOptions } from '../../contract/index.js';
import { InvalidInput, isPlainObject } from '../../policy/fields.js';
import { identityOf, readInput, type Generation } from '../../policy/input.js';
import type { Draft } from './columns.js';
import { derivedId, givenId, type ItemIds } from './ids.js';
import { referenceOf } from './references.js';

/** An item before the prices of the whole batch are known. */
export type UnpricedItem = Omit<BatchItem, 'priceClass'>;

/** Values of columns that an input does not have, or that are empty on a line. */
export interface InputDefaults {
  readonly model?: string;
  readonly prompt?: string;
  /** A line adds to these, and replaces those of the same name. */
  readonly params?: GenerateMediaInput['params'];
  readonly references?: GenerateMediaInput['references'];
  /** As `params`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** 1 to 1,000, default 1. */
  readonly repeat?: number;
  /** Options of every generation. */
  readonly options?: GenerationOptions;
}

export interface ItemContext {
  readonly batchId: string;
  readonly defaults: InputDefaults;
  /** Folder of the input file. */
  readonly directory: string;
  readonly ids: ItemIds;
  /** The digest that the Workflow `<batch>/<id>` was first started with, by ID, of items that an earlier manifest has. */
  readonly earlier: ReadonlyMap<string, string>;
  /** Throws InvalidInput for a request that the API would refuse. */
  readonly check: (generation: Generation) => void;
}

export const MOST_VARIANTS = 1_000;
const SUFFIX_HEX = 12;

/** The items of a record: one, or as many as it repeats. @throws InvalidInput */
export function itemsOf({ line, fields, carried }: Draft, context: ItemContext): UnpricedItem[] {
  const { batchId, defaults, directory, ids, earlier, check } = context;
  const repeat = fields.repeat ?? defaults.repeat ?? 1;
  if (typeof repeat !== 'number' || !Number.isInteger(repeat) || repeat < 1 || repeat > MOST_VARIANTS) {
    throw new InvalidInput('repeat', `must be a whole number from 1 to ${MOST_VARIANTS}`);
  }
  const input = withoutUndefined({
    model: fields.model ?? defaults.model,
    prompt: fields.prompt ?? defaults.prompt,
    params: merged(defaults.params, fields.params),
    references: referencesOf(fields.references, directory) ?? defaults.references,
    labels: merged(defaults.labels, fields.labels),
    options: defaults.options,
  });
  const generation = readInput(input);
  check(generation);
  const { digest } = identityOf(generation);
  const base = givenId(fields.id) ?? derivedId(generation, digest);
  return Array.from({ length: repeat }, () => {
    const { id, variant } = ids.next(base, digest, line);
    const first = earlier.get(id) ?? digest;
    // The Workflow of this ID has another input, so this item needs another one. No ID has an @.
    const workflowId = `${batchId}/${id}${first === digest ? '' : `@${digest.slice(0, SUFFIX_HEX)}`}`;
    return { id, variant, workflowId, input: input as unknown as GenerateMediaInput, digest, carried };
  });
}

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function merged(defaults: object | undefined, given: unknown): unknown {
  return isPlainObject(given) && defaults !== undefined ? { ...defaults, ...given } : (given ?? defaults);
}

function referencesOf(given: unknown, directory: string): unknown {
  if (!Array.isArray(given)) return given;
  return given.map((reference: unknown, index) => referenceOf(reference, directory, `references[${index}]`));
}
