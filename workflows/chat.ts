import { isCancellation, TemporalFailure, workflowInfo } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE, type ChatRequest, type ChatResult } from '../src/contract/index.js';
import { idempotencyKey } from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import type { GenerateOptions } from './generate.js';
import { checkedChat } from './input.js';
import { atStart, Progress } from './progress.js';
import { checkStep, runStep } from './steps.js';
import { holdOrFail, submit } from './submission.js';

/**
 * Sends one message to a chat model inside your own Workflow and returns the answer. It is paid once under the rules of
 * `generate`, and is held and resumed like it; steps of both share their names. The content of the answer goes into the
 * history of your Workflow, and into the store of the Worker where it has one.
 *
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function chat(request: ChatRequest, { step }: GenerateOptions): Promise<ChatResult> {
  checkStep(step);
  const checked = checkedChat(request);
  const { model, body, take, labels, idempotencyWindowMs, submitDeadlineMs, maxCredits } = checked;
  const budget = maxCredits === null ? {} : { maxCredits };
  const taskQueue = checked.taskQueue ?? DEFAULT_TASK_QUEUE;
  const { namespace, workflowId } = workflowInfo();
  const keyOf = (spent: number): string =>
    idempotencyKey({ use: 'chat', namespace, workflowId, step, take, attempt: 1, spent });
  const identity = { step, take, attempt: 1, model, labels, firstKey: keyOf(0) };
  const progress = new Progress(atStart({ model, key: keyOf(0) }), () => undefined, { paid: 'answer' });
  const ask = () =>
    submit(progress, {
      policy: checked,
      key: keyOf,
      post: (key, risk) =>
        activities
          .submit(taskQueue, submitDeadlineMs, `chat with ${model}`)
          .rivyaChat({ idempotencyKey: key, identity, body, idempotencyWindowMs, ...budget, ...risk }),
      hold: (end, tries) => holdOrFail(progress, checked, end, tries),
    });
  return runStep(step, progress, async () => {
    progress.update({ phase: 'submitting' });
    try {
      const { answer, ...reply } = await ask();
      const { id: _, ...told } = answer;
      return { ...told, ...reply, model: answer.model ?? model };
    } catch (error) {
      const stopped = error instanceof TemporalFailure && isCancellation(error);
      throw stopped ? failures.cancelled(error, progress.state, 'answer') : error;
    }
  });
}
