/**
 * The failures of a Workflow: how a failed Activity is read, and what the Workflow then throws. It guarantees that each
 * failure says what happened, all that is known of task and money, and what to do next. The Workflows of this package
 * call it. It decides neither on a hold nor on another attempt. Deterministic.
 */
import { ActivityFailure, ApplicationFailure, CancelledFailure, TimeoutFailure } from '@temporalio/workflow';
import { isCancellation, type TemporalFailure } from '@temporalio/workflow';
import { errorCodeRow, FAILURE, failureEnd, NOTHING_KNOWN, withoutEnd } from '../src/contract/index.js';
import type { FailureDetails, GenerationState, TaskSnapshot, UnansweredPost } from '../src/contract/index.js';
import { formatDuration, mayAttemptAgain, mayPostSince, money, TIMEOUTS } from '../src/policy/index.js';
import { UNFIT, UNRESOLVED, type Generation, type Paid } from '../src/policy/index.js';

// A signed link has up to 2,000 characters; more is no use to a person, and the memo is small.
const LINK_LENGTH = 4_096;

/** The report of a submit, in its result, its failure or its last heartbeat. Its fields are those of `FailureDetails`. */
export interface SubmitReport extends Required<Pick<FailureDetails, 'posted' | 'looked'>> {
  readonly unanswered: UnansweredPost | null;
  readonly runId: string | null;
  readonly attributes: boolean | undefined;
}

/** The failure of an Activity, once Temporal stopped repeating it. The fields of `SubmitReport` count for submits only. */
export interface CallEnd extends SubmitReport {
  /** Rivya's error code or our failure type; `timeout` when no attempt came to an end. */
  readonly code: string;
  readonly message: string;
  readonly details: Partial<FailureDetails>;
  /** True when Temporal stopped because the schedule-to-close time was over. */
  readonly outOfTime: boolean;
}

/** Reads the failure of one of our Activities. Anything else (a cancellation, a bug) is thrown on. */
export function callEnd(error: unknown): CallEnd {
  if (!(error instanceof ActivityFailure)) throw error;
  // The last attempt failed for a reason of its own, and after the cancel there is no other.
  if (wasCancelled(error)) {
    throw new CancelledFailure('Cancelled while a call was repeated', [], error);
  }
  const { cause } = error;
  if (cause instanceof ApplicationFailure) {
    const details = (cause.details?.[0] ?? {}) as Partial<FailureDetails>;
    // The Activity's message ends with the action, for the Pending Activities of the UI; here they go apart.
    const message = withoutEnd(cause.message, details.action);
    const outOfTime = error.retryState === 'TIMEOUT';
    return { code: details.code ?? cause.type ?? 'unknown', message, details, outOfTime, ...submitReport(details) };
  }
  if (cause instanceof TimeoutFailure) {
    // The last acknowledged heartbeat of a submit says whether a POST is unanswered.
    const beat = (cause.lastHeartbeatDetails ?? {}) as Partial<FailureDetails>;
    const message = 'The time for this call was over before its outcome was known.';
    return { code: 'timeout', message, details: {}, outOfTime: true, ...submitReport(beat) };
  }
  throw error;
}

/** @param details - Details of a failure or of a heartbeat. */
function submitReport(details: Partial<FailureDetails>): SubmitReport {
  const { unanswered = null, posted = false, looked = false, runId = null, attributes } = details;
  return { unanswered, posted, looked, runId, attributes };
}

/** True where a call failed by itself, and was not repeated because the Workflow was cancelled meanwhile. */
function wasCancelled(error: unknown): boolean {
  return error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED';
}

/**
 * The report of a cancelled submit; null for any other end, and where the Service ended the Activity between two attempts:
 * then the memo goes on saying that a POST may be unanswered.
 */
