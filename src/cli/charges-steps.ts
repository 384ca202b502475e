import type { KeyRecord } from './charges.js';
import { ofSubmits, wholeOf } from './charges-sources.js';
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
    // Steps of versions from before there were receipts say no more than their key.
    const steps = past === null ? [] : ofSubmits(past, { namespace, workflowId, startedAt }, wholeOf({}));
    records.push(...steps);
    if (steps.length > 0 && (oldest === null || startedAt < oldest)) oldest = startedAt;
  }
  return { records, oldest, unread };
}
