import type { Client } from '@temporalio/client';
import { ValueError } from '@temporalio/common';
import { rawRuns, READABLE_EVENTS, readRun, type PastRun } from '../../activities/index.js';
import { WORKFLOW_TYPE } from '../contract/index.js';
import type { KeyRecord } from './charges.js';
import { ofAnswer, paidTask } from './charges-sources.js';
import type { Temporal } from './context.js';

/**
 * What the histories of all other Workflows tell of the steps in them. They are fetched one by one, and nothing in the
 * list says which of them have any.
 * @param since - ISO 8601: Workflows that had ended by then are left out.
 * @returns `unread`: how many could not be read, because they are too long or under a codec.
 */
export async function recordsOfSteps(
  { client, namespace }: Pick<Temporal, 'client' | 'namespace'>,
  since: string | undefined,
): Promise<{ records: KeyRecord[]; unread: number }> {
  const records: KeyRecord[] = [];
  let unread = 0;
  const recent = since === undefined ? '' : ` AND (ExecutionStatus = 'Running' OR CloseTime >= '${since}')`;
  for await (const { execution, startTime, historyLength } of rawRuns(
    client,
    `WorkflowType != '${WORKFLOW_TYPE}'${recent}`,
  )) {
    const { workflowId, runId } = execution as { workflowId: string; runId: string };
    const startedAt = new Date(Number(startTime?.seconds ?? 0) * 1_000).toISOString();
    const past = Number(historyLength) > READABLE_EVENTS ? null : await readable(client, { workflowId, runId });
    if (past === null) unread += 1;
    else records.push(...ofSteps(past, { namespace, workflowId, startedAt }));
  }
  return { records, unread };
}

/** Null where its payloads are under a codec that the command line does not have. */
async function readable(client: Client, run: { workflowId: string; runId: string }): Promise<PastRun | null> {
  try {
    return await readRun(client, run);
  } catch (error) {
    if (error instanceof ValueError) return null;
    throw error;
  }
}

function ofSteps(
  { submits, checked }: PastRun,
  { startedAt, ...run }: { namespace: string; workflowId: string; startedAt: string },
): KeyRecord[] {
  return submits.map(({ identity, idempotencyKey, result, open, riskReason }): KeyRecord => {
    // Steps of versions from before there were receipts say no more than their key.
    const { step = null, take = 1, attempt = 1, model = '', labels = {} } = identity ?? {};
    const submitted = result?.answer === undefined ? result?.task : ofAnswer(result.answer, idempotencyKey);
    const last = submitted && (checked.get(submitted.taskId) ?? submitted);
    return {
      ...run,
      step,
      take,
      attempt,
      model,
      labels,
      idempotencyKey,
      tasks: last === undefined ? [] : [paidTask(last, startedAt)],
      unansweredSince: open === null ? null : new Date(open.firstPostedAt).toISOString(),
      riskReason,
    };
  });
}
