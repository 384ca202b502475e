/**
 * The Activity `rivyaResult`: the result of a child that an earlier run has started. It guarantees that the child has
 * the type and the input that the step asks for. Steps of users' Workflows call it. Each attempt looks once, and
 * Temporal repeats it while the child runs. It calls no API and pays nothing.
 */
import { Context } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { CHAT_WORKFLOW_TYPE, FAILURE, isOpen } from '../src/contract/index.js';
import type { InputIdentity, ResultInput, ResultOfChild } from '../src/contract/index.js';
import { identityOf, InvalidInput, isSameInput, readChat, readInput, UNRESOLVED } from '../src/policy/index.js';
import { describeRun, startOf } from '../src/temporal/runs.js';
import { finalFailure } from './failure.js';

/** @throws ApplicationFailure `InputChanged` where the Workflow ID stands for something else. */
export async function rivyaResult({ workflowId, workflowType, identity }: ResultInput): Promise<ResultOfChild> {
  const { client } = Context.current();
  const run = await describeRun(client, workflowId);
  if (run === null) throw childDeleted(workflowId);
  const { type, status } = run;
  if (type !== workflowType) throw idTaken(workflowId, `a Workflow of type ${type}`);
  const { input } = await startOf(client, workflowId);
  const existing = identityIn(input, workflowType);
  if (existing !== null && !isSameInput(identity, existing)) throw idTaken(workflowId, 'another input');
  if (status.name === 'COMPLETED') {
    return { status: status.name, result: await client.workflow.getHandle(workflowId).result() };
  }
  if (!isOpen(status.name)) return { status: status.name };
  throw ApplicationFailure.create({
    type: 'StillRunning',
    message: `${workflowId} still runs since before this run began. Nothing to do: it is waited for.`,
    // It is no error: this keeps it out of logs and failure metrics.
    category: ApplicationFailureCategory.BENIGN,
  });
}

/** A new run would post under a key that the API may have forgotten since, so a person decides. */
function childDeleted(workflowId: string): ApplicationFailure {
  const action = UNRESOLVED.task.ended;
  const message = `Workflow "${workflowId}", which an earlier run had started, is no longer known to Temporal: it was deleted, or ended longer ago than the retention of the namespace.`;
  return finalFailure(FAILURE.SubmitUnresolved, message, { action });
}

/** The identity of an input; null where the input was refused, or made by a version with other fields. */
function identityIn(input: unknown, workflowType: string): InputIdentity | null {
  try {
    const read = workflowType === CHAT_WORKFLOW_TYPE ? { ...readChat(input), taskId: null } : readInput(input);
    return identityOf(read);
  } catch (error) {
    if (error instanceof InvalidInput) return null;
    throw error;
  }
}

function idTaken(workflowId: string, what: string): ApplicationFailure {
  const action = 'Name this step otherwise; in a loop, put the round into the name.';
  const message = `Workflow ID "${workflowId}" belongs to ${what}. Nothing was started and nothing was paid for this step.`;
  return finalFailure(FAILURE.InputChanged, message, { action });
}
