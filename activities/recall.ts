import { Context, log } from '@temporalio/activity';
import { isGrpcServiceError, type Client, type WorkflowExecutionInfo } from '@temporalio/client';
import {
  earlierIn,
  MEMO_FIELD,
  taskIn,
  UNKNOWN_FINGERPRINT,
  WORKFLOW_TYPE,
  type ChatAnswer,
  type Fence,
  type GenerationMemo,
} from '../src/contract/index.js';
import type { KeyFolder, ReceiptHead, Receipts } from '../src/storage/index.js';
import { CUT_OFF, readRun, type PaidResult, type PastSubmit } from './history.js';

// gRPC: the time-skipping test server has no visibility; a Cloud key may lack the right to list.
const CANNOT_LIST = new Set([7 /* PERMISSION_DENIED */, 12 /* UNIMPLEMENTED */]);
// Histories are read for such runs, and for Workflows that call `generate`, which have no memo of ours. Half a second
// each at most; a longer one is a batch whose steps the store and the API have to remember.
export const READABLE_EVENTS = 5_000;
// The own history is read again at each submit of a step, so it has to be short: one page.
const OWN_EVENTS = 1_000;
// Runs of one Workflow ID that are looked at, newest first.
export const RUNS = 100;

/** What is known of a key from before this run, or from before Temporal forgot. */
export interface Recalled<T> {
  /** What was paid for, or null when nobody knows it. */
  readonly answer: T | null;
  /** Under which it was made or submitted. */
  readonly idempotencyKey: string;
  /** Digest of the request body for which the key was used; null where an earlier version did not note it. */
  readonly bodyDigest: string | null;
  /** A submit without an answer. */
  readonly unanswered: Fence | null;
  /** True where a receipt says so, which nobody but a Worker writes. */
  readonly noted: boolean;
  /** `requestId`s of refusals that other runs were given: one that comes again is stored. */
  readonly refusals: readonly string[];
}

/** Whether a POST that another run left unanswered is still open. */
export type Counts = (fence: Fence) => boolean;

/** Which attempt is looked for: a stored refusal may have moved it from its first key to another. */
type Attempt = Pick<ReceiptHead, 'idempotencyKey' | 'firstKey'>;

/** Where what was paid for is found again. */
interface Source<T> {
  /** In the receipts of the attempt. */
  readonly receipts: () => Promise<KeyFolder<ReceiptHead & { readonly answer: T }> | null>;
  /** In the memo of another run. */
  readonly memo: (run: WorkflowExecutionInfo) => Past<T> | null;
  /** In what an Activity ended with. */
  readonly result: (result: PaidResult) => T | undefined;
}

/**
 * Looks in the receipts, then in the other runs of this Workflow ID, for the task of an attempt; null when nobody
 * knows it. It saves what the API may have forgotten: a reset or a second start then posts nothing.
 */
export async function recallTask(
  attempt: Attempt,
  receipts: Receipts | null,
  counts: Counts,
): Promise<Recalled<string> | null> {
  return recall(attempt, counts, {
    receipts: async () => {
      if (receipts === null) return null;
      const { submit, tasks } = await receipts.find(attempt.firstKey);
      return { submit, answers: tasks.map((task) => ({ ...task, answer: task.taskId })) };
    },
    memo: (run) => fromMemo(run, attempt),
    result: ({ task }) => task?.taskId,
  });
}

/** The same for the answer to a chat, which no memo holds. */
export async function recallChat(
  attempt: Attempt,
  receipts: Receipts | null,
  counts: Counts,
): Promise<Recalled<ChatAnswer> | null> {
  return recall(attempt, counts, {
    receipts: async () => (receipts === null ? null : receipts.chats.find(attempt.firstKey)),
    memo: () => null,
    result: ({ answer }) => answer,
  });
}

async function recall<T>(attempt: Attempt, counts: Counts, source: Source<T>): Promise<Recalled<T> | null> {
  const receipt = fromReceipts(await source.receipts(), counts);
  if (receipt !== null && receipt.answer !== null) return receipt;
  const run = await fromOtherRuns(attempt, counts, source);
  if (receipt === null || run === null) return receipt ?? run;
  if (run.answer !== null) return run;
  const { idempotencyKey, bodyDigest } = receipt;
  const unanswered = oldest(receipt.unanswered, run.unanswered);
  return { ...run, answer: null, idempotencyKey, bodyDigest, unanswered, noted: receipt.noted };
}

function fromReceipts<T>(
  folder: KeyFolder<ReceiptHead & { readonly answer: T }> | null,
  counts: Counts,
): Recalled<T> | null {
  const { submit, answers } = folder ?? { submit: null, answers: [] };
  const last = answers.at(-1);
  const head = last ?? submit;
  if (head === null) return null;
  const { idempotencyKey, bodyDigest } = head;
  const unanswered = submit?.unanswered != null && counts(submit.unanswered) ? submit.unanswered : null;
  // A submit that was only ever refused binds nobody.
  if (last === undefined && unanswered === null) return null;
  const noted = unanswered !== null;
  return { answer: last?.answer ?? null, idempotencyKey, bodyDigest, unanswered, noted, refusals: [] };
}

