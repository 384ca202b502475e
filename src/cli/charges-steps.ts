import type { PastRun } from '../../activities/index.js';
import type { KeyRecord } from './charges.js';
import { ofAnswer, paidTask } from './charges-sources.js';
import type { Temporal } from './context.js';
import { ownRuns } from './own-runs.js';

/**
 * What the histories of your own Workflows tell of the steps in them.
 * @param since - ISO 8601: Workflows that had ended by then are left out.
 * @returns `oldest`: when the first of them that have any began, or null. `unread`: how many could not be read.
 */
export async function recordsOfSteps(
  { client, namespace }: Pick<Temporal, 'client' | 'namespace'>,
  since: string | undefined,
): Promise<{ records: KeyRecord[]; oldest: string | null; unread: number }> {
  const records: KeyRecord[] = [];
  let oldest: string | null = null;
  let unread = 0;
  const recent = since === undefined ? '' : `ExecutionStatus = 'Running' OR CloseTime >= '${since}'`;
  for await (const { workflowId, startedAt, past } of ownRuns(client, recent)) {
    if (past === null) unread += 1;
    const steps = past === null ? [] : ofSteps(past, { namespace, workflowId, startedAt });
    records.push(...steps);
    if (steps.length > 0 && (oldest === null || startedAt < oldest)) oldest = startedAt;
  }
  return { records, oldest, unread };
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
