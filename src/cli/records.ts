/** All that a store or a namespace says of what was paid, and what in it cannot be read. */
import type { Client } from '@temporalio/client';
import {
  PAID_RUNS,
  paidRuns,
  recordsOfChat,
  recordsOfReceipts,
  recordsOfRuns,
  type KeyRecord,
  type PaidRun,
} from '../../activities/facts.js';
import type { Receipts } from '../storage/index.js';

/** A record that cannot be read: its Workflow ID (null where not even that is known), its task where one is, and why. */
export interface Unread {
  readonly workflowId: string | null;
  readonly taskId?: string | null;
  readonly why: string;
}

const SHOWN = 10;

/** How many records cannot be read, and the first of them. */
export function notRead(unread: readonly Unread[], missing: string): string {
  const shown = unread.slice(0, SHOWN).map(({ workflowId, taskId, why }) => {
    const task = taskId == null ? '' : `its task is ${taskId}; `;
    return `${workflowId ?? 'a generation'} (${task}${why})`;
  });
  const more = unread.length > SHOWN ? ' and others; --json names all' : '';
  return `${unread.length} not read: ${shown.join(', ')}${more}. ${missing} The Temporal UI may show them, encrypted ones with your codec server.`;
}

/** What the receipts of a store say. */
export async function recordsOfStore(receipts: Receipts) {
  const found: { readonly own: readonly KeyRecord[]; readonly broken: readonly Error[] }[] = [];
  for await (const { broken, ...folder } of receipts.all()) found.push({ own: recordsOfReceipts(folder), broken });
  for await (const { broken, ...folder } of receipts.chats.all()) found.push({ own: recordsOfChat(folder), broken });
  const unread = found.flatMap(({ own: [one], broken }): Unread[] =>
    broken.map(({ message: why }) => ({ workflowId: one?.workflowId ?? null, why })),
  );
  return { records: found.flatMap(({ own }) => own), unread };
}

/** What the memos of all runs in a namespace say. */
export async function recordsOfTemporal(client: Client) {
  const runs: PaidRun[] = [];
  for await (const run of paidRuns(client, PAID_RUNS)) runs.push(run);
  const generations = [...groupBy(runs, ({ workflowId }) => workflowId).values()];
  const records = generations.flatMap((own) => recordsOfRuns(own, client.options.namespace));
  const unread = new Map<string, Unread>();
  for (const { workflowId, unread: why } of runs) if (why !== undefined) unread.set(workflowId, { workflowId, why });
  const oldest = runs.map(({ startTime }) => startTime.toISOString()).toSorted()[0] ?? null;
  return { records, oldest, unread: [...unread.values()] };
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item)) ?? [];
    group.push(item);
    groups.set(keyOf(item), group);
  }
  return groups;
}
