import {
  WorkflowNotFoundError,
  type Client,
  type WorkflowExecutionDescription,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import { CUT_OFF, rawRuns, readRun, startInput, type PastRun } from '../../activities/index.js';
import { memoOf } from '../client.js';
import { WORKFLOW_TYPE, type GenerateMediaInput } from '../contract/index.js';
import type { Receipts } from '../storage/index.js';
import type { Temporal } from './context.js';
import { GOES_ON, openOf, openTask, type LastSubmit, type Open, type PastGeneration } from './recovery.js';
import { idOf, infoOf, runsOf, type RawRun } from './runs.js';

// A run that continued as new, or that a reset ended, is not the last of its ID; one that completed has its result.
export const ENDED = {
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed out',
  CANCELLED: 'cancelled',
  FAILED: 'failed',
} as const;
const OURS = `WorkflowType = '${WORKFLOW_TYPE}'`;
const QUERY = `${OURS} AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed')`;

/** Something that a generation left open when it ended. */
export interface Found {
  readonly workflowId: string;
  readonly ended: string;
  readonly open: Open;
  /** What waits for it again; null where its Workflow ID stands for something else by now. */
  readonly start: { readonly input: GenerateMediaInput; readonly taskQueue: string } | null;
}

/**
 * Runs of generations that ended without a result, by Workflow ID.
 * @param query - A visibility query that chooses the Workflow IDs.
 */
export async function endedRuns(
  { client }: Pick<Temporal, 'client'>,
  query: string | undefined,
): Promise<Map<string, RawRun[]>> {
  const found = new Map<string, RawRun[]>();
  for await (const run of rawRuns(client, query === undefined ? QUERY : `${QUERY} AND (${query})`)) {
    found.set(idOf(run), [...(found.get(idOf(run)) ?? []), run]);
  }
  return found;
}

/**
 * What an ID left open, take by take: a take that runs or has its result takes nothing away from the others.
 * @param listed - Those of its runs that were found, for an ID that the Service cannot look up.
 * @throws ValueError where a codec is missing.
 */
export async function leftOpen(
  temporal: Pick<Temporal, 'client'>,
  workflowId: string,
  listed: readonly RawRun[],
  receipts: Receipts | null,
): Promise<Found[]> {
  const { client } = temporal;
  const latest = await describe(temporal, workflowId);
  if (latest === null) return [];
  const ours = latest.type === WORKFLOW_TYPE;
  // A run that was not chosen may have the result of one that was.
  const raws = (await runsOf(client, workflowId, OURS)) ?? listed;
  const others = raws.filter(({ execution }) => execution?.runId !== latest.runId);
  const infos = await Promise.all(others.map((raw) => infoOf(client, raw)));
  const earlier = infos.toSorted((a, b) => b.startTime.getTime() - a.startTime.getTime());
  const takes = new Map<number, PastGeneration[]>();
  for (const run of [...(ours ? [latest] : []), ...earlier]) {
    // The list trails the truth: a run that is not the latest has ended.
    const status = run !== latest && GOES_ON.has(run.status.name) ? 'TERMINATED' : run.status.name;
    const { take, ...past } = await pastOf(temporal, run, status);
    takes.set(take, [...(takes.get(take) ?? []), past]);
  }
  // The take of the latest run is the one that its Workflow ID stands for.
  const current = ours ? [...takes.keys()][0] : undefined;
  const found: Found[] = [];
  for (const [take, ofTake] of takes) {
    let ended = take === current ? await endOf(temporal, latest) : null;
    for (const open of await withReceipts(openOf(ofTake), receipts)) {
      const again = ended !== null && open.kind === 'task';
      const input = again ? await startInput(client, { workflowId, runId: open.runId }) : null;
      const start = again ? { input: input as GenerateMediaInput, taskQueue: latest.taskQueue } : null;
      found.push({ workflowId, ended: ended ?? `take ${take}`, open, start });
      // An ID can wait for one task.
      if (again) ended = null;
    }
  }
  return found;
}

/** What a run knows, and of which take. */
async function pastOf(
  { client }: Pick<Temporal, 'client'>,
  run: Omit<WorkflowExecutionInfo, 'raw'>,
  status: string,
): Promise<PastGeneration & { readonly take: number }> {
  const { runId } = run;
  const memo = memoOf(run);
  // A run that saw its end coming told all in its memo.
  const past = CUT_OFF.has(status) ? await readRun(client, run) : null;
  // One that was ended at once tells its take in its input only.
  const told = memo?.take ?? past?.submits.at(-1)?.identity?.take;
  const take = told ?? (await takeOfInput(client, run));
  return { runId, status, memo, submit: past && lastSubmit(past), take };
}

/** How the latest run has ended without a result, or null where it has not. */
async function endOf({ client }: Pick<Temporal, 'client'>, run: WorkflowExecutionDescription): Promise<string | null> {
  const ended = ENDED[run.status.name as keyof typeof ENDED] ?? null;
  const failure = run.status.name === 'FAILED' ? (await readRun(client, run)).failure : null;
  return failure === null ? ended : `${ended} (${failure})`;
}

function lastSubmit({ submits, checked }: PastRun): LastSubmit | null {
  const last = submits.at(-1);
  if (last === undefined) return null;
  const { idempotencyKey, firstKey, result, open } = last;
  const task = result?.task === undefined ? null : (checked.get(result.task.taskId) ?? result.task);
  return { idempotencyKey, firstKey, task, answered: open === null };
}

async function takeOfInput(client: Client, run: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId'>): Promise<number> {
  const input = (await startInput(client, run)) as Partial<GenerateMediaInput> | null;
  return typeof input?.take === 'number' ? input.take : 1;
}

/** A POST that outlived its Workflow still left a receipt. */
async function withReceipts(open: readonly Open[], receipts: Receipts | null): Promise<Open[]> {
  const found = new Map<string, Open>();
  for (const one of open) {
    const { runId } = one;
    const key = one.kind === 'unanswered' ? one.firstKey : null;
    const task = key === null ? undefined : (await receipts?.find(key))?.tasks.at(-1);
    const known = task === undefined ? one : openTask(runId, task);
    const name = known.kind === 'task' ? known.taskId : `${known.firstKey}`;
    if ((known.kind === 'unanswered' || known.status !== 'failed') && !found.has(name)) found.set(name, known);
  }
  return [...found.values()];
}

/** The latest run of an ID, or null where the Service knows none. */
async function describe(
  { client }: Pick<Temporal, 'client'>,
  workflowId: string,
): Promise<WorkflowExecutionDescription | null> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    // Its retention has passed since it was listed.
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
