/** The account of a harness as its Workers see it: by its memo. */
import type { WorkflowHandle } from '@temporalio/client';
import { ACCOUNT_MEMO_FIELD, accountWorkflowId, type AccountState } from '../../src/contract/index.js';
import { readAccountMemo } from '../../src/policy/account-memo.js';
import type { Harness } from './harness.js';
import { until } from './until.js';

export function accountOf({ temporal, taskQueue }: Harness): WorkflowHandle {
  return temporal.workflow.getHandle(accountWorkflowId(taskQueue));
}

/** What its memo says; null while there is none. */
export async function accountState(harness: Harness): Promise<AccountState | null> {
  const described = await accountOf(harness)
    .describe()
    .catch(() => null);
  return readAccountMemo(described?.memo?.[ACCOUNT_MEMO_FIELD]);
}

/** Waits until the account knows so many Workers. */
export async function untilKnown(harness: Harness, workers = 1): Promise<void> {
  await until(async () => Object.keys((await accountState(harness))?.workers ?? {}).length >= workers);
}

/** Signals that the account has got. */
export async function reportsTo(harness: Harness): Promise<number> {
  const { events } = await accountOf(harness).fetchHistory();
  const signals = events?.filter(({ workflowExecutionSignaledEventAttributes: signal }) => signal != null) ?? [];
  return signals.length;
}

/** Running Workflows with this status. */
export async function countOf({ temporal }: Harness, status: string): Promise<number> {
  const query = `RivyaStatus = '${status}' AND ExecutionStatus = 'Running'`;
  return (await temporal.workflow.count(query)).count;
}
