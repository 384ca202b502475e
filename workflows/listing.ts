/** The search attributes of this Workflow: written where they have changed. */
import { defineSearchAttributeKey } from '@temporalio/common';
import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES, type GenerationState } from '../src/contract/index.js';
import { listingOf } from '../src/policy/index.js';

/** Only where an Activity has said that the namespace has them: the Service refuses a Workflow Task with an unknown one, for ever. */
export function list(state: GenerationState): void {
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
