import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { FAILURE, NOTHING_KNOWN, type FailureDetails } from '../src/contract/index.js';
import { formatDuration, InvalidInput, readChat, readInput, type Chat, type Generation } from '../src/policy/index.js';

// A child that was started without an ID gets one from a random UUID (Go appends a number), which a reset of its
// parent would change.
const RANDOM_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_\d+)?$/i;

/** Reads the input of `generateMedia` and refuses what could pay twice or end too early. Fails before anything is sent. */
export function checkedInput(input: unknown): Generation {
  return orFailure('', () => {
    const generation = readInput(input);
    const info = workflowInfo();
    refuseSharedKeys(generation.ownKey !== null || generation.taskId !== null);
    for (const [field, timeout] of [
      // The Service fills in the run timeout from the execution timeout, so the cause comes first.
      ['executionTimeout', info.executionTimeoutMs],
      ['runTimeout', info.runTimeoutMs],
    ] as const) {
      if (timeout !== undefined && timeout > 0 && timeout < generation.deadlineMs) {
        throw new InvalidInput(
          'options.deadline',
          `is ${formatDuration(generation.deadlineMs)}, but the Workflow's ${field} of ${formatDuration(timeout)} would end the wait before it and lose sight of a paid task`,
        );
      }
    }
    return generation;
  });
}

/** The same for `rivyaChat`. */
export function checkedChat(input: unknown): Chat {
  return orFailure('', () => {
    const chat = readChat(input);
    refuseSharedKeys(false);
    return chat;
  });
}

/** What a run hands on is believed, for example that a POST is unanswered, so it must come from a run of the same Workflow. */
export function refuseForeign(carried: unknown): void {
  if (carried === undefined || workflowInfo().continuedFromExecutionRunId !== undefined) return;
  throw invalidInput(new InvalidInput('carried', 'is what this Workflow hands to its own next run; leave it out'));
}

/**
 * Refuses a Workflow whose ID does not stand for one paid call.
 * @param keyed - True where the key does not hang on the ID.
 */
function refuseSharedKeys(keyed: boolean): void {
  const info = workflowInfo();
  if (info.cronSchedule !== undefined && info.cronSchedule !== '') {
    throw new InvalidInput(
      'cronSchedule',
      'all runs of a cron Workflow share one ID, and so one paid task; use a Temporal Schedule, which gives each run its own ID',
    );
  }
  // The Service finds no runs of such an ID, so nobody could tell what an earlier one has paid.
  if (/^["\\\p{Cc}]/u.test(info.workflowId)) {
    throw new InvalidInput('workflowId', 'must not begin with a double quote, a backslash or a control character');
  }
  if (!keyed) refuseRandomChild();
}

/**
 * Refuses a child Workflow with a random ID, and so the steps in it.
 * @throws InvalidInput
 */
export function refuseRandomChild({ parent, workflowId } = workflowInfo()): void {
  if (parent === undefined || !RANDOM_ID.test(workflowId)) return;
  throw new InvalidInput(
    'workflowId',
    'a child Workflow with a random ID would be paid again after a reset of its parent; start it with an ID of its own, for example `${parentId}/${step}`',
  );
}

/**
 * Turns a wrong input into a failure of the Workflow.
 * @param at - Where the input stands, put before the name of a wrong field.
 */
export function orFailure<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InvalidInput ? invalidInput(error, at) : error;
  }
}

/** The Workflow failure for a wrong input, which stands at this place. */
export function invalidInput(error: InvalidInput, at = ''): ApplicationFailure {
  const details: FailureDetails = {
    ...NOTHING_KNOWN,
    code: FAILURE.InvalidInput,
    field: `${at}${error.field}`,
    action: 'Correct the field and start again.',
  };
  return ApplicationFailure.create({
    type: FAILURE.InvalidInput,
    // It begins with the field.
    message: `${at}${error.message}`,
    nonRetryable: true,
    details: [details],
  });
}
