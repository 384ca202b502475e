import type { Client, WorkflowExecutionInfo, WorkflowHandle } from '@temporalio/client';
import type { LoadedDataConverter, SerializationContext } from '@temporalio/common';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import {
  UNKNOWN_FINGERPRINT,
  type ChatReply,
  type CheckInput,
  type CheckResult,
  type FailureDetails,
  type Fence,
  type GenerationIdentity,
  type RivyaActivities,
  type StoreInput,
  type SubmitInput,
  type SubmitResult,
  type TaskSnapshot,
} from '../src/contract/index.js';
import { bodyDigest } from '../src/policy/index.js';

/** The Activities that pay. They have one input. */
const PAID = new Set<unknown>(['rivyaSubmit', 'rivyaChat'] satisfies (keyof RivyaActivities)[]);
const CHECK: keyof RivyaActivities = 'rivyaCheck';
const STORE: keyof RivyaActivities = 'rivyaStore';

/** Ends that a Workflow does not see coming, so its memo does not tell what a submit under way had left. */
export const CUT_OFF: ReadonlySet<string> = new Set(['TERMINATED', 'TIMED_OUT']);

export type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];
type Payloads = Parameters<typeof decodeFromPayloadsAtIndex>[2];

/** What one of them ended with: a task or an answer. */
export type PaidResult = Partial<Pick<SubmitResult, 'task'> & Pick<ChatReply, 'answer'>>;

/** A submit in the history of a closed run. */
export interface PastSubmit {
  readonly idempotencyKey: string;
  readonly firstKey: string;
  readonly bodyDigest: string;
  /** Null when it got none. */
  readonly result: PaidResult | null;
  /** What it left unanswered, as far as it had told the Service. */
  readonly open: Fence | null;
  /** `requestId` of its refusal, where it was refused and nothing is open. */
  readonly refusedBy: string | null;
  /** A person had accepted to post again: what the submits before it left open no longer counts. */
  readonly riskAccepted: boolean;
  readonly riskReason: string | null;
  /** Not in histories of Workflows that began before there were receipts. */
  readonly identity: GenerationIdentity | null;
}

/** What the history of a run tells that its memo does not. */
export interface PastRun {
  /** Type of the failure with which it ended, or null. */
  readonly failure: string | null;
  /** In order, with what came of each, whether the Workflow lived to read it or not. */
  readonly submits: readonly PastSubmit[];
  /** What the last check of each task said, by task ID. */
  readonly checked: ReadonlyMap<string, TaskSnapshot>;
  /** Tasks whose results were handed over, by ID. */
  readonly stored: ReadonlySet<string>;
}

/** Reads the history of a run. */
export async function readRun(
  client: Client,
  { workflowId, runId }: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId'>,
  /** The Activity that asks, which is no past. */
  asking?: string,
): Promise<PastRun> {
  const handle = client.workflow.getHandle(workflowId, runId);
  const { loadedDataConverter: converter, namespace } = client.options;
  const { events = [] } = (await handle.fetchHistory()) as { events?: Event[] };
  const ends = new Map(events.map((event) => [String(scheduledBy(event)), event]));
  const submits: PastSubmit[] = [];
  const checked = new Map<string, TaskSnapshot>();
  const stored = new Set<string>();
  for (const { eventId, eventTime, activityTaskScheduledEventAttributes: scheduled } of events) {
    if (scheduled == null || scheduled.activityId === asking) continue;
    const { activityId, activityType } = scheduled;
    const end = ends.get(String(eventId));
    const decoder = activityDecoder({ converter, namespace, workflowId, activityId });
    const completed = end?.activityTaskCompletedEventAttributes;
    if (activityType?.name === CHECK) {
      const task = (await decode<CheckResult>(decoder, completed?.result?.payloads))?.task;
      if (task !== undefined) {
        checked.set(task.taskId, task);
        answerNamed(submits, await decode<CheckInput>(decoder, scheduled.input?.payloads), task);
      }
    }
    if (activityType?.name === STORE && completed != null) {
      const of = await decode<StoreInput>(decoder, scheduled.input?.payloads);
      if (of !== null) stored.add(of.taskId);
    }
    if (!PAID.has(activityType?.name)) continue;
    const input = await decode<SubmitInput>(decoder, scheduled.input?.payloads);
    if (input === null) continue;
    const { idempotencyKey, identity = null, body, digest, fence, riskAccepted, riskReason = null } = input;
    const firstKey = identity?.firstKey ?? idempotencyKey;
    const outcome = end === undefined ? await underWay(handle, activityId, decoder) : await outcomeOf(end, decoder);
    // A refusal never takes away what an earlier submit left unanswered.
    const open = outcome.result === null ? (outcome.open ?? fence ?? lost(outcome, input, eventTime)) : null;
    const asked = digest ?? bodyDigest(body);
    const risk = { riskAccepted, riskReason };
    const refusedBy = open === null ? outcome.refusedBy : null;
    const { result } = outcome;
    submits.push({ idempotencyKey, firstKey, bodyDigest: asked, result, open, refusedBy, ...risk, identity });
  }
  const failure = events.at(-1)?.workflowExecutionFailedEventAttributes?.failure?.applicationFailureInfo?.type ?? null;
  return { failure, submits, checked, stored };
}

