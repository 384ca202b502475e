import { activityInfo, log } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import {
  FAILURE,
  NOTHING_KNOWN,
  UNKNOWN_FINGERPRINT,
  type FailureDetails,
  type Fence,
  type SubmitInput,
  type SubmitResult,
  type TaskSnapshot,
} from '../src/contract/index.js';
import { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import {
  bodyDigest,
  formatDuration,
  judgeSubmit,
  retryDelay,
  TIMEOUTS,
  UNRESOLVED_ACTION,
} from '../src/policy/index.js';
import { withKind, type ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';
import { acknowledgedHeartbeat, whileBeating } from './heartbeat.js';
import { recall } from './recall.js';

// A proxy may repeat a reply once; three times the same request ID is a stored reply, which hammering will not change.
const STORED_ERROR_TIMES = 3;

/**
 * Submits one generation. Each attempt makes at most one POST, and none unless the Service has acknowledged the fence:
 * an attempt that was timed out meanwhile cannot post behind the back of the next one.
 */
export async function rivyaSubmit(input: SubmitInput, dependencies: ActivityDependencies): Promise<SubmitResult> {
  const { api, keys } = dependencies;
  const info = activityInfo();
  // Where an earlier attempt, or an earlier Activity for this key, has a POST without an answer, this says since when.
  let unanswered: Fence | null = (info.heartbeatDetails as Fence | null | undefined) ?? input.fence;
  let posted: Fence | null = null;

  try {
    const known = await whileBeating(unanswered, () => recall(input.idempotencyKey));
    if (known !== null && known.bodyDigest !== bodyDigest(input.body)) throw inputChanged(input);
    if (typeof known?.taskId === 'string') return recalled(known.taskId);
    if (!input.riskAccepted) unanswered ??= known?.unanswered ?? null;

    const key = await keys.current();
    // Without a key there is nothing to name in the fence, so nothing is posted.
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    const fingerprint = key.fingerprint();
    if (unanswered !== null) refuseBlindRepeat(input, unanswered, fingerprint);

    const fence = unanswered ?? { firstPostedAt: Date.now(), fingerprint };
    await acknowledgedHeartbeat(fence);
    posted = fence;
    const { task } = await whileBeating(fence, () =>
      // The very key whose fingerprint the fence carries, also when the key file changes in between.
      api.createGeneration({ idempotencyKey: input.idempotencyKey, body: input.body, key }),
    );
    log.info('submitted', { taskId: task.taskId, status: task.status, requestId: task.requestId });
    const sinceFirstPostMs = Math.max(0, Date.now() - fence.firstPostedAt);
    // The API cuts its time to whole seconds, so a new task never looks older than our first POST.
    const reused = task.ageMs !== null && task.ageMs > sinceFirstPostMs;
    return { task: withKind(task, dependencies), sinceFirstPostMs, reused };
  } catch (error) {
    if (error instanceof CancelledFailure) throw new CancelledFailure(error.message, [{ fence: unanswered }]);
    if (error instanceof ApplicationFailure) throw error;
    if (error instanceof InvalidRequest) {
      await putBack(unanswered);
      throw invalidInput(input, error);
    }
    if (!(error instanceof RivyaApiError)) throw unexpected(input, error, posted ?? unanswered);
    // A refusal leaves what was known before this attempt; only an unanswered POST keeps the fence.
    const open = error.outcome === 'refused' ? unanswered : withError(posted, error);
    await putBack(open);
    if (open?.error !== undefined && open.error.times >= STORED_ERROR_TIMES) {
      throw unresolved(input, open, `the API gives one and the same error (${open.error.requestId}) again and again`);
    }
    // Both times are the Service's own. Another run's POST that was under way has ended after this.
    const age = info.currentAttemptScheduledTimestampMs - info.scheduledTimestampMs;
    const conflictMayBeOurs = unanswered !== null || age < TIMEOUTS.conflictGrace;
    if (error.code === 'idempotency_conflict' && !conflictMayBeOurs) throw inputChanged(input, error);
    const { attempt } = info;
    const { code, retryAfterMs } = error;
    throw callFailure(error, judgeSubmit(error, conflictMayBeOurs), {
      idempotencyKey: input.idempotencyKey,
      fence: open,
      attempt,
      retryInMs: retryDelay({ attempt, code, retryAfterMs, random: Math.random() }),
    });
  }
}

/** A task that an earlier run got. All else about it comes with the first check. */
function recalled(taskId: string): SubmitResult {
  log.info('recalled', { taskId });
  const task: TaskSnapshot = {
    taskId,
    status: 'unknown',
    model: null,
    kind: null,
    reservedCredits: null,
    finalCredits: null,
    createdAt: null,
    updatedAt: null,
    ageMs: null,
    urls: [],
    error: null,
    simulated: false,
    requestId: null,
  };
  return { task, sinceFirstPostMs: 0, reused: true };
}

/** The fence after an error reply: the same request ID again means that the API has stored it under the key. */
function withError(fence: Fence | null, { requestId }: RivyaApiError): Fence | null {
  if (fence === null || requestId === null) return fence;
  const times = fence.error?.requestId === requestId ? fence.error.times + 1 : 1;
  return { ...fence, error: { requestId, times } };
}

/** Where this is not acknowledged, the fence stays: the next attempt then believes that a task may exist. */
async function putBack(fence: Fence | null): Promise<void> {
  await acknowledgedHeartbeat(fence).catch(() => undefined);
}

/** After an unanswered POST, only the same account within the window of the key may be asked again. */
function refuseBlindRepeat(input: SubmitInput, unanswered: Fence, fingerprint: string): void {
  if (Date.now() - unanswered.firstPostedAt > input.idempotencyWindowMs) {
    const window = formatDuration(input.idempotencyWindowMs);
    throw unresolved(
      input,
      unanswered,
      `its answer is still unknown after ${window}, and the API may have forgotten the key`,
    );
  }
  if (unanswered.fingerprint !== fingerprint && unanswered.fingerprint !== UNKNOWN_FINGERPRINT) {
    throw unresolved(input, unanswered, 'the API key has changed since, and another account would pay again');
  }
}

function unresolved(input: SubmitInput, fence: Fence, why: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `A submit was sent at ${new Date(fence.firstPostedAt).toISOString()} and ${why}.`,
    FAILURE.SubmitUnresolved,
    {
      ...NOTHING_KNOWN,
      idempotencyKey: input.idempotencyKey,
      code: FAILURE.SubmitUnresolved,
      action: UNRESOLVED_ACTION,
      fence,
    } satisfies FailureDetails,
  );
}

function inputChanged(input: SubmitInput, error?: RivyaApiError): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    'This idempotency key belongs to a generation with another input. Nothing was paid by this call.',
    FAILURE.InputChanged,
    {
      ...NOTHING_KNOWN,
      idempotencyKey: input.idempotencyKey,
      code: FAILURE.InputChanged,
      httpStatus: error?.httpStatus ?? null,
      requestId: error?.requestId ?? null,
      action:
        'Start again with the input of the first start, or with a larger take (or another Workflow ID) to pay for the new input.',
    } satisfies FailureDetails,
  );
}

function invalidInput(input: SubmitInput, { message, field }: InvalidRequest): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, FAILURE.InvalidInput, {
    ...NOTHING_KNOWN,
    idempotencyKey: input.idempotencyKey,
    code: FAILURE.InvalidInput,
    field,
    action: 'Correct the field and start again.',
  } satisfies FailureDetails);
}

/** Anything else, for example a fence that is not acknowledged: repeated, and what is unanswered stays known. */
function unexpected(input: SubmitInput, error: unknown, fence: Fence | null): ApplicationFailure {
  const code = error instanceof Error ? error.name : 'Error';
  const details: FailureDetails = {
    ...NOTHING_KNOWN,
    idempotencyKey: input.idempotencyKey,
    code,
    action: 'Nothing to do: the submit is repeated.',
    ...(fence && { fence }),
  };
  const message = error instanceof Error ? error.message : String(error);
  return ApplicationFailure.create({ type: code, message, details: [details] });
}
