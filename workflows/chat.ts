/**
 * `chat`: one message to a chat model as a paid step of a user's Workflow. Users' Workflows call it; `rivyaChat` does
 * the work in a child. It sends nothing by itself.
 */
import { CHAT_WORKFLOW_TYPE, type ChatRequest, type ChatResult } from '../src/contract/index.js';
import { identityOf, readChat, titleOf } from '../src/policy/index.js';
import { idOfStep, startStep, summaryOfStep, type PaidStep, type StepOptions } from './children.js';
import { orFailure } from './input.js';

/**
 * Sends one message to a chat model as a step of your Workflow and returns the answer. It is the child Workflow `rivyaChat`
 * with the ID `<parent>/<step>`, paid once, and held and resumed under the rules of `generate`; steps of both share their
 * names.
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function chat(request: ChatRequest, options: StepOptions): Promise<ChatResult> {
  return (await startStep<ChatResult>(chatStep(request, options))).result();
}

/**
 * Checks a chat and makes it a step that can be started.
 * @param parent - Workflow ID that it is a step of; default that of this Workflow.
 */
export function chatStep(input: ChatRequest, { step, summary }: StepOptions, parent?: string): PaidStep {
  const workflowId = idOfStep(step, '', parent);
  const read = orFailure('', () => ({ ...readChat(input), taskId: null }));
  const identity = identityOf(read);
  const { taskQueue } = read;
  const userMetadata = { staticSummary: summaryOfStep(summary, titleOf(read)) };
  return { step, workflowId, workflowType: CHAT_WORKFLOW_TYPE, input, identity, taskQueue, userMetadata };
}
