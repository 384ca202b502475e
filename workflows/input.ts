/**
 * The checks of an input inside a Workflow, where its ID, its parent and its timeouts are known. It guarantees that a
 * wrong input, and a Workflow whose ID cannot stand for one payment, fail before anything is sent. All Workflows and
 * steps of this package call it. It changes no input. Deterministic.
 */
import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { FAILURE, NOTHING_KNOWN, type FailureDetails } from '../src/contract/index.js';
import { CORRECT_FIELD, formatDuration, InvalidInput, readChat, readInput } from '../src/policy/index.js';
import type { Chat, Generation } from '../src/policy/index.js';

// A child that was started without an ID gets one from a random UUID (Go appends a number), which a reset of its
// parent would change.
const RANDOM_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_\d+)?$/i;

/** The input of `generateMedia`, checked; a Workflow that could pay twice or end before its deadline is refused. */
export function checkedInput(input: unknown): Generation {
  return orFailure('', () => {
    const generation = readInput(input);
    refuseSharedKeys(generation.ownKey !== null || generation.taskId !== null);
    refuseBeyondTimeouts('options.deadline', generation.deadlineMs);
    return generation;
  });
}

/** Refuses a deadline that the Workflow would not live to see. @throws InvalidInput */
export function refuseBeyondTimeouts(name: string, deadlineMs: number): void {
  const info = workflowInfo();
  // The Service fills in the run timeout from the execution timeout, so the cause comes first.
  const timeouts = { executionTimeout: info.executionTimeoutMs, runTimeout: info.runTimeoutMs };
  for (const [field, timeout] of Object.entries(timeouts)) {
    if (timeout === undefined || timeout <= 0 || timeout >= deadlineMs) continue;
    const [deadline, limit] = [deadlineMs, timeout].map(formatDuration);
    const problem = `is ${deadline}, but the Workflow's ${field} of ${limit} would end the wait before it and lose sight of a paid task`;
    throw new InvalidInput(name, problem);
  }
}

/** The input of `rivyaChat`, checked in the same way. */
export function checkedChat(input: unknown): Chat {
  return orFailure('', () => {
    const chat = readChat(input);
    refuseSharedKeys(false);
    return chat;
  });
}

/** Refuses a second argument that does not come from an earlier run of this Workflow: it is believed without a look. */
export function refuseForeignCarried(carried: unknown): void {
  if (carried === undefined || workflowInfo().continuedFromExecutionRunId !== undefined) return;
  throw invalidInput(new InvalidInput('carried', 'is what this Workflow hands to its own next run; leave it out'));
}

/**
 * Refuses a Workflow whose ID does not stand for one paid call.
 * @param ownId - True where the input brings a key or a task, so that nothing is derived from the Workflow ID.
 */
function refuseSharedKeys(ownId: boolean): void {
  const info = workflowInfo();
  if (info.cronSchedule !== undefined && info.cronSchedule !== '') {
    throw new InvalidInput(
      'cronSchedule',
      'all runs of a cron Workflow share one ID, and so one paid task; use a Temporal Schedule, which gives each run its own ID',
    );
  }
  // The Service finds no runs of such an ID, so what an earlier run has paid could not be found.
  if (/^["\\\p{Cc}]/u.test(info.workflowId)) {
    throw new InvalidInput('workflowId', 'must not begin with a double quote, a backslash or a control character');
  }
  if (!ownId) refuseRandomChild();
}

/** Refuses a child Workflow with a random ID, and so the steps in it. */
export function refuseRandomChild({ parent, workflowId } = workflowInfo()): void {
  if (parent === undefined || !RANDOM_ID.test(workflowId)) return;
  throw new InvalidInput(
    'workflowId',
    'a child Workflow with a random ID would be paid again after a reset of its parent; start it with an ID of its own, for example `${parentId}/${step}`',
  );
}

/**
 * Reads an input, and makes `InvalidInput` a failure of the Workflow.
 * @param at - Where the input stands, put before the name of a wrong field.
 */
export function orFailure<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InvalidInput ? invalidInput(error, at) : error;
  }
}

/** The Workflow failure for a wrong input; its message begins with the place of the field. */
export function invalidInput({ field, message }: InvalidInput, at = ''): ApplicationFailure {
  const facts = { code: FAILURE.InvalidInput, field: `${at}${field}`, action: CORRECT_FIELD };
  const details: FailureDetails = { ...NOTHING_KNOWN, ...facts };
  return ApplicationFailure.nonRetryable(`${at}${message}`, FAILURE.InvalidInput, details);
}
