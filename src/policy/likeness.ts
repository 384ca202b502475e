/**
 * The params of a request that matter for how long its task takes. The durations of tasks with the same ones are counted
 * together.
 */
import type { MediaKind } from '../contract/index.js';
import { isPlainObject } from './fields.js';
import { digestOf } from './key.js';

// Two seeds or two texts give other media in the same time; a resolution or a length does not.
const OTHER = /seed|prompt|text|url/i;
// Longer texts are no choice from a list.
const LONGEST_CHOICE = 40;

/** The tasks that a task is like. */
export interface TaskLike {
  readonly model: string;
  /** Null where it is not known. */
  readonly kind: MediaKind | null;
  readonly likeness: string;
}

/**
 * A short digest of the numbers, switches and choices in the params of a request, and of how many things its lists hold.
 * @param body - The body of the request, as `requestBody` makes it.
 */
export function likenessOf(body: string): string {
  const { params } = JSON.parse(body) as { params?: unknown };
  const fields = isPlainObject(params) ? Object.entries(params) : [];
  const chosen = fields.filter(([name]) => !OTHER.test(name)).flatMap(([name, value]) => choiceIn(name, value));
  return digestOf(JSON.stringify(chosen.toSorted())).slice(0, 12);
}

function choiceIn(name: string, value: unknown): string[] {
  if (Array.isArray(value)) return [`${name}: ${value.length} things`];
  const isChoice = typeof value === 'number' || typeof value === 'boolean';
  const isShort = typeof value === 'string' && value.length <= LONGEST_CHOICE;
  // Values of `select` are texts, and some programs write them as numbers.
  return isChoice || isShort ? [`${name}: ${String(value)}`] : [];
}
