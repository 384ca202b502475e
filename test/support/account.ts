/** The Workflow `rivyaAccount` of a harness. */
import type { WorkflowHandle } from '@temporalio/client';
import { ACCOUNT_MEMO_FIELD, ACCOUNT_QUERY, ACCOUNT_REPORT, ACCOUNT_WORKFLOW_TYPE } from '../../src/contract/index.js';
import { accountWorkflowId, apiTaskQueue, type AccountRequests } from '../../src/contract/index.js';
import type { AccountCause, AccountState, WorkerReport } from '../../src/contract/index.js';
import { callsPerMinute } from '../../src/policy/index.js';
import { queueAtService } from '../../src/temporal/queue-rate.js';
import type { Harness } from './harness.js';
import { until } from './until.js';

export type TestAccount = Awaited<ReturnType<typeof startAccount>>;

/** Starts the account of the Workers of a harness, as each Worker does. */
export async function startAccount({ temporal, taskQueue }: Pick<Harness, 'temporal' | 'taskQueue'>) {
  const workflowId = accountWorkflowId(taskQueue);
  const start = () =>
    temporal.workflow.start(ACCOUNT_WORKFLOW_TYPE, {
      workflowId,
      taskQueue,
      args: [{ taskQueue }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  await start();
  const handle: WorkflowHandle = temporal.workflow.getHandle(workflowId);
  const state = (): Promise<AccountState> => handle.query<AccountState>(ACCOUNT_QUERY);
  const untilState = (condition: (state: AccountState) => boolean): Promise<void> =>
    until(async () => condition(await state()));
  const atService = async () => (await queueAtService(temporal, apiTaskQueue(taskQueue))).setAtService;
  const cause = async (code: string): Promise<AccountCause | null> =>
    (await state()).causes.find((one) => one.code === code) ?? null;
  return {
    workflowId,
    handle,
    start,
    state,
    until: untilState,
    cause,
    /** Waits until the first look is there. */
    looked: () => untilState(({ look }) => look !== null),
    memo: async () => (await handle.describe()).memo?.[ACCOUNT_MEMO_FIELD] as AccountState,
    report: (change: Partial<WorkerReport> = {}) =>
      handle.signal(ACCOUNT_REPORT, { identity: 'worker-1', fingerprint: 'aaaa', perMinute: 600, ...change }),
    refused: (code: string, more: Partial<WorkerReport> = {}) =>
      handle.signal(ACCOUNT_REPORT, {
        identity: 'worker-1',
        fingerprint: 'aaaa',
        perMinute: 600,
        ...more,
        refused: [{ code, message: `The API says ${code}.`, requestId: 'req_1' }],
      }),
    request: (name: keyof AccountRequests, argument?: unknown): Promise<string> =>
      handle.executeUpdate<string, [unknown]>(name, { args: [argument] }),
    /** The rate at the Service. */
    atService,
    perMinute: async () => callsPerMinute((await atService())?.perSecond ?? 0),
    events: async () => (await handle.describe()).historyLength,
  };
}
