/**
 * The Workflow `rivyaChat`: one message to a chat model, one Workflow Execution. It guarantees what `generateMedia`
 * guarantees: paid once, and its memo says how it ended. Clients and the steps of users' Workflows start it. It waits
 * for no task: the answer to its POST is the result. Deterministic.
 */
import { allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { ChatRequest, ChatResult } from '../src/contract/index.js';
import { digestOf, idempotencyKey } from '../src/policy/index.js';
import { activities } from './activities.js';
import { registerHandlers } from './handlers.js';
import { checkedChat, refuseForeignCarried } from './input.js';
import { Progress, type CarriedProgress } from './progress.js';
import { submit } from './submission.js';

/**
 * Sends one message to a chat model and returns the answer. It is paid once under the rules of `generateMedia`, and is held
 * and resumed like it. The content of the answer goes into the history, and into the store of the Worker where it has one.
 *
 * @param carried - Set by this Workflow itself when it continues as new; callers leave it out.
 * @throws ApplicationFailure whose type is Rivya's error code or one of `FAILURE`, with `FailureDetails`.
 */
export async function rivyaChat(request: ChatRequest, carried?: CarriedProgress): Promise<ChatResult> {
  const chat = checkedChat(request);
  refuseForeignCarried(carried);
  const { model, body, labels, onActionNeeded, idempotencyWindowMs, submitDeadlineMs, maxCredits } = chat;
  const { namespace, workflowId, taskQueue } = workflowInfo();
  const keyOf = (number: number): string => idempotencyKey({ use: 'chat', namespace, workflowId, number });
  const baseKey = keyOf(1);
  const subject = { paid: 'answer', bodyDigest: digestOf(body) } as const;
  const progress = new Progress({ ...subject, model, labels, onActionNeeded, baseKey }, carried);
  registerHandlers(progress);
  if (carried !== undefined) progress.update({}, true);

  const budget = maxCredits === null ? {} : { maxCredits };
  const common = { body, ...budget, baseKey, model, labels, idempotencyWindowMs };
  const { rivyaChat: ask } = activities.submit(chat.taskQueue ?? taskQueue, submitDeadlineMs, `chat with ${model}`);
  const result = await progress.recordEnd(async () => {
    const { answer, reused, firstPostedAt } = await submit(progress, {
      submitDeadlineMs,
      keyOf,
      ownKey: false,
      post: (at) => ask({ ...common, ...at }),
      checkpoint: async () => {
        if (!workflowInfo().continueAsNewSuggested) return;
        await condition(allHandlersFinished);
        await continueAsNew<typeof rivyaChat>(request, progress.carried);
      },
    });
    progress.clearUnanswered();
    const { reservedCredits, finalCredits, simulated } = answer;
    // The answer is too long for a memo, so the memo goes on saying that a POST went out: a later run asks the API under the
    // same key, or holds.
    const submittingSince = firstPostedAt ?? Date.now();
    progress.update({ phase: 'succeeded', submittingSince, reservedCredits, finalCredits, simulated }, true);
    const { id: _, ...fields } = answer;
    const { idempotencyKey: usedKey } = progress.state;
    return { ...fields, model: answer.model ?? model, idempotencyKey: usedKey ?? baseKey, reused };
  });
  await condition(allHandlersFinished);
  return result;
}
