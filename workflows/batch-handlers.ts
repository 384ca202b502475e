/** The query `batch` and the requests of `rivyaBatch`. Deterministic. */
import { defineQuery, setHandler } from '@temporalio/workflow';
import { BATCH_QUERY, type BatchRequests, type BatchState } from '../src/contract/index.js';
import { BATCH_ANSWERS, BATCH_REQUESTS, BATCH_TEXTS } from '../src/policy/index.js';
import type { BatchRun } from './batch-run.js';
import { registerRequest } from './requests.js';

/** Registers the handlers of `rivyaBatch`. */
export function registerBatchHandlers(run: BatchRun): void {
  setHandler(defineQuery<BatchState>(BATCH_QUERY), () => run.state, { description: BATCH_TEXTS.query });
  for (const name of Object.keys(BATCH_REQUESTS) as (keyof BatchRequests)[]) register(run, name);
}

function register(run: BatchRun, name: keyof BatchRequests): void {
  // The types of these three go together by the name.
  const read = BATCH_REQUESTS[name];
  const apply = run.apply[name] as (argument: unknown) => void;
  const answer = BATCH_ANSWERS[name] as (argument: unknown) => string;
  const handle = (argument: unknown): string => {
    const request = read(argument);
    apply(request);
    return answer(request);
  };
  registerRequest(name, {
    description: BATCH_TEXTS[name],
    refusal: (argument) => run.refusal(name, read(argument)),
    update: handle,
    signal: handle,
  });
}
