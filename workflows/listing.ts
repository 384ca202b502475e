/**
 * The memo and the search attributes of a paid Workflow: what the Service shows when no Worker runs. `Progress` calls
 * it at each milestone. It decides nothing: `src/policy/state.ts` says what stands there. Deterministic.
 */
import { defineSearchAttributeKey, type SearchAttributeUpdatePair } from '@temporalio/common';
import { upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { MEMO_FIELD, SEARCH_ATTRIBUTES, type GenerationState } from '../src/contract/index.js';
import { memoOf, searchAttributesOf } from '../src/policy/index.js';

type Name = keyof typeof SEARCH_ATTRIBUTES;

/** Writes the memo, which is one event. */
export function writeMemo(state: GenerationState, about: Parameters<typeof memoOf>[1]): void {
  const { baseKey, labels, bodyDigest } = about;
  upsertMemo({ [MEMO_FIELD]: memoOf(state, { baseKey, labels, bodyDigest }) });
}

/**
 * Writes the search attributes that have changed, which is one event and one billed action. Only for a namespace that has
 * them: the Service refuses a Workflow Task with an unregistered attribute, for ever.
 */
export function writeAttributes(state: GenerationState): void {
  const written = workflowInfo().typedSearchAttributes;
  const values = Object.entries(searchAttributesOf(state)) as [Name, string | number | null][];
  const changes = values
    .map(([name, value]) => ({ key: defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name]), value }))
    // An attribute without a known value keeps the last one.
    .filter(({ key, value }) => value !== null && value !== written.get(key as never));
  if (changes.length > 0) upsertSearchAttributes(changes as SearchAttributeUpdatePair[]);
}