export function oldest(a: Fence | null, b: Fence | null): Fence | null {
  if (a === null || b === null) return a ?? b;
  const [first, other] = a.firstPostedAt <= b.firstPostedAt ? [a, b] : [b, a];
  // Whoever knows the key of the POST knows more than whoever only knows that there was one.
  const knows = (fence: Fence): boolean => fence.fingerprint !== UNKNOWN_FINGERPRINT;
  const best = knows(first) || !knows(other) ? first : other;
  // How often the same error has come must not be forgotten, or a stored one would be asked for as long as the window lasts.
  const error = best.error ?? first.error ?? other.error;
  return { ...best, firstPostedAt: first.firstPostedAt, ...(error !== undefined && { error }) };
}

/** What one run knows of a key. */
interface Past<T> extends Omit<Recalled<T>, 'noted' | 'refusals'> {
  /** A person accepted in it that what was open before is posted again. */
  readonly riskAccepted: boolean;
}
interface Memory<T> extends Past<T> {
  readonly startedAt: number;
}

/**
 * What the other runs of this Workflow ID know: by their memo or, where that cannot tell, by their history. A Service
 * that cannot list is no reason to stop, one that does not answer is: the attempt fails and is repeated.
 */
async function fromOtherRuns<T>(attempt: Attempt, counts: Counts, source: Source<T>): Promise<Recalled<T> | null> {
  const { client, info } = Context.current();
  const { workflowExecution } = info;
  const query = workflowExecution === undefined ? null : queryFor(workflowExecution.workflowId);
  if (workflowExecution === undefined || query === null) return null;
  const { workflowId, runId } = workflowExecution;
  const memories: Memory<T>[] = [];
  const refusals: string[] = [];
  const learn = (submits: readonly PastSubmit[]): Past<T> | null => {
    for (const { firstKey, refusedBy } of submits) {
      if (firstKey === attempt.firstKey && refusedBy !== null) refusals.push(refusedBy);
    }
    return fromSubmits(submits, attempt, source);
  };
  // A step that has failed may be run again in one and the same run, which has no memo of ours.
  if (info.workflowType !== WORKFLOW_TYPE) {
    const own = await client.workflow.getHandle(workflowId, runId).describe();
    const memory = own.historyLength > OWN_EVENTS ? null : learn(await submitsOf(client, own, info.activityId));
    if (memory !== null) memories.push({ ...memory, startedAt: own.startTime.getTime() });
  }
  try {
    let seen = 0;
    for await (const run of client.workflow.list({ query })) {
      if (run.workflowId !== workflowId || run.runId === runId) continue;
      const memo = source.memo(run);
      const memory = memo?.answer == null ? (learn(await submitsOf(client, run)) ?? memo) : memo;
      refusals.push(...refusalsIn(run, attempt));
      if (memory !== null) memories.push({ ...memory, startedAt: run.startTime.getTime() });
      seen += 1;
      if (seen === RUNS) break;
    }
  } catch (error) {
    const reason = cannotList(error);
    if (reason === null) throw error;
    log.warn('earlier runs cannot be listed, so a task of theirs is not looked up', { reason });
  }
  memories.sort((a, b) => b.startedAt - a.startedAt);
  const [newest] = memories;
  const answered = memories.find(({ answer }) => answer !== null);
  const more = { noted: false, refusals };
  if (newest !== undefined) {
    return { ...(answered ?? { ...newest, unanswered: stillOpen(memories, counts) }), ...more };
  }
  // Runs that were only ever refused bind nobody to their input.
  const { idempotencyKey } = attempt;
  return refusals.length === 0 ? null : { answer: null, idempotencyKey, bodyDigest: null, unanswered: null, ...more };
}

/**
 * The oldest POST that is still open, of runs or submits from the newest to the oldest: one that was cancelled before it
 * began takes nothing away from what an earlier one had left. What a person has accepted does.
 */
function stillOpen(
  past: readonly Pick<Past<unknown>, 'unanswered' | 'riskAccepted'>[],
  counts: Counts = () => true,
): Fence | null {
  let open: Fence | null = null;
  for (const { unanswered, riskAccepted } of past) {
    if (unanswered !== null && counts(unanswered)) open = oldest(open, unanswered);
    if (riskAccepted) break;
  }
  return open;
}

/** Why a Service cannot list Workflows at all, or null for any other error. */
export function cannotList(error: unknown): string | null {
  const refusal = refusalOfService(error);
  return refusal !== null && CANNOT_LIST.has(refusal.code) ? refusal.details : null;
}

/** What the Service said, which the client may have wrapped; null for any other error. */
export function refusalOfService(error: unknown): { readonly code: number; readonly details: string } | null {
  const reason = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  return isGrpcServiceError(reason) ? reason : null;
}