/** A person named the task of a submit that got no answer, and nothing spoke against it: then it is the answer. */
function answerNamed(submits: PastSubmit[], check: CheckInput | null, task: TaskSnapshot): void {
  // The first look at a task that is named decides nothing yet.
  if (check?.claimedFor === undefined || check.claimsAgain === true) return;
  for (const [index, submit] of submits.entries()) {
    const { firstKey, result, identity } = submit;
    // The Workflow refuses a task of another model.
    if (firstKey !== check.claimedFor || result !== null || identity?.model !== task.model) continue;
    submits[index] = { ...submit, result: { task }, open: null };
  }
}

/** Runs as the Service lists them. The client's own list fails where it cannot decode the memo of one of them. */
export async function* rawRuns(client: Client, query: string): AsyncGenerator<WorkflowExecutionInfo['raw']> {
  const { namespace } = client.options;
  let nextPageToken = new Uint8Array();
  do {
    const request = { namespace, query, nextPageToken };
    const { executions, nextPageToken: next } = await client.workflowService.listWorkflowExecutions(request);
    yield* executions;
    nextPageToken = Uint8Array.from(next);
  } while (nextPageToken.length > 0);
}

/** First argument of a run, also of one that still runs. */
export async function startInput(
  client: Client,
  execution: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId'>,
): Promise<unknown> {
  const { namespace, loadedDataConverter: converter } = client.options;
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace,
    execution,
    maximumPageSize: 1,
  });
  const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
  const context = { type: 'workflow', namespace, workflowId: execution.workflowId } as const;
  return decode({ converter, context }, payloads);
}

/** What came of a submit; `told`: false where the Service ended it, perhaps between two attempts, and none of them told. */
interface Outcome extends Pick<PastSubmit, 'result' | 'open' | 'refusedBy'> {
  readonly told: boolean;
}

/** What makes a POST of this input known again. */
export function ofInput({
  idempotencyKey,
  riskAcceptedAt,
}: Pick<SubmitInput, 'idempotencyKey' | 'riskAcceptedAt'>): Pick<Fence, 'idempotencyKey' | 'riskAcceptedAt'> {
  return { idempotencyKey, ...(riskAcceptedAt !== undefined && { riskAcceptedAt }) };
}

/** A POST that nobody can tell of any more: one of the attempts may have made it. */
function lost({ told }: Outcome, input: SubmitInput, at: Event['eventTime']): Fence | null {
  if (told) return null;
  return { firstPostedAt: Number(at?.seconds ?? 0) * 1_000, fingerprint: UNKNOWN_FINGERPRINT, ...ofInput(input) };
}

async function outcomeOf(end: Event, decoder: Decoder): Promise<Outcome> {
  const completed = end.activityTaskCompletedEventAttributes;
  const failed = end.activityTaskFailedEventAttributes?.failure?.applicationFailureInfo;
  const timedOut = end.activityTaskTimedOutEventAttributes?.failure;
  // One that ran out of time tells of its last attempt in the cause.
  const last = timedOut?.cause?.applicationFailureInfo;
  const cancelled = end.activityTaskCanceledEventAttributes;
  const result = await decode<PaidResult>(decoder, completed?.result?.payloads);
  const details = await decode<Partial<FailureDetails>>(
    decoder,
    (failed ?? last)?.details?.payloads ?? cancelled?.details?.payloads,
  );
  const beat = await decode<Fence>(decoder, timedOut?.timeoutFailureInfo?.lastHeartbeatDetails?.payloads);
  const refusedBy = failed == null ? null : (details?.requestId ?? null);
  return { result, open: details?.fence ?? beat, refusedBy, told: cancelled == null || details !== null };
}

/** What a submit that never came to an end had told: the Service keeps its heartbeat, although nobody waits for it. */
async function underWay(
  handle: WorkflowHandle,
  activityId: string | null | undefined,
  decoder: Decoder,
): Promise<Outcome> {
  const { raw } = await handle.describe();
  const pending = raw.pendingActivities?.find((activity) => activity.activityId === activityId);
  const open = await decode<Fence>(decoder, pending?.heartbeatDetails?.payloads);
  // An attempt begins with a beat. Where there was one, and its beat is gone, nobody can tell what it left.
  const begun = pending?.lastStartedTime != null || pending?.lastAttemptCompleteTime != null;
  return { result: null, open, refusedBy: null, told: pending?.heartbeatDetails != null || !begun };
}

/** The user's converter and codecs, and whose payloads they are: a codec may bind a payload to its owner. */
export interface Decoder {
  readonly converter: LoadedDataConverter;
  readonly context: SerializationContext;
}

export function activityDecoder({
  converter,
  activityId,
  ...workflow
}: {
  converter: LoadedDataConverter;
  namespace: string;
  workflowId: string;
  activityId: string | null | undefined;
}): Decoder {
  return { converter, context: { type: 'activity', ...workflow, activityId: activityId ?? '', isLocal: false } };
}

export async function decode<T extends object>({ converter, context }: Decoder, payloads: Payloads): Promise<T | null> {
  if (payloads == null || payloads.length === 0) return null;
  const value = await decodeFromPayloadsAtIndex<unknown>(converter, 0, payloads, context);
  // The Service puts words of its own in some of these places.
  return typeof value === 'object' && value !== null ? (value as T) : null;
}

/** The event that scheduled the Activity which ends here. */
export function scheduledBy(event: Event): unknown {
  const ended =
    event.activityTaskCompletedEventAttributes ??
    event.activityTaskFailedEventAttributes ??
    event.activityTaskTimedOutEventAttributes ??
    event.activityTaskCanceledEventAttributes;
  return ended?.scheduledEventId ?? null;
}
