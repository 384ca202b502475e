import { CHAT_WORKFLOW_TYPE, type ChatRequest, type ChatResult } from '../src/contract/index.js';
import { identityOf, readChat, titleOf } from '../src/policy/index.js';
import { idOfStep, startStep, type StepOptions } from './children.js';
import { orFailure } from './input.js';

/**
 * Sends one message to a chat model as a step of your Workflow and returns the answer. It is the child Workflow `rivyaChat`
 * with the ID `<parent>/<step>`, paid once, and held and resumed under the rules of `generate`; steps of both share their
 * names.
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function chat(request: ChatRequest, { step }: StepOptions): Promise<ChatResult> {
  const workflowId = idOfStep(step);
  const read = orFailure('', () => ({ ...readChat(request), taskId: null }));
  const { taskQueue } = read;
  const identity = identityOf(read);
  const workflowType = CHAT_WORKFLOW_TYPE;
  const title = titleOf(read);
  return (
    await startStep<ChatResult>({ step, workflowId, workflowType, input: request, identity, taskQueue, title })
  ).result();
}