function fromMemo(run: WorkflowExecutionInfo, { idempotencyKey, firstKey }: Attempt): Past<string> | null {
  const memo = run.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | undefined;
  if (memo === undefined) return null;
  // A run of an earlier version did not write every field.
  const { bodyDigest = null, unanswered = null, riskAccepted = false } = memo;
  const taskId = taskIn(memo);
  const past = earlierIn(memo).find((task) => (task.firstKey ?? task.idempotencyKey) === firstKey);
  if (past !== undefined) {
    const { taskId: answer, idempotencyKey: key } = past;
    return { answer, idempotencyKey: key, bodyDigest, unanswered: null, riskAccepted };
  }
  // A run that never came to an answer knows nothing, however new it is.
  const same = (memo.firstKey ?? memo.idempotencyKey) === firstKey || memo.idempotencyKey === idempotencyKey;
  const tells = same && (taskId !== null || unanswered !== null || riskAccepted);
  if (!tells) return null;
  const key = memo.idempotencyKey ?? idempotencyKey;
  return { answer: taskId, idempotencyKey: key, bodyDigest, unanswered, riskAccepted };
}

/** The refusal that a run told of last; those before it came from runs before it. */
function refusalsIn(run: WorkflowExecutionInfo, { firstKey }: Attempt): readonly string[] {
  const memo = run.memo?.[MEMO_FIELD] as Partial<GenerationMemo> | undefined;
  return memo?.firstKey === firstKey && memo.refusedBy != null ? [memo.refusedBy] : [];
}

// A closed run does not change any more.
const readRuns = new Map<string, readonly PastSubmit[]>();

/** What the history of a run tells, where its memo does not tell all. */
async function submitsOf(
  client: Client,
  run: Omit<WorkflowExecutionInfo, 'raw'>,
  asking?: string,
): Promise<readonly PastSubmit[]> {
  const { runId, status, memo, historyLength } = run;
  // A run of our own Workflow that saw its end told all in its memo. Another run that still shows as running has just
  // been ended: the list trails.
  const listedOpen = status.name === 'RUNNING';
  if (!listedOpen && memo?.[MEMO_FIELD] !== undefined && !CUT_OFF.has(status.name)) return [];
  if (historyLength > READABLE_EVENTS) {
    log.warn('an earlier run is too long to be read, so a task of it is not looked up', { runId, historyLength });
    return [];
  }
  const submits = readRuns.get(runId) ?? (await readRun(client, run, asking)).submits;
  // What chats answered can be large.
  const small = submits.every(({ result }) => result?.answer === undefined);
  if (!listedOpen && small && !readRuns.has(runId)) {
    if (readRuns.size >= RUNS) readRuns.clear();
    readRuns.set(runId, submits);
  }
  return submits;
}

function fromSubmits<T>(submits: readonly PastSubmit[], { firstKey }: Attempt, source: Source<T>): Past<T> | null {
  // One that came to nothing (never begun, cancelled, refused) takes nothing away from what the ones before it know.
  const ofAttempt = submits.filter((submit) => submit.firstKey === firstKey);
  const last =
    ofAttempt.findLast(({ result }) => result !== null) ??
    ofAttempt.findLast(({ open, riskAccepted }) => open !== null || riskAccepted);
  if (last === undefined) return null;
  const { result, idempotencyKey, bodyDigest, riskAccepted } = last;
  const answer = result === null ? null : (source.result(result) ?? null);
  const newestFirst = ofAttempt.toReversed().map((one) => ({ ...one, unanswered: one.open }));
  const unanswered = result === null ? stillOpen(newestFirst) : null;
  return { answer, idempotencyKey, bodyDigest, unanswered, riskAccepted };
}

/**
 * What earlier attempts of this Activity may have left open, where a person has wiped its heartbeat (a reset of the
 * Activity, or an unpause, can). An attempt begins with a beat, so a later one that finds none knows that there was more.
 */
export async function wipedFence(of: Pick<Fence, 'idempotencyKey' | 'riskAcceptedAt'>): Promise<Fence | null> {
  const { client, info } = Context.current();
  const { workflowExecution, activityId, attempt, scheduledTimestampMs, currentAttemptScheduledTimestampMs } = info;
  const first = attempt === 1 && currentAttemptScheduledTimestampMs === scheduledTimestampMs;
  if (workflowExecution === undefined || first || info.heartbeatDetails !== undefined) return null;
  if (attempt === 1) {
    // A reset begins to count anew, and a pause before the very first attempt has it scheduled for a second time.
    const { workflowId, runId } = workflowExecution;
    const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
    const pending = raw.pendingActivities?.find((activity) => activity.activityId === activityId);
    if (pending?.lastAttemptCompleteTime == null && pending?.lastFailure == null) return null;
  }
  return { firstPostedAt: scheduledTimestampMs, fingerprint: UNKNOWN_FINGERPRINT, ...of };
}

/**
 * Finds at least all runs of the ID. The Service does not find values with a double quote, a backslash or a control
 * character, however they are escaped, so those are found by what stands before; null when nothing does.
 */
export function queryFor(workflowId: string): string | null {
  const sure = /^[^"\\\p{Cc}]*/u.exec(workflowId)?.[0] ?? '';
  if (sure === '') return null;
  const literal = `'${sure.replaceAll("'", "''")}'`;
  return sure === workflowId ? `WorkflowId = ${literal}` : `WorkflowId STARTS_WITH ${literal}`;
}
