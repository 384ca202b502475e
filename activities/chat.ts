/**
 * The Activity `rivyaChat`: sends one message to a chat model. It guarantees what `paidPost` guarantees: at most one
 * POST in each attempt. The Workflow `rivyaChat` calls it. It repeats nothing by itself.
 */
import { log } from '@temporalio/activity';
import type { ChatAnswer, PaidCallInput, PaidCallResult } from '../src/contract/index.js';
import { carriedContent } from '../src/policy/index.js';
import { sideEffect, tryToNote, type ActivityDependencies } from './context.js';
import { paidPost, type PaidDependencies } from './paid-post.js';

export async function postChat(
  input: PaidCallInput,
  dependencies: Pick<ActivityDependencies, 'api' | 'receipts'> & Omit<PaidDependencies, 'spending'>,
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
      readReceipts: chats === null ? null : () => chats.find(baseKey),
      // An answer is too long for a memo.
      answerInMemo: () => null,
      answerOf: (recalled) => recalled,
      post: async (request) => {
        const { answer, requestId } = await api.createChat({ ...request, body });
        log.info('answered', { answer: answer.id, requestId });
        return answer;
      },
      // The answer is on its way into the history: a store that fails now loses only the part that is cut from it.
      noteAnswer: async (answer, head) => {
        if (chats !== null) await tryToNote(() => sideEffect(onStep, 'receipt', () => chats.noteAnswer(head, answer)));
      },
    },
    dependencies,
  );
  return { ...paid, answer: paid.answer && shortened(paid.answer) };
}

/** The answer with as much of its content as a history carries. */
function shortened(answer: ChatAnswer): ChatAnswer {
  const content = carriedContent(answer.content);
  return content === answer.content ? answer : { ...answer, content, truncated: true };
}
