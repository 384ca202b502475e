/** What `list` and `status` say of runs: one row for each, by its memo, and by the run itself where the memo says not why. */
import type { Client } from '@temporalio/client';
import { GenerationClient } from '../client.js';
import { isOpen } from '../contract/index.js';
import { formatDuration, isSettled } from '../policy/index.js';
import { delayOf, named } from '../temporal/pending.js';
import { describeRun, startsWith } from '../temporal/runs.js';
import { advice } from './advice.js';
import { heldHere } from './errors.js';
import { PAID_RUNS, paidRuns, type PaidRun } from './paid-runs.js';
import { endingOf } from './follow.js';
import { printTable, terminalWidth } from './output.js';

// Runs that are asked at the same time.
const AT_ONCE = 10;

export type Row = Awaited<ReturnType<typeof rowOf>>;
type Run = PaidRun & { readonly step?: string };

export async function rowsOf(client: Client, runs: readonly Run[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (let from = 0; from < runs.length; from += AT_ONCE) {
    rows.push(...(await Promise.all(runs.slice(from, from + AT_ONCE).map((run) => rowOf(client, run)))));
  }
  return rows;
}

export async function rowOf(client: Client, run: Run) {
  const { workflowId, type, startTime, closeTime, paid, step } = run;
  const { phase = null, taskId = null, model = null, status = null } = paid ?? {};
  const { reservedCredits = null, finalCredits = null, hold = null, labels = {} } = paid ?? {};
  const task = heldHere({ phase, taskId, model, status, reservedCredits, finalCredits, hold, labels });
  const durationMs = (closeTime ?? new Date()).getTime() - startTime.getTime();
  const reason = await reasonOf(client, run);
  const where = { state: stateOf(run), workflowStatus: run.status.name, reason: reason && advice(reason) };
  const times = { startedAt: startTime.toISOString(), durationMs };
  return { ...(step !== undefined && { step }), workflowId, type, ...where, ...task, ...times };
}

/** Where a run stands, in a word of `list --status`. */
export function stateOf({ status, paid }: PaidRun): string {
  return isOpen(status.name) && paid?.phase === 'held' ? 'held' : status.name.toLowerCase().replaceAll('_', ' ');
}

/** Why a run is held, has not been submitted yet or ended without a result; null where there is nothing to say. */
async function reasonOf(client: Client, run: Run): Promise<string | null> {
  const { workflowId, runId, status, paid, unread } = run;
  if (unread !== undefined) return `not readable: ${unread}`;
  if (paid?.phase === 'held' && paid.hold != null) return named(paid.hold.code, paid.hold.message);
  if (isOpen(status.name)) {
    const description =
      paid === null || paid.phase === 'submitting' ? await describeRun(client, workflowId, runId) : null;
    return (description && (await delayOf(client, description))?.text) ?? null;
  }
  if (status.name === 'COMPLETED' || status.name === 'CONTINUED_AS_NEW') return null;
  const ending = await endingOf(new GenerationClient(client).handle(workflowId, runId)).catch((error: Error) => error);
  if (ending instanceof Error) return ending.message;
  if (ending.kind !== 'failure') return null;
  const { code, message, details } = ending.error;
  return named(code, advice(message, details.field));
}

/** The latest run of each step of a Workflow, in the order in which they started: its children, named `<parent>/<step>`. */
export async function stepsOf(client: Client, parent: string) {
  const latest = new Map<string, PaidRun & { readonly step: string }>();
  for await (const run of paidRuns(client, `${PAID_RUNS} AND ${startsWith(`${parent}/`)}`)) {
    const { startTime } = latest.get(run.workflowId) ?? {};
    if (!run.workflowId.startsWith(`${parent}/`) || (startTime !== undefined && startTime > run.startTime)) continue;
    latest.set(run.workflowId, { ...run, step: run.workflowId.slice(parent.length + 1) });
  }
  return [...latest.values()].toSorted((a, b) => a.startTime.getTime() - b.startTime.getTime());
}

/** Prints rows for people, as wide as the terminal. */
export function printRows(rows: readonly Row[], head: string): void {
  const heads = [head, 'STATUS', 'MODEL', 'TASK', 'CREDITS', 'STARTED (UTC)', 'DURATION', 'REASON'];
  const cells = rows.map((row) => [
    row.step ?? row.workflowId,
    row.state,
    row.model,
    row.taskId,
    // `final_credits` may stay 0 until the task has ended, and a Workflow can end before its task.
    (isSettled(row) ? row.finalCredits : null) ?? row.reservedCredits,
    row.startedAt.slice(0, 16).replace('T', ' '),
    formatDuration(row.durationMs),
    row.reason ?? (isOpen(row.workflowStatus) ? row.phase : null),
  ]);
  printTable([heads, ...cells], '', terminalWidth());
}
