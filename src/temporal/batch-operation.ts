/** Batch operations of the Service: one Signal or cancel request for many runs, repeated until nobody is left. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError, type Client } from '@temporalio/client';
import { encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { workflowTaskProblem } from './pending.js';
import { hasAttributes } from './search-attributes.js';

// The Service sends about 50 a second and counts a whole list at once; its default limit for a list is 1,000.
const RUNS_PER_OPERATION = 250;
const POLL_MS = 500;
// A client repeats a refused call by itself for half a minute or so; a person should hear of it before.
const BUSY_AFTER_MS = 3_000;
const BUSY_LIMIT_MS = 10 * 60_000;
const STALLED_MS = 5 * 60_000;
// A Worker that runs reacts within a second, under load within some, and the list trails.
const QUIET_MS = 15_000;
const PAUSE_MS = 3_000;
// Each pass is for the runs that came during the one before. They get fewer, unless more come for ever.
const PASSES = 20;
// gRPC statuses.
const ALREADY_EXISTS = 6;
const RESOURCE_EXHAUSTED = 8;
// The Service's numbers for a job that runs, and for a run that is paused.
const RUNNING = 1;
const PAUSED = 8;

/** A run that should react. */
export interface WaitingRun {
  readonly workflowId: string;
  readonly runId: string;
  /** What the run waits in. Another value after an operation means that the run has reacted, and waits again. */
  readonly state: string;
}

interface BatchOperation {
  /** A Signal with its argument, or a request to cancel. */
  readonly send: { readonly signal: string; readonly input?: object } | 'cancel';
  /** Stands at the job in the Temporal UI. */
  readonly reason: string;
}

interface BatchWatch {
  /** Called with the number of runs that the Service has sent to so far. */
  readonly sent: (count: number) => void;
  /** Called where the Service does not take the job yet: it runs one job of a namespace at a time. */
  readonly busy: () => void;
  /** Stops the job too. */
  readonly interrupted: AbortSignal;
}

/**
 * Has the Service send a Signal or a cancel to these runs, and waits until it has. Runs are addressed one by one, so that
 * no run is reached that the caller has not seen. A run that has ended meanwhile counts as sent.
 *
 * @throws the Service's refusal where it lasts for 10 min; the reason of `interrupted` where that is aborted.
 */
export async function runBatchOperation(
  client: Client,
  operation: BatchOperation,
  runs: readonly WaitingRun[],
  watch: BatchWatch,
): Promise<void> {
  let sent = 0;
  for (let from = 0; from < runs.length; from += RUNS_PER_OPERATION) {
    const jobId = await startJob(client, operation, runs.slice(from, from + RUNS_PER_OPERATION), watch);
    const before = sent;
    sent += await endOfJob(client, jobId, { ...watch, sent: (count) => watch.sent(before + count) });
  }
}

async function startJob(
  client: Client,
  { send, reason }: BatchOperation,
  runs: readonly WaitingRun[],
  { busy, interrupted }: BatchWatch,
): Promise<string> {
  const { namespace, identity, loadedDataConverter } = client.options;
  const jobId = randomUUID();
  const input = send === 'cancel' || send.input === undefined ? [] : [send.input];
  const payloads = (await encodeToPayloads(loadedDataConverter, ...input)) ?? null;
  const what =
    send === 'cancel'
      ? { cancellationOperation: { identity } }
      : { signalOperation: { signal: send.signal, input: payloads && { payloads }, identity } };
  const executions = runs.map(({ workflowId, runId }) => ({ workflowId, runId }));
  for (const giveUpAt = Date.now() + BUSY_LIMIT_MS; ;) {
    interrupted.throwIfAborted();
    const late = setTimeout(busy, BUSY_AFTER_MS);
    try {
      await client.workflowService.startBatchOperation({ namespace, jobId, reason, executions, ...what });
      return jobId;
    } catch (error) {
      const code = isGrpcServiceError(error) ? (error.code as number) : null;
      // The answer to the first call was lost.
      if (code === ALREADY_EXISTS) return jobId;
      if (code !== RESOURCE_EXHAUSTED || Date.now() > giveUpAt) throw error;
    } finally {
      clearTimeout(late);
    }
  }
}

