import { log } from '@temporalio/activity';
import type { ChatAnswer, PaidCallInput, PaidCallResult } from '../src/contract/index.js';
import { carriedContent } from '../src/policy/index.js';
import { noted, step, type ActivityDependencies } from './context.js';
import { paidPost } from './paid-post.js';

/** Sends one message to a chat model: one attempt, at most one POST. */
export async function rivyaChat(
  input: PaidCallInput,
  dependencies: Pick<ActivityDependencies, 'api' | 'keys' | 'receipts' | 'onStep'>,
): Promise<PaidCallResult<ChatAnswer>> {
  const { api, receipts, onStep } = dependencies;
  const { body, baseKey } = input;
  const chats = receipts?.chats ?? null;
  const paid = await paidPost<ChatAnswer, ChatAnswer>(
    input,
    {
      paid: 'answer',
      references: [],
      receipts: chats,
      // An answer is too long for a memo.
      known: { receipts: chats === null ? null : () => chats.find(baseKey), answerInMemo: () => null },
      recalled: (answer) => answer,
      post: async (request) => {
        const { answer, requestId } = await api.createChat({ ...request, body });
        log.info('answered', { answer: answer.id, requestId });
        return answer;
      },
      answered: async (answer, head) => {
        // The answer is on its way into the history: a store that fails now loses nothing but what is cut from it.
        if (chats !== null) await noted(() => step(onStep, 'receipt', () => chats.noteAnswer(head, answer)));
      },
    },
    dependencies,
  );
  return { ...paid, answer: paid.answer && carried(paid.answer) };
}

/** As much of an answer as a history carries. */
function carried(answer: ChatAnswer): ChatAnswer {
  const content = carriedContent(answer.content);
  return content === answer.content ? answer : { ...answer, content, truncated: true };
}
