/** The part of a request that the API's list of models can judge. Workflows and Activities call it, before an upload or a submit. */
import type { AskedOfList, JsonValue } from '../contract/index.js';
import type { Paid } from './text.js';

/** A request, without the values of its params: an upload needs no more to be judged. */
export function askedOfList(paid: Paid, body: string): AskedOfList {
  const {
    model,
    prompt,
    params = {},
  } = JSON.parse(body) as {
    readonly model: string;
    readonly prompt?: string;
    readonly params?: Readonly<Record<string, JsonValue>>;
  };
  const kinds = Object.entries(params).map(([name, value]) => [name, jsonType(value)]);
  const paramTypes = Object.fromEntries(kinds) as Record<string, string>;
  return { paid, model, ...(prompt !== undefined && { promptLength: [...prompt].length }), paramTypes };
}

function jsonType(value: JsonValue): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
