import type { Client } from '@temporalio/client';
import { rawRuns, READABLE_EVENTS, readRun, type PastRun } from '../../activities/index.js';
import { WORKFLOW_TYPE } from '../contract/index.js';
import { idOf, readable, runsOf, type RawRun } from './runs.js';

/** A run of a Workflow that is not ours, and may have steps that are. */
export interface OwnRun {
  readonly workflowId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null where it could not be read: too long, or under a codec that the command line does not have. */
  readonly past: PastRun | null;
}

const OTHERS = `WorkflowType != '${WORKFLOW_TYPE}'`;

/**
 * Reads the histories of all Workflows but ours, one by one: nothing in the list says which of them have steps.
 * @param like - A visibility query that narrows the runs, or ''.
 */
export async function* ownRuns(client: Client, like: string): AsyncGenerator<OwnRun> {
  for await (const run of rawRuns(client, like === '' ? OTHERS : `${OTHERS} AND (${like})`)) yield* read(client, run);
}

/** The same for the runs of the Workflow IDs that a query chooses: a run that it leaves out may have the result. */
export async function* ownRunsOf(client: Client, like: string, query: string): AsyncGenerator<OwnRun> {
  const chosen = new Map<string, RawRun[]>();
  for await (const run of rawRuns(client, `${OTHERS} AND ${like} AND (${query})`)) {
    chosen.set(idOf(run), [...(chosen.get(idOf(run)) ?? []), run]);
  }
  for (const [workflowId, found] of chosen) {
    const runs = await runsOf(client, workflowId, `${OTHERS} AND ${like}`);
    for (const run of runs ?? found) yield* read(client, run);
  }
}

async function* read(client: Client, run: RawRun): AsyncGenerator<OwnRun> {
  const { workflowId, runId } = run.execution as { workflowId: string; runId: string };
  const startedAt = new Date(Number(run.startTime?.seconds ?? 0) * 1_000).toISOString();
  const long = Number(run.historyLength) > READABLE_EVENTS;
  const past = long ? null : await readable(() => readRun(client, { workflowId, runId }));
  if (past !== undefined) yield { workflowId, startedAt, past };
}
