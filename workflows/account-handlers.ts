/** The query `account`, the Signal `report` of Workers, and the requests of `rivyaAccount`. Deterministic. */
import { defineQuery, defineSignal, setHandler } from '@temporalio/workflow';
import { ACCOUNT_QUERY, ACCOUNT_REPORT } from '../src/contract/index.js';
import type { AccountRequests, AccountState } from '../src/contract/index.js';
import { ACCOUNT_REQUESTS, ACCOUNT_TEXTS } from '../src/policy/index.js';
import type { AccountRun } from './account-run.js';
import { registerRequest } from './requests.js';

/** Registers the handlers of `rivyaAccount`. */
export function registerAccountHandlers(run: AccountRun): void {
  setHandler(defineQuery<AccountState>(ACCOUNT_QUERY), () => run.state, { description: ACCOUNT_TEXTS.query });
  const report = (argument?: unknown): void => run.report(argument);
  setHandler(defineSignal<[unknown?]>(ACCOUNT_REPORT), report, { description: ACCOUNT_TEXTS.report });
  for (const name of Object.keys(ACCOUNT_REQUESTS) as (keyof AccountRequests)[]) register(run, name);
}

function register(run: AccountRun, name: keyof AccountRequests): void {
  const read = ACCOUNT_REQUESTS[name];
  const apply = (argument: unknown): string => run.apply(name, read(argument));
  registerRequest(name, {
    description: ACCOUNT_TEXTS[name],
    refusal: (argument) => run.refusal(name, read(argument)),
    update: async (argument) => {
      const answer = apply(argument);
      return name === 'refresh' ? run.refreshed() : answer;
    },
    signal: apply,
  });
}
