import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  isCancellation,
  TimeoutFailure,
  type TemporalFailure,
} from '@temporalio/workflow';
import {
  errorCodeRow,
  FAILURE,
  NOTHING_KNOWN,
  type Attributes,
  type FailureDetails,
  type GenerationState,
  type TaskSnapshot,
  type UnansweredPost,
} from '../src/contract/index.js';
import {
  formatDuration,
  mayAttemptAgain,
  mayPostSince,
  money,
  TIMEOUTS,
  UNRESOLVED,
  type Generation,
  type Paid,
} from '../src/policy/index.js';

/** What an Activity ended with, once Temporal stopped repeating it. */
export interface CallEnd {
  /** Rivya's error code or our failure type; `timeout` when no attempt came to an end. */
  readonly code: string;
  readonly message: string;
  readonly details: Partial<FailureDetails>;
  /** Submits only: a POST that may have created a task that nobody has seen. */
  readonly unanswered: UnansweredPost | null;
  /** Submits only: the Activity had posted. */
  readonly posted: boolean;
  /** Submits only: the Activity had looked at receipts and earlier runs. */
  readonly looked: boolean;
  /** The run that the Activity belonged to; null where it did not tell. */
  readonly runId: string | null;
  readonly attributes: Attributes | undefined;
  /** True when Temporal stopped because the schedule-to-close time was over. */
  readonly outOfTime: boolean;
}

/** Reads the failure of one of our Activities. Anything else (a cancellation, a bug) is thrown on. */
export function callEnd(error: unknown): CallEnd {
  if (!(error instanceof ActivityFailure)) throw error;
  // The last attempt failed for a reason of its own, but nobody wants another one.
  if (wasCancelled(error)) {
    throw new CancelledFailure('Cancelled while a call was repeated', [], error);
  }
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
    // The Activity's message ends with the action, for the Pending Activities of the UI; here they go apart.
    const tail = ` ${details.action ?? ''}`;
    const message = cause.message.endsWith(tail) ? cause.message.slice(0, -tail.length) : cause.message;
    const outOfTime = error.retryState === 'TIMEOUT';
    return { code: details.code ?? cause.type ?? 'unknown', message, details, outOfTime, ...leftBy(details) };
  }
  if (cause instanceof TimeoutFailure) {
    // The last acknowledged heartbeat of a submit tells whether a POST is unanswered.
    const beat = (cause.lastHeartbeatDetails ?? {}) as Partial<FailureDetails>;
    const message = 'The time for this call was over before its outcome was known.';
    return { code: 'timeout', message, details: {}, outOfTime: true, ...leftBy(beat) };
  }
  throw error;
}

export type Left = Pick<CallEnd, 'unanswered' | 'posted' | 'looked' | 'runId' | 'attributes'>;

/** What the Activity says it has left, in failure details or in a heartbeat. */
function leftBy(said: Partial<FailureDetails>): Left {
  const { unanswered = null, posted = false, looked = false, runId = null, attributes } = said;
  return { unanswered, posted, looked, runId, attributes };
}

/** True where a call failed by itself, and was not repeated because the Workflow was cancelled meanwhile. */
function wasCancelled(error: unknown): boolean {
  return error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED';
}

/** What a cancelled submit has left; null for any other end, and where the Service ended it so that nobody can tell. */
export function leftByCancelled(error: unknown): Left | null {
  if (!isCancellation(error) && !wasCancelled(error)) return null;
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (!(cause instanceof ApplicationFailure) && !(cause instanceof CancelledFailure)) return null;
  const details: unknown = cause.details?.[0];
  // Ours are objects. The Service, which ends an Activity between two attempts, gives a word of its own.
  return typeof details === 'object' && details !== null ? leftBy(details) : null;
}

/** The action for a code: what the API said for this call, else the table's. */
export function actionFor(end: CallEnd): string {
  return end.details.action ?? errorCodeRow(end.code, end.details.httpStatus ?? null).action;
}

/** An end after which something may have been paid that nobody has seen. */
export function unresolved(end: CallEnd, paid: Paid): CallEnd {
  if (end.code === FAILURE.SubmitUnresolved) return end;
  return { ...end, code: FAILURE.SubmitUnresolved, details: { ...end.details, action: UNRESOLVED[paid].action } };
}

/** A task that has succeeded, and whose files could not be stored. */
export function unavailable(end: CallEnd, { taskId }: TaskSnapshot): CallEnd {
  const action = 'Mend the store or the network, then resume: links are asked for again and nothing is paid.';
  return {
    ...end,
    code: FAILURE.ResultUnavailable,
    message: `Task ${taskId} succeeded, but its files could not be stored: ${end.message}`,
    details: { ...end.details, action },
  };
}

/** A failure that ends the Workflow and says all that is known about the task and the money. */
function failure(
  type: string,
  message: string,
  state: GenerationState,
  more: Partial<FailureDetails> & { action: string },
): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message: `${sentence(message)} ${more.action}`,
    nonRetryable: true,
    details: [{ ...known(type, state), ...more }],
  });
}