export function reportOfCancelled(error: unknown): SubmitReport | null {
  if (!isCancellation(error) && !wasCancelled(error)) return null;
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (!(cause instanceof ApplicationFailure) && !(cause instanceof CancelledFailure)) return null;
  const details: unknown = cause.details?.[0];
  // Details of our Activities are objects; the Service, which ends an Activity between two attempts, gives a plain text.
  return typeof details === 'object' && details !== null ? submitReport(details) : null;
}

/** What to do after this end: the action in its details, else that of the table of error codes. */
export function actionFor(end: CallEnd): string {
  return end.details.action ?? errorCodeRow(end.code, end.details.httpStatus ?? null).action;
}

/** The same end as `SubmitUnresolved`: its POST may have been paid, and a person must find out. */
export function asUnresolved(end: CallEnd, paid: Paid): CallEnd {
  if (end.code === FAILURE.SubmitUnresolved) return end;
  return { ...end, code: FAILURE.SubmitUnresolved, details: { ...end.details, action: UNRESOLVED[paid].action } };
}

/** The same end as `ResultUnavailable`: the task has succeeded, and its files could not be stored. */
export function asUnavailable(end: CallEnd, { taskId, urls }: TaskSnapshot): CallEnd {
  const { file = 1, found } = end.details;
  const repair = 'Repair the store or the network, then resume: links are asked for again and nothing is paid.';
  const action = found === undefined ? repair : UNFIT.action;
  const link = urls[file - 1] ?? '';
  return {
    ...end,
    code: FAILURE.ResultUnavailable,
    message: `Task ${taskId} succeeded, but its files could not be stored: ${end.message}`,
    details: { ...end.details, action, ...(link !== '' && link.length <= LINK_LENGTH && { link }) },
  };
}

/** A failure that ends the Workflow. */
function workflowFailure(
  type: string,
  message: string,
  state: GenerationState,
  more: Partial<FailureDetails> & { action: string },
): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message: `${sentence(message)} ${failureEnd(type, more.action)}`,
    nonRetryable: true,
    details: [{ ...factsOf(type, state), ...more }],
  });
}

/** The facts of a state about task and money. */
function factsOf(code: string, state: GenerationState): Omit<FailureDetails, 'action'> {
  const { taskId, idempotencyKey, reservedCredits, finalCredits } = state;
  return { ...NOTHING_KNOWN, code, taskId, idempotencyKey, reservedCredits, finalCredits };
}

/** The failure for a call that neither Temporal nor a hold repeats. */
export function callFailed(end: CallEnd, state: GenerationState, paid: Paid = 'task'): ApplicationFailure {
  const { httpStatus = null, requestId = null, field, link, found } = end.details;
  const post = end.unanswered === null ? {} : { unanswered: end.unanswered };
  // This Workflow ends, so there is nothing to resume.
  const next =
    end.code === FAILURE.SubmitUnresolved
      ? UNRESOLVED[paid].ended
      : found === undefined
        ? actionFor(end).replace('then resume', 'then start again under the same Workflow ID')
        : UNFIT.ended;
  // Without a key the task ID came as input: the caller has it and needs no command for it.
  const ours = state.taskId !== null && state.idempotencyKey !== null;
  const action = ours ? `${next} ${waitAgain(state.taskId, state.model)}` : next;
  const about = { ...(field && { field }), ...(link && { link }), ...(found && { found }) };
  const facts = { action, httpStatus, requestId, ...post, ...about };
  return workflowFailure(end.code, end.message, state, facts);
}

/** Why a task that a person has named cannot be the task of this generation: the beginning of the next hold's message. */
export function namedTaskRefused(end: CallEnd): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`${end.message} ${actionFor(end)}`, end.code);
}

