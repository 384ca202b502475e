import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import { FAILURE, NOTHING_KNOWN, type FailureDetails } from '../src/contract/index.js';
import { formatDuration, InvalidInput, readChat, readInput, type Chat, type Generation } from '../src/policy/index.js';

// A child that was started without an ID gets one from a random UUID (Go appends a number), which a reset of its
// parent would change.
const RANDOM_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_\d+)?$/i;

/**
 * Reads the input in a Workflow and refuses what could pay twice or end too early. Fails before anything is sent.
 * @param options - `at`: where the input stands, put before the name of a wrong field. `outlives`: true for a child that
 * goes on when this Workflow ends.
 */
export function checkedInput(
  input: unknown,
  { at = '', outlives = false }: { at?: string; outlives?: boolean } = {},
): Generation {
  try {
    const generation = readInput(input);
    const info = workflowInfo();
    refuseSharedKeys(generation.ownKey !== null || generation.taskId !== null);
    for (const [field, timeout] of [
      // The Service fills in the run timeout from the execution timeout, so the cause comes first.
      ['executionTimeout', info.executionTimeoutMs],
      ['runTimeout', info.runTimeoutMs],
    ] as const) {
      if (!outlives && timeout !== undefined && timeout > 0 && timeout < generation.deadlineMs) {
        throw new InvalidInput(
          'options.deadline',
          `is ${formatDuration(generation.deadlineMs)}, but the Workflow's ${field} of ${formatDuration(timeout)} would end the wait before it and lose sight of a paid task`,
        );
      }
    }
    return generation;
  } catch (error) {
    throw asFailure(error, at);
  }
}

/** The same for a chat. */
export function checkedChat(input: unknown): Chat {
  try {
    const chat = readChat(input);
    refuseSharedKeys(false);
    return chat;
  } catch (error) {
    throw asFailure(error, '');
  }
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
  // A step of such a child would be paid again as well: its key holds the child's ID.
  if (info.parent !== undefined && RANDOM_ID.test(info.workflowId) && !keyed) {
    throw new InvalidInput(
      'workflowId',
      'a child Workflow with a random ID would be paid again after a reset of its parent; start it with an ID of its own, for example `${parentId}/${step}`',
    );
  }
}

function asFailure(error: unknown, at: string): unknown {
  return error instanceof InvalidInput ? invalidInput(error, at) : error;
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