function known(code: string, state: GenerationState): Omit<FailureDetails, 'action'> {
  const { taskId, idempotencyKey, reservedCredits, finalCredits } = state;
  return { ...NOTHING_KNOWN, code, taskId, idempotencyKey, reservedCredits, finalCredits };
}

/** The failure for a call that nothing will mend. */
export function callFailed(end: CallEnd, state: GenerationState, paid: Paid = 'task'): ApplicationFailure {
  const { httpStatus = null, requestId = null, field } = end.details;
  const open = end.unanswered === null ? {} : { unanswered: end.unanswered };
  // This Workflow ends, so nothing is left to resume.
  const next =
    end.code === FAILURE.SubmitUnresolved
      ? UNRESOLVED[paid].ended
      : actionFor(end).replace('then resume', 'then start again under the same Workflow ID');
  // Whoever gave the ID of the task knows how it is taken up.
  const ours = state.taskId !== null && state.idempotencyKey !== null;
  const action = ours ? `${next} ${takeUp(state.taskId, state.model)}` : next;
  return failure(end.code, end.message, state, { action, httpStatus, requestId, ...open, ...(field && { field }) });
}

/** A task that a person has named and that cannot be taken, as it is put before the hold that asks for it. */
export function notTaken(end: CallEnd): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`${end.message} ${actionFor(end)}`, end.code);
}

export function generationFailed(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  const { code = null, message = null } = task.error ?? {};
  return failure(
    FAILURE.GenerationFailed,
    `Task ${task.taskId} ended failed at Rivya (${code ?? 'no code'}: ${message ?? 'no message'}); ${money(state)}.`,
    state,
    {
      code: code ?? 'generation_failed',
      requestId: task.requestId,
      action: !mayAttemptAgain(code)
        ? 'Correct the input and start it under another Workflow ID (or step name).'
        : input.ownKey === null
          ? `To pay for another try, start again under the same Workflow ID with options.maxAttempts: ${state.attempt + 1}.`
          : 'To pay for another try, start again with another idempotencyKey.',
    },
  );
}

export function neverAccepted(
  end: CallEnd,
  state: GenerationState,
  input: Pick<Generation, 'submitDeadlineMs'>,
  paid: Paid = 'task',
): ApplicationFailure {
  const { httpStatus = null, requestId = null } = end.details;
  // No attempt told how it ended: none began, or somebody has wiped what the last one had told.
  const subject = end.code === 'timeout' ? 'As far as Temporal knows, this' : 'This';
  const nothing = `${subject} run ${paid === 'task' ? 'made no task' : 'got no answer'} and paid nothing.`;
  return failure(
    FAILURE.DeadlinePassed,
    `Rivya accepted nothing within ${formatDuration(input.submitDeadlineMs)} (last: ${end.message})${state.riskReason === null ? ` ${nothing}` : ''}`,
    state,
    {
      httpStatus,
      requestId,
      action: state.riskReason !== null ? UNRESOLVED[paid].ended : 'Start again when the API can be reached.',
    },
  );
}

export function deadlinePassed(
  { taskId, status }: TaskSnapshot,
  ageMs: number,
  state: GenerationState,
  input: Generation,
): ApplicationFailure {
  return failure(
    FAILURE.DeadlinePassed,
    `Task ${taskId} is still ${status} at an age of ${formatDuration(ageMs)}, past the deadline of ${formatDuration(input.deadlineMs)}; ${money(state)}. It goes on at Rivya.`,
    state,
    { action: takeUp(taskId, input.model), status, ageMs },
  );
}

export function resultMissing(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  return failure(
    FAILURE.ResultMissing,
    `Task ${task.taskId} has succeeded, but the API gave no link for ${formatDuration(TIMEOUTS.resultGrace)}; ${money(state)}.`,
    state,
    { action: `Look for it in the Rivya Studio. ${takeUp(task.taskId, input.model)}` },
  );
}

export function otherModel(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  return failure(
    FAILURE.InvalidInput,
    task.model === null
      ? `model: the API does not tell of which model task ${task.taskId} is, so it is not taken up.`
      : `model: task ${task.taskId} is of model ${task.model}, not ${input.model}, so it is not taken up.`,
    state,
    { field: 'model', action: 'Give the model of the task.' },
  );
}

/** A cancellation that says what goes on at Rivya, which has no cancel. */
export function cancelled(cause: TemporalFailure, state: GenerationState, paid: Paid = 'task'): CancelledFailure {
  const { taskId, model } = state;
  const action =
    taskId !== null
      ? `Task ${taskId} goes on at Rivya. ${takeUp(taskId, model)}`
      : mayPostSince(state) !== null || state.riskReason !== null
        ? UNRESOLVED[paid].ended
        : `No ${paid} was made.`;
  return new CancelledFailure(`Cancelled. ${action}`, [{ ...known('Cancelled', state), action }], cause);
}

function takeUp(taskId: string, model: string): string {
  return `Take it up without paying: rivya-temporal generate --model ${model} --task-id ${taskId}`;
}

function sentence(text: string): string {
  return /[.!?…)]$/.test(text) ? text : `${text}.`;
}
