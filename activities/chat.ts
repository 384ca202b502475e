import { log } from '@temporalio/activity';
import type { ChatAnswer, ChatInput, ChatReply } from '../src/contract/index.js';
import { carriedContent } from '../src/policy/index.js';
import { noted, step, type ActivityDependencies } from './context.js';
import { paidPost } from './paid-post.js';
import { recallChat } from './recall.js';
import { headOf } from './submit.js';

/** Sends one message to a chat model: one attempt, at most one POST. */
export async function rivyaChat(
  input: ChatInput,
  dependencies: Pick<ActivityDependencies, 'api' | 'keys' | 'receipts' | 'onStep'>,
): Promise<ChatReply> {
  const { api, receipts, onStep } = dependencies;
  const { body, idempotencyKey } = input;
  const head = headOf(input);
  const chats = receipts?.chats ?? null;
  return paidPost(
    input,
    {
      head,
      receipts: chats,
      paid: 'answer',
      recall: (counts) => recallChat(head, receipts, counts),
      recalled: (answer, key) => {
        log.info('recalled', { answer: answer.id });
        return { answer: carried(answer), idempotencyKey: key, reused: true };
      },
      post: (request) => api.createChat({ ...request, body }),
      answered: async ({ answer, ageMs, requestId }, { firstPostedAt }) => {
        log.info('answered', { answer: answer.id, requestId });
        const sinceFirstPostMs = Math.max(0, Date.now() - firstPostedAt);
        // The answer is on its way into the history: a store that fails now loses nothing but what is cut from it.
        if (chats !== null) await noted(() => step(onStep, 'receipt', () => chats.noteAnswer(head, answer)));
        return { answer: carried(answer), idempotencyKey, reused: ageMs !== null && ageMs > sinceFirstPostMs };
      },
    },
    dependencies,
  );
}

/** As much of an answer as a history carries. */
function carried(answer: ChatAnswer): ChatAnswer {
  const content = carriedContent(answer.content);
  return content === answer.content ? answer : { ...answer, content, truncated: true };
}