/** Returns how many runs the job has sent to. */
async function endOfJob(
  { workflowService, options }: Client,
  jobId: string,
  { sent, interrupted }: BatchWatch,
): Promise<number> {
  const job = { namespace: options.namespace, jobId };
  for (let done = 0, doneAt = Date.now(); ; await sleep(POLL_MS)) {
    const { state, completeOperationCount } = await workflowService.describeBatchOperation(job);
    const count = Number(completeOperationCount);
    if (count > done) [done, doneAt] = [count, Date.now()];
    sent(done);
    if ((state as number) !== RUNNING) return count;
    if (!interrupted.aborted && Date.now() - doneAt <= STALLED_MS) continue;
    const reason = interrupted.aborted ? 'interrupted' : 'no progress';
    await workflowService.stopBatchOperation({ ...job, reason, identity: options.identity });
    interrupted.throwIfAborted();
    return count;
  }
}

/**
 * Sends until two looks in a row find nobody to send to, because one pass misses the runs that come meanwhile. A run is asked
 * twice at most (one that is just trying again by itself ignores a Signal), and not again once it has reacted. So this ends
 * also where no Worker runs, and where the cause is still there.
 *
 * @param repeated - `first`: the runs to begin with. `look`: the runs that wait now, by the Service's list.
 * @returns the state in which each run was asked, by run ID.
 */
export async function repeatUntilNobody<T extends WaitingRun>(repeated: {
  readonly first: readonly T[];
  readonly look: () => Promise<readonly T[]>;
  readonly send: (due: readonly T[]) => Promise<unknown>;
  readonly interrupted: AbortSignal;
}): Promise<Map<string, string>> {
  const { first, look, send, interrupted } = repeated;
  const asked = new Map<string, string>();
  const twice = new Set<string>();
  const isStuck = ({ runId, state }: T): boolean => asked.get(runId) === state;
  let left = first;
  for (let pass = 1, empty = 0; pass <= PASSES; pass++) {
    const due = left.filter((one) => !asked.has(one.runId) || (isStuck(one) && !twice.has(one.runId)));
    empty = due.length === 0 ? empty + 1 : 0;
    if (empty === 2 || (empty === 1 && left.some(isStuck))) break;
    if (due.length > 0) await send(due);
    for (const { runId, state } of due) {
      if (asked.has(runId)) twice.add(runId);
      asked.set(runId, state);
    }
    for (let stuck = -1, since = Date.now(); ;) {
      await sleep(PAUSE_MS, undefined, { signal: interrupted });
      left = await look();
      const count = left.filter(isStuck).length;
      if (count === 0 || (count === stuck && Date.now() - since > QUIET_MS)) break;
      if (count !== stuck) [stuck, since] = [count, Date.now()];
    }
  }
  return asked;
}

/**
 * Narrows a query to the runs that may be held, where the namespace has the search attributes. A run that began without
 * them has no value: its memo says whether it is held.
 */
export async function heldAmong(client: Client, query: string): Promise<string> {
  return (await hasAttributes(client))
    ? `${query} AND (RivyaStatus STARTS_WITH 'held:' OR RivyaStatus IS NULL)`
    : query;
}

/**
 * Why a run that still waits has not done what it was asked to; null where it has taken the request.
 * @param asked - The state in which it was asked, as `repeatUntilNobody` returns it.
 */
export async function whyLeft(
  client: Client,
  { workflowId, runId, state }: WaitingRun,
  asked: string | undefined,
): Promise<string | null> {
  if (asked === undefined) return 'it came after the last pass: run the command again';
  if (asked !== state) return 'it went on and waits again: the cause is still there';
  const { namespace } = client.options;
  const raw = await client.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId, runId } });
  const { pendingWorkflowTask: task, workflowExecutionInfo: info, executionConfig } = raw;
  if ((info?.status as number | undefined) === PAUSED) return 'the Workflow is paused: unpause it';
  if (task == null) return null;
  return (
    (await workflowTaskProblem(client, { workflowId, runId, raw })) ??
    `no Worker runs it: the request waits until one polls task queue "${executionConfig?.taskQueue?.name}" (rivya-temporal worker)`
  );
}
