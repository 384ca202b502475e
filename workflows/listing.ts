/** What the Service shows of this Workflow without a Worker: its memo and its search attributes. */
import { defineSearchAttributeKey } from '@temporalio/common';
import { upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { MEMO_FIELD, SEARCH_ATTRIBUTES, type Attributes, type GenerationState } from '../src/contract/index.js';
import { listingOf, memoOf } from '../src/policy/index.js';

/** Writes the memo, which is one event. */
export function writeMemo(state: GenerationState, about: Parameters<typeof memoOf>[1]): void {
  const { baseKey, labels, bodyDigest } = about;
  upsertMemo({ [MEMO_FIELD]: memoOf(state, { baseKey, labels, bodyDigest }) });
}

/** What an Activity says of the search attributes, as a change of the state. Without a word nothing changes. */
export function listable(attributes: Attributes | undefined): Partial<GenerationState> {
  return attributes === undefined ? {} : { listable: attributes };
}

/**
 * Writes the search attributes that have changed, which is one event and one billed action. Only for a namespace that has
 * them: the Service refuses a Workflow Task with an unknown one, for ever.
 */
export function writeAttributes(state: GenerationState): void {
  const written = workflowInfo().typedSearchAttributes;
  const { RivyaStatus, RivyaModel, RivyaTaskId, RivyaCredits } = listingOf(state);
  const changes = [
    { key: defineSearchAttributeKey('RivyaStatus', SEARCH_ATTRIBUTES.RivyaStatus), value: RivyaStatus },
    { key: defineSearchAttributeKey('RivyaModel', SEARCH_ATTRIBUTES.RivyaModel), value: RivyaModel },
    { key: defineSearchAttributeKey('RivyaTaskId', SEARCH_ATTRIBUTES.RivyaTaskId), value: RivyaTaskId },
    { key: defineSearchAttributeKey('RivyaCredits', SEARCH_ATTRIBUTES.RivyaCredits), value: RivyaCredits },
    // What is not known stays as it is.
  ].filter(({ key, value }) => value !== null && value !== written.get(key as never));
  if (changes.length > 0) upsertSearchAttributes(changes);
}
