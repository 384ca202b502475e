/**
 * The query `account`, the Signal `report` of Workers, and the requests of `rivyaAccount`, each as Update with a validator
 * and as Signal. A Signal that a validator would refuse does nothing. Deterministic.
 */
import { ApplicationFailure, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { ACCOUNT_QUERY, ACCOUNT_REPORT, FAILURE, failureEnd } from '../src/contract/index.js';
import type { AccountRequests, AccountState } from '../src/contract/index.js';
import { ACCOUNT_REQUESTS, ACCOUNT_TEXTS, InvalidInput } from '../src/policy/index.js';
import type { AccountRun } from './account-run.js';

/** Registers the handlers of `rivyaAccount`. */
export function registerAccountHandlers(run: AccountRun): void {
  setHandler(defineQuery<AccountState>(ACCOUNT_QUERY), () => run.state, { description: ACCOUNT_TEXTS.query });
  const report = (argument?: unknown): void => run.report(argument);
  setHandler(defineSignal<[unknown?]>(ACCOUNT_REPORT), report, { description: ACCOUNT_TEXTS.report });
  for (const name of Object.keys(ACCOUNT_REQUESTS) as (keyof AccountRequests)[]) register(run, name);
}

function register(run: AccountRun, name: keyof AccountRequests): void {
  const description = ACCOUNT_TEXTS[name];
  const read = ACCOUNT_REQUESTS[name];
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
  const apply = (argument?: unknown): string => run.apply(name, read(argument));
  const handle = async (argument?: unknown): Promise<string> => {
    const answer = apply(argument);
    return name === 'refresh' ? run.refreshed() : answer;
  };
  setHandler(defineUpdate<string, [unknown?]>(name), handle, { description, validator });
  const signalled = (argument?: unknown): void => void (problem(argument) === null && apply(argument));
  setHandler(defineSignal<[unknown?]>(name), signalled, { description });
}
