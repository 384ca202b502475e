import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ValueError } from '@temporalio/common';
import { rawRuns, READABLE_EVENTS, readRun, type PastRun } from '../../activities/index.js';
import { WORKFLOW_TYPE } from '../contract/index.js';

/** A run of a Workflow that is not ours, and may have steps that are. */
export interface OwnRun {
  readonly workflowId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null where it could not be read: too long, or under a codec that the command line does not have. */
  readonly past: PastRun | null;
}

/**
 * Reads the histories of all Workflows but ours, one by one: nothing in the list says which of them have steps.
 * @param query - A visibility query that narrows them, or ''.
 */
export async function* ownRuns(client: Client, query: string): AsyncGenerator<OwnRun> {
  const others = `WorkflowType != '${WORKFLOW_TYPE}'`;
  for await (const run of rawRuns(client, query === '' ? others : `${others} AND (${query})`)) {
    const { workflowId, runId } = run.execution as { workflowId: string; runId: string };
    const startedAt = new Date(Number(run.startTime?.seconds ?? 0) * 1_000).toISOString();
    const past = Number(run.historyLength) > READABLE_EVENTS ? null : await readable(client, { workflowId, runId });
    if (past !== undefined) yield { workflowId, startedAt, past };
  }
}

/** Null under a codec, undefined where the run is gone by now. */
async function readable(
  client: Client,
  run: { workflowId: string; runId: string },
): Promise<PastRun | null | undefined> {
  try {
    return await readRun(client, run);
  } catch (error) {
    if (error instanceof ValueError) return null;
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
