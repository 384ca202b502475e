import { CHAT_WORKFLOW_TYPE, type ChatRequest, type ChatResult } from '../src/contract/index.js';
import { identityOf, readChat, titleOf } from '../src/policy/index.js';
import { idOfStep, startStep, type PaidStep, type StepOptions } from './children.js';
import { orFailure } from './input.js';

/**
 * Sends one message to a chat model as a step of your Workflow and returns the answer. It is the child Workflow `rivyaChat`
 * with the ID `<parent>/<step>`, paid once, and held and resumed under the rules of `generate`; steps of both share their
 * names.
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function chat(request: ChatRequest, { step }: StepOptions): Promise<ChatResult> {
  return (await startStep<ChatResult>(chatStep(request, step))).result();
}

/**
 * A chat as a step, checked.
 * @param parent - As for `generationStep`.
 */
export function chatStep(input: ChatRequest, step: string, parent?: string): PaidStep {
  const workflowId = idOfStep(step, '', parent);
  const read = orFailure('', () => ({ ...readChat(input), taskId: null }));
  const identity = identityOf(read);
  const { taskQueue } = read;
  return { step, workflowId, workflowType: CHAT_WORKFLOW_TYPE, input, identity, taskQueue, title: titleOf(read) };
}