export function generationFailed(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  const { code = null, message = null } = task.error ?? {};
  const said = `Task ${task.taskId} ended failed at Rivya (${code ?? 'no code'}: ${message ?? 'no message'}); ${money(state)}.`;
  let action = `To pay for another try, start again under the same Workflow ID with options.maxAttempts: ${state.attempt + 1}.`;
  if (input.ownKey !== null) action = 'To pay for another try, start again with another idempotencyKey.';
  if (!mayAttemptAgain(code)) action = 'Correct the input and start it under another Workflow ID (or step name).';
  const facts = { code: code ?? 'generation_failed', requestId: task.requestId, action };
  return workflowFailure(FAILURE.GenerationFailed, said, state, facts);
}

export function neverAccepted(
  end: CallEnd,
  state: GenerationState,
  input: Pick<Generation, 'submitDeadlineMs'>,
  paid: Paid = 'task',
): ApplicationFailure {
  const { httpStatus = null, requestId = null } = end.details;
  const said = `Rivya accepted nothing within ${formatDuration(input.submitDeadlineMs)} (last: ${end.message})`;
  const known = { httpStatus, requestId };
  // A person has accepted to post again although a task might exist: something may have been paid.
  if (state.riskReason !== null) {
    const action = UNRESOLVED[paid].ended;
    return workflowFailure(FAILURE.DeadlinePassed, said, state, { ...known, action });
  }
  // No attempt has ended with a failure: none began, or an operator has wiped the heartbeat of the last one.
  const subject = end.code === 'timeout' ? 'As far as Temporal knows, this' : 'This';
  const nothing = `${subject} run ${paid === 'task' ? 'made no task' : 'got no answer'} and paid nothing.`;
  const action = 'Start again when the API can be reached.';
  return workflowFailure(FAILURE.DeadlinePassed, `${said} ${nothing}`, state, { ...known, action });
}

export function deadlinePassed(
  { taskId, status }: TaskSnapshot,
  ageMs: number,
  state: GenerationState,
  input: Generation,
): ApplicationFailure {
  const said = `Task ${taskId} is still ${status} at an age of ${formatDuration(ageMs)}, past the deadline of ${formatDuration(input.deadlineMs)}; ${money(state)}. It goes on at Rivya.`;
  return workflowFailure(FAILURE.DeadlinePassed, said, state, {
    action: waitAgain(taskId, input.model),
    status,
    ageMs,
  });
}

export function resultMissing(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  const said = `Task ${task.taskId} has succeeded, but the API gave no link for ${formatDuration(TIMEOUTS.resultGrace)}; ${money(state)}.`;
  const action = `Look for it in the Rivya Studio. ${waitAgain(task.taskId, input.model)}`;
  return workflowFailure(FAILURE.ResultMissing, said, state, { action });
}

export function otherModel(task: TaskSnapshot, state: GenerationState, input: Generation): ApplicationFailure {
  const said =
    task.model === null
      ? `model: the API does not tell of which model task ${task.taskId} is, so this generation does not wait for it.`
      : `model: task ${task.taskId} is of model ${task.model}, not ${input.model}, so this generation does not wait for it.`;
  return workflowFailure(FAILURE.InvalidInput, said, state, { field: 'model', action: 'Give the model of the task.' });
}

/** A cancellation that says what goes on at Rivya, which has no cancel. */
export function cancelled(cause: TemporalFailure, state: GenerationState, paid: Paid = 'task'): CancelledFailure {
  const { taskId, model } = state;
  let action = `No ${paid} was made.`;
  if (mayPostSince(state) !== null || state.riskReason !== null) action = UNRESOLVED[paid].ended;
  if (taskId !== null) action = `Task ${taskId} goes on at Rivya. ${waitAgain(taskId, model)}`;
  return new CancelledFailure(`Cancelled. ${action}`, [{ ...factsOf('Cancelled', state), action }], cause);
}

/** How a person waits again for a task that exists. */
function waitAgain(taskId: string, model: string): string {
  return `Wait for it again without paying: rivya-temporal generate --model ${model} --task-id ${taskId}`;
}

function sentence(text: string): string {
  return /[.!?…)]$/.test(text) ? text : `${text}.`;
}
