/** All that a store or a namespace says of what was paid, and what in it cannot be read. */
import type { Client } from '@temporalio/client';
import type { Receipts } from '../storage/index.js';
import { recordsOfChat, recordsOfReceipts, recordsOfRuns, type KeyRecord } from './key-records.js';
import { PAID_RUNS, paidRuns, type PaidRun } from './paid-runs.js';

/** A record that cannot be read: its Workflow ID (null where not even that is known), its task where one is, and why. */
export type Unread = { readonly workflowId: string | null; readonly taskId?: string | null; readonly why: string };

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
  const records: KeyRecord[] = [];
  const unread: Unread[] = [];
  const add = (own: readonly KeyRecord[], broken: readonly Error[]): void => {
    records.push(...own);
    for (const { message: why } of broken) unread.push({ workflowId: own[0]?.workflowId ?? null, why });
  };
  for await (const { broken, ...folder } of receipts.all()) add(recordsOfReceipts(folder), broken);
  for await (const { broken, ...folder } of receipts.chats.all()) add(recordsOfChat(folder), broken);
  return { records, unread };
}

/** What the memos of all runs in a namespace say. */
export async function recordsOfTemporal(client: Client) {
  const runs: PaidRun[] = [];
  for await (const run of paidRuns(client, PAID_RUNS)) runs.push(run);
  const generations = [...groupBy(runs, ({ workflowId }) => workflowId).values()];
  const records = generations.flatMap((own) => recordsOfRuns(own, client.options.namespace));
  const oldest = runs.map(({ startTime }) => startTime.toISOString()).toSorted()[0] ?? null;
  return { records, oldest, unread: unreadAmong(runs) };
}

/** The Workflow IDs whose memos cannot be read, each once. */
export function unreadAmong(runs: readonly PaidRun[]): Unread[] {
  const unread = runs.flatMap(({ workflowId, unread: why }) => (why === undefined ? [] : [{ workflowId, why }]));
  return [...new Map(unread.map((one) => [one.workflowId, one])).values()];
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
