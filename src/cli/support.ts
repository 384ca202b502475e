/**
 * The report about a generation for the support of the API: its calls in their order, with request IDs and codes. It holds no
 * prompt, param, label, link, API key or Workflow ID; of the idempotency key, which the API knows, it holds the end.
 */
import { createRequire } from 'node:module';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import {
  decodeOptionalFailureToOptionalError,
  decodeOptionalSinglePayload,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { optionalTsToMs } from '@temporalio/common/lib/time.js';
import type { temporal } from '@temporalio/proto';
import { memoOf } from '../client.js';
import type { CheckResult, FailureDetails, PaidCallResult, TaskSnapshot } from '../contract/index.js';
import { money } from '../policy/index.js';
import { listedRuns, quoted } from '../temporal/runs.js';

type Event = temporal.api.history.v1.IHistoryEvent;

// A key that is derived ends in a digest; its beginning, and a key of the caller's own, may be somebody's words.
const DERIVED = /-[0-9a-f]{28}([0-9a-f]{12})$/;
const CALLS: Readonly<Record<string, string>> = {
  rivyaSubmit: 'POST /generations',
  rivyaChat: 'POST /chat/completions',
  rivyaCheck: 'GET /generations/{id}',
  rivyaUpload: 'POST /files',
};

/** The report about the runs of a Workflow ID, the oldest first; `latest` is the one that is shown. */
export async function supportText(client: Client, latest: WorkflowExecutionDescription): Promise<string> {
  const { workflowId } = latest;
  const memo = memoOf(latest);
  const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };
  const runs: string[] = [];
  for await (const { execution } of listedRuns(client, `WorkflowId = ${quoted(workflowId)}`)) {
    runs.unshift(execution?.runId ?? '');
  }
  // The list trails a start by a moment.
  if (!runs.includes(latest.runId)) runs.push(latest.runId);
  const lines = [
    `rivya-temporal ${version}, Node ${process.version}`,
    `model: ${memo?.model ?? 'not known'}`,
    `task: ${memo?.taskId ?? 'none known'}${memo?.earlier.length ? `, before it ${memo.earlier.join(', ')}` : ''}`,
    `status: ${memo?.status ?? 'none'}, state here: ${memo?.phase ?? 'not known'}${memo?.hold ? ` by ${memo.hold.code}` : ''}`,
    memo ? money(memo) : 'credits: not known',
    `idempotency key: ${keyText(memo?.idempotencyKey)}, number ${memo?.keyNumber ?? 1}`,
  ];
  for (const [n, runId] of runs.entries()) {
    lines.push('', `run ${n + 1} of ${runs.length}`);
    for await (const line of callsOf(client, workflowId, runId)) lines.push(line);
  }
  for await (const line of pendingCalls(client, latest)) lines.push(line);
  return lines.join('\n');
}

function keyText(key: string | null | undefined): string {
  if (key == null) return 'none';
  const end = DERIVED.exec(key)?.[1];
  return end === undefined ? 'one of the caller' : `…${end}`;
}

/** One line for each call that a history knows the end of: how it ended, and before that its last attempt in vain. */
async function* callsOf(client: Client, workflowId: string, runId: string): AsyncGenerator<string> {
  const { namespace, loadedDataConverter: converter } = client.options;
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const scheduled = new Map<string, { readonly call: string; readonly activityId: string }>();
  for (const event of events ?? []) {
    const { activityTaskScheduledEventAttributes: begun, activityTaskStartedEventAttributes: started } = event;
    const { activityTaskCompletedEventAttributes: completed, activityTaskFailedEventAttributes: failed } = event;
    const { activityTaskTimedOutEventAttributes: late } = event;
    if (begun != null) {
      const call = CALLS[begun.activityType?.name ?? ''];
      if (call !== undefined) scheduled.set(String(event.eventId), { call, activityId: begun.activityId ?? '' });
      continue;
    }
    const end = started ?? completed ?? failed ?? late;
    const about = scheduled.get(String(end?.scheduledEventId));
    if (about === undefined) continue;
    const { activityId } = about;
    const context = { type: 'activity', namespace, workflowId, activityId, isLocal: false } as const;
    const failure = started?.lastFailure ?? failed?.failure ?? late?.failure;
    if (completed != null) {
      const payload = completed.result?.payloads?.[0];
      const result = await decodeOptionalSinglePayload(converter, payload, context).catch(() => undefined);
      yield `${timeOf(event)}  ${about.call}  ${answerText(result)}`;
    } else if (failure != null) {
      const error = await decodeOptionalFailureToOptionalError(converter, failure, context).catch(() => undefined);
      const attempt = started == null ? '' : `, the last in vain of ${(started.attempt ?? 1) - 1}`;
      yield `${timeOf(event)}  ${about.call}  ${failureText(error)}${attempt}`;
    }
  }
}

/** One line for each call that is under way or repeated. */
async function* pendingCalls(
  client: Client,
  { workflowId, raw }: WorkflowExecutionDescription,
): AsyncGenerator<string> {
  const { namespace, loadedDataConverter: converter } = client.options;
  for (const { activityType, activityId, attempt, lastFailure } of raw.pendingActivities ?? []) {
    const call = CALLS[activityType?.name ?? ''];
    if (call === undefined) continue;
    const context = { type: 'activity', namespace, workflowId, activityId: activityId ?? '', isLocal: false } as const;
    const error = await decodeOptionalFailureToOptionalError(converter, lastFailure, context).catch(() => undefined);
    const last = lastFailure == null ? '' : `; the one before ${failureText(error)}`;
    yield `now  ${call}  attempt ${attempt ?? 1} is under way or due${last}`;
  }
}

/** What a result of an Activity says about the API's answer. */
function answerText(result: unknown): string {
  const { task, answer, reused = false } = (result ?? {}) as Partial<CheckResult & PaidCallResult<TaskSnapshot>>;
  const { status, taskId, requestId } = task ?? answer ?? {};
  // A task that an earlier run has made.
  if (reused) return `not sent${factsText({ task: taskId })} is known from before`;
  return `answered${factsText({ status, task: taskId, requestId })}`;
}

function failureText(error: Error | undefined): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure)) return `no answer that is known (${cause?.name ?? 'unreadable'})`;
  const { httpStatus, requestId } = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
  return `failed: ${cause.type ?? 'unknown'}${factsText({ 'HTTP status': httpStatus, requestId })}`;
}

function factsText(facts: Readonly<Record<string, unknown>>): string {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  return known.map(([name, value]) => `, ${name} ${String(value)}`).join('');
}

function timeOf({ eventTime }: Event): string {
  return new Date(optionalTsToMs(eventTime) ?? 0).toISOString();
}
