import { Context } from '@temporalio/activity';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { ApplicationFailure, ApplicationFailureCategory, WorkflowNotFoundError } from '@temporalio/common';
import {
  FAILURE,
  WORKFLOW_TYPE,
  type AwaitInput,
  type AwaitResult,
  type FailureDetails,
} from '../src/contract/index.js';
import { bodyDigest, InvalidInput, readInput, UNRESOLVED } from '../src/policy/index.js';
import { nothingKnown } from './failure.js';
import { startInput } from './history.js';

/**
 * Waits for a Workflow that an earlier run has started and left running. Each attempt looks once; Temporal repeats it for
 * as long as that runs, across restarts of Workers.
 */
export async function rivyaAwait({ workflowId, bodyDigest: wanted }: AwaitInput): Promise<AwaitResult> {
  const { client, info } = Context.current();
  const { type, status, runId } = await describe(client, workflowId);
  if (type !== WORKFLOW_TYPE) throw inputChanged(workflowId, `a Workflow of type ${type}`);
  if (status.name !== 'RUNNING') return { status: status.name };
  // The input of a run does not change.
  if (wanted !== null && info.attempt === 1) {
    const running = digestOf(await startInput(client, { workflowId, runId }));
    if (running !== null && running !== wanted) throw inputChanged(workflowId, 'a generation with another input');
  }
  throw ApplicationFailure.create({
    type: 'StillRunning',
    message: `${workflowId} still runs since before this run began. Nothing to do: it is waited for.`,
    // No error: keeps it out of logs and failure metrics.
    category: ApplicationFailureCategory.BENIGN,
  });
}

async function describe(client: Client, workflowId: string): Promise<WorkflowExecutionDescription> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    throw error instanceof WorkflowNotFoundError ? gone(workflowId) : error;
  }
}

/** A run of our own would post under a key that the API may have forgotten since, so a person decides. */
function gone(workflowId: string): ApplicationFailure {
  const action = UNRESOLVED.task.ended;
  const message = `Workflow "${workflowId}", which an earlier run had started, is no longer known to Temporal: it was deleted, or ended longer ago than the retention of the namespace. ${action}`;
  const details: FailureDetails = { ...nothingKnown(), code: FAILURE.SubmitUnresolved, action };
  return ApplicationFailure.nonRetryable(message, FAILURE.SubmitUnresolved, details);
}

/** Null where it cannot be compared: it only waits for a task, or was made by a version with other fields. */
function digestOf(input: unknown): string | null {
  try {
    const { taskId, body } = readInput(input);
    return taskId === null ? bodyDigest(body) : null;
  } catch (error) {
    if (error instanceof InvalidInput) return null;
    throw error;
  }
}

function inputChanged(workflowId: string, what: string): ApplicationFailure {
  const action = 'Name this step otherwise, or wait until the other one has ended and ask for a larger take.';
  const message = `Workflow ID "${workflowId}" belongs to ${what}, which still runs. Nothing was started and nothing was paid. ${action}`;
  const details: FailureDetails = { ...nothingKnown(), code: FAILURE.InputChanged, action };
  return ApplicationFailure.nonRetryable(message, FAILURE.InputChanged, details);
}
