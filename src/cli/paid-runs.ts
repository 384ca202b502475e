/** The runs of all Workflows that pay, as `list`, `charges` and the commands on many Workflows read them. It changes none. */
import type { Client } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { judgedMemo, type PaidRun } from '../../activities/facts.js';
import { CHAT_WORKFLOW_TYPE, MEMO_FIELD, WORKFLOW_TYPE } from '../contract/index.js';
import { decoded, listedRuns } from '../temporal/runs.js';

export type { PaidRun } from '../../activities/facts.js';

/** Visibility query for all Workflows that pay: generations and chats. */
export const PAID_RUNS = `WorkflowType IN ('${WORKFLOW_TYPE}', '${CHAT_WORKFLOW_TYPE}')`;

/** The runs that a query finds, newest first. */
export async function* paidRuns(client: Client, query: string): AsyncGenerator<PaidRun> {
  const { loadedDataConverter, namespace } = client.options;
  for await (const raw of listedRuns(client, query)) {
    const ours = raw.memo?.fields?.[MEMO_FIELD];
    // Other fields of the memo are not needed here, and may be under another codec.
    raw.memo = null;
    const info = await executionInfoFromRaw(raw, loadedDataConverter, raw, namespace);
    const memo = decoded(client, info.workflowId, 'memo', ours);
    yield { ...info, ...(await memo.then(judgedMemo, ({ message }: Error) => ({ paid: null, unread: message }))) };
  }
}
