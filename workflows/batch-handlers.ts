/**
 * The query `batch` and the requests of `rivyaBatch`, each as Update with a validator and as Signal, because the Service's
 * batch operations send Signals. A Signal that a validator would refuse does nothing.
 */
import { ApplicationFailure, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { BATCH_QUERY, FAILURE, failureEnd, type BatchRequests, type BatchState } from '../src/contract/index.js';
import { BATCH_ANSWERS, BATCH_REQUESTS, BATCH_TEXTS, InvalidInput } from '../src/policy/index.js';
import type { BatchRun } from './batch-run.js';

/** Registers the handlers of `rivyaBatch`. */
export function registerBatchHandlers(run: BatchRun): void {
  setHandler(defineQuery<BatchState>(BATCH_QUERY), () => run.state, { description: BATCH_TEXTS.query });
  for (const name of Object.keys(BATCH_REQUESTS) as (keyof BatchRequests)[]) register(run, name);
}

function register(run: BatchRun, name: keyof BatchRequests): void {
  const description = BATCH_TEXTS[name];
  // The types of these three go together by the name.
  const read = BATCH_REQUESTS[name];
  const apply = run.apply[name] as (argument: unknown) => void;
  const answer = BATCH_ANSWERS[name] as (argument: unknown) => string;
  const problem = (argument: unknown): string | null => {
    try {
      return run.refusal(name, read(argument));
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      return error.problem;
    }
  };
  const validator = (argument?: unknown): void => {
    const why = problem(argument);
    if (why === null) return;
    throw ApplicationFailure.nonRetryable(failureEnd(FAILURE.InvalidInput, why), FAILURE.InvalidInput);
  };
  const handle = (argument?: unknown): string => {
    const request = read(argument);
    apply(request);
    return answer(request);
  };
  setHandler(defineUpdate<string, [unknown?]>(name), handle, { description, validator });
  const signalled = (argument?: unknown): void => void (problem(argument) === null && handle(argument));
  setHandler(defineSignal<[unknown?]>(name), signalled, { description });
}
