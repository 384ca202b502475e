/** Why a Workflow does not go on, by what the Service shows. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { memoOf } from '../client.js';
import { unpolled } from './pollers.js';

/** Why a Workflow does not go on; `text` adds how often it was tried, and since when. */
export type Delay = { readonly reason: string; readonly text: string };

/**
 * What a run waits for: a repetition after the last failure of its Activity, a Worker, or its turn within the rate limit.
 * Null where an Activity is under way, or none is needed.
 */
export async function delayOf(client: Client, description: WorkflowExecutionDescription): Promise<Delay | null> {
  const failing = await workflowTaskProblem(client, description);
  if (failing !== null) return { reason: failing, text: failing };
  const [call] = description.raw.pendingActivities ?? [];
  if (call?.paused === true) return { reason: PAUSED, text: PAUSED };
  if (call?.lastFailure != null) {
    const { attempt, lastFailure, lastStartedTime, lastAttemptCompleteTime } = call;
    const { mayPostSince = null } = memoOf(description) ?? {};
    const since = mayPostSince === null ? '' : ` since ${new Date(mayPostSince.firstPostedAt).toISOString()}`;
    const message = await messageOf(client, description.workflowId, call);
    const reason = named(lastFailure.applicationFailureInfo?.type, message);
    const last = timeOf(lastAttemptCompleteTime ?? lastStartedTime);
    return { reason, text: `${reason} (attempt ${attempt}${since}; the last one failed at ${last})` };
  }
  const missing = (await unpolled(client, description.taskQueue)).join(' ');
  if (missing !== '') return { reason: missing, text: missing };
  if (call == null || call.lastStartedTime != null) return null;
  const reason = 'waits for its turn within the rate limit';
  return { reason, text: `${reason} (since ${timeOf(call.scheduledTime)})` };
}

const PAUSED = 'its Activity is paused: unpause it in the Temporal UI';

type PendingCall = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

/** The message of the last failure, which a failure converter may have encoded. */
async function messageOf(
  client: Client,
  workflowId: string,
  { activityId, lastFailure }: PendingCall,
): Promise<string> {
  const { namespace, loadedDataConverter } = client.options;
  const context = { type: 'activity', namespace, workflowId, activityId: activityId ?? '', isLocal: false } as const;
  const error = await decodeOptionalFailureToOptionalError(loadedDataConverter, lastFailure, context).catch(() => null);
  return error?.message ?? lastFailure?.message ?? 'unknown';
}

type Run = Pick<WorkflowExecutionDescription, 'workflowId' | 'runId' | 'raw'>;

/** That the Workflow Tasks of a run fail or time out, so its code does not go on, and why; null where they do not. */
export async function workflowTaskProblem(client: Client, run: Run): Promise<string | null> {
  return (await taskProblem(client, run))?.text ?? null;
}

/** The same, and null where they time out: another Worker goes on by itself. */
export async function failingTaskProblem(client: Client, run: Run): Promise<string | null> {
  const problem = await taskProblem(client, run);
  return problem === null || problem.isTimeout ? null : problem.text;
}

async function taskProblem(client: Client, run: Run): Promise<{ text: string; isTimeout: boolean } | null> {
  const attempt = run.raw.pendingWorkflowTask?.attempt ?? 0;
  if (attempt <= 1) return null;
  const { isTimeout, cause } = await lastTask(client, run).catch(() => ({ isTimeout: false, cause: null }));
  const text = isTimeout
    ? `its Workflow Task timed out (attempt ${attempt}): the Worker that took it has ended or is busy, and it is tried again`
    : `its Workflow Tasks fail (attempt ${attempt}): ${cause ?? 'the log of its Worker and the Temporal UI say why'}`;
  return { text, isTimeout };
}

/** How the last Workflow Task ended. The history has the first attempt, and none of its repetitions. */
async function lastTask(client: Client, { workflowId, runId }: Run) {
  const { namespace, loadedDataConverter } = client.options;
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace,
    execution: { workflowId, runId },
    maximumPageSize: LAST_EVENTS,
  });
  const last = history?.events?.find(
    ({ workflowTaskFailedEventAttributes: failed, workflowTaskTimedOutEventAttributes: timedOut }) =>
      failed != null || timedOut != null,
  );
  const failure = last?.workflowTaskFailedEventAttributes?.failure;
  const context = { type: 'workflow', namespace, workflowId } as const;
  const error = await decodeOptionalFailureToOptionalError(loadedDataConverter, failure, context);
  const [line = ''] = error?.message.split('\n') ?? [];
  const cause = line.length > CAUSE_LENGTH ? `${line.slice(0, CAUSE_LENGTH)}…` : line || null;
  return { isTimeout: last?.workflowTaskTimedOutEventAttributes != null, cause };
}

// What comes after a failure is buffered until a Workflow Task succeeds, so it is near the end.
const LAST_EVENTS = 50;
const CAUSE_LENGTH = 500;

function timeOf(time: { readonly seconds?: unknown } | null | undefined): string {
  return new Date(Number(time?.seconds ?? 0) * 1_000).toISOString();
}

/** A message with its code, unless the message has the code already. */
export function named(code: string | null | undefined, message: string): string {
  return code == null || message.includes(code) ? message : `${code}: ${message}`;
}
