import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { GenerationHandle } from '../client.js';
import { CHAT_WORKFLOW_TYPE, WORKFLOW_TYPE } from '../contract/index.js';
import type { Temporal } from './context.js';
import { UsageError } from './errors.js';

/**
 * A generation or chat that exists.
 * @throws WorkflowNotFoundError for an unknown ID; UsageError for a Workflow of another type.
 */
export async function known(
  { generations }: Temporal,
  workflowId: string,
): Promise<{ handle: GenerationHandle; description: WorkflowExecutionDescription }> {
  if (workflowId.trim() === '') throw new UsageError('workflow-id: is empty.');
  const handle = generations.handle(workflowId);
  const description = await handle.describe();
  if (description.type !== WORKFLOW_TYPE && description.type !== CHAT_WORKFLOW_TYPE) {
    throw new UsageError(
      `Workflow "${workflowId}" is of type ${description.type}, not a generation (${WORKFLOW_TYPE}) or a chat (${CHAT_WORKFLOW_TYPE}).`,
    );
  }
  return { handle, description };
}
