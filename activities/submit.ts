import { activityInfo, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import {
  FAILURE,
  type FailureDetails,
  type Fence,
  type SubmitInput,
  type SubmitResult,
} from '../src/contract/index.js';
import { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import { bodyDigest, formatDuration, judgeSubmit, retryDelay, UNRESOLVED_ACTION } from '../src/policy/index.js';
import { withKind, type ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';
import { acknowledgedHeartbeat, whileBeating } from './heartbeat.js';
import { recallTask } from './recall.js';

/**
 * Submits one generation. Each attempt makes at most one POST, and none unless the Service has acknowledged the fence:
 * an attempt that was timed out meanwhile cannot post behind the back of the next one.
 */
export async function rivyaSubmit(input: SubmitInput, dependencies: ActivityDependencies): Promise<SubmitResult> {
  const { api, keys } = dependencies;
  const info = activityInfo();
  // Where an earlier attempt, or an earlier Activity for this key, has a POST without an answer, this says since when.
  const unanswered: Fence | null = (info.heartbeatDetails as Fence | null | undefined) ?? input.fence;
  let posted: Fence | null = null;

  try {
    const key = await keys.current();
    // Without a key there is nothing to name in the fence, so nothing is posted.
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    const fingerprint = key.fingerprint();
    const known = await recallTask(input.idempotencyKey);
    if (known !== null) {
      if (known.bodyDigest !== bodyDigest(input.body)) throw inputChanged(input);
      return recalled(known.taskId, dependencies);
    }
    if (unanswered !== null) refuseBlindRepeat(input, unanswered, fingerprint);

    const fence = unanswered ?? { firstPostedAt: Date.now(), fingerprint };
    await acknowledgedHeartbeat(fence);
    posted = fence;
    const { task, serverTime } = await whileBeating(fence, () =>
      // The very key whose fingerprint the fence carries, also when the key file changes in between.
      api.createGeneration({ idempotencyKey: input.idempotencyKey, body: input.body, key }),
    );
    log.info('submitted', { taskId: task.taskId, status: task.status, requestId: task.requestId });
    return {
      task: withKind(task, dependencies),
      sinceFirstPostMs: Math.max(0, Date.now() - fence.firstPostedAt),
      reused: createdBefore(task.createdAt, fence.firstPostedAt, serverTime),
    };
  } catch (error) {
    if (error instanceof InvalidRequest) {
      await putBack(unanswered);
      throw ApplicationFailure.nonRetryable(error.message, FAILURE.InvalidInput, {
        ...unknownFacts(input),
        code: FAILURE.InvalidInput,
        field: error.field,
        action: 'Correct the field and start again.',
      } satisfies FailureDetails);
    }
    if (!(error instanceof RivyaApiError)) throw error;
    const refused = error.outcome === 'refused';
    // A refusal leaves what was known before this attempt; only an unanswered POST keeps the fence.
    if (refused) await putBack(unanswered);
    const open = refused ? unanswered : posted;
    if (error.code === 'idempotency_conflict' && open === null) throw inputChanged(input, error);
    const verdict = judgeSubmit(error, unanswered !== null);
    throw callFailure(error, verdict, {
      idempotencyKey: input.idempotencyKey,
      fence: open,
      attempt: info.attempt,
      retryInMs: retryDelay({
        attempt: info.attempt,
        code: error.code,
        retryAfterMs: error.retryAfterMs,
        random: Math.random(),
      }),
    });
  }
}

/** A task that an earlier run got. All else about it comes with the first check. */
function recalled(taskId: string, dependencies: ActivityDependencies): SubmitResult {
  log.info('recalled', { taskId });
  const nothing = {
    model: null,
    reservedCredits: null,
    finalCredits: null,
    createdAt: null,
    updatedAt: null,
    ageMs: null,
  };
  const task = {
    ...nothing,
    taskId,
    status: 'unknown',
    kind: null,
    urls: [],
    error: null,
    simulated: false,
    requestId: null,
  };
  return { task: withKind(task, dependencies), sinceFirstPostMs: 0, reused: true };
}

/** Where this is not acknowledged, the fence stays: the next attempt then believes that a task may exist. */
async function putBack(fence: Fence | null): Promise<void> {
  await acknowledgedHeartbeat(fence).catch(() => undefined);
}

/**
 * True when the API's own clock surely puts the task before our first POST. The Date header is cut to whole seconds, so
 * a task that is a second older at most may be missed, and a new one is never called reused.
 */
function createdBefore(createdAt: string | null, firstPostedAt: number, serverTime: number | null): boolean {
  const created = createdAt === null ? Number.NaN : Date.parse(createdAt);
  if (Number.isNaN(created) || serverTime === null) return false;
  const ahead = serverTime - Date.now();
  return created < firstPostedAt + ahead;
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
  if (unanswered.fingerprint !== fingerprint) {
    throw unresolved(input, unanswered, 'the API key has changed since, and another account would pay again');
  }
}

function unresolved(input: SubmitInput, fence: Fence, why: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `A submit was sent at ${new Date(fence.firstPostedAt).toISOString()} and ${why}. A task may exist and may have been paid for.`,
    FAILURE.SubmitUnresolved,
    {
      ...unknownFacts(input),
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
      ...unknownFacts(input),
      code: FAILURE.InputChanged,
      httpStatus: error?.httpStatus ?? null,
      requestId: error?.requestId ?? null,
      action:
        'Start again with the input of the first start, or with a larger take (or another Workflow ID) to pay for the new input.',
    } satisfies FailureDetails,
  );
}

function unknownFacts(input: SubmitInput): Omit<FailureDetails, 'code' | 'action'> {
  return {
    httpStatus: null,
    requestId: null,
    taskId: null,
    idempotencyKey: input.idempotencyKey,
    reservedCredits: null,
    finalCredits: null,
  };
}
