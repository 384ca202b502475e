import { z } from 'zod';
import type { ChatAnswer } from '../contract/index.js';
import { Head, KeyFolders, type AnswerReceipt, type ReceiptHead } from './key-folders.js';
import type { Texts } from './timely.js';

const ROOT = '.rivya/chats';

/** An answer that was paid for, with its whole content: that is what the money went for. */
export interface ChatReceipt extends AnswerReceipt {
  readonly answer: ChatAnswer;
}

const numberOrNull = z.number().nullable();
const textOrNull = z.string().nullable();
const Chat = Head.extend({
  answer: z.object({
    id: textOrNull,
    sessionId: textOrNull,
    messageId: textOrNull,
    content: z.string(),
    truncated: z.boolean(),
    model: textOrNull,
    usage: z.object({ inputTokens: numberOrNull, outputTokens: numberOrNull, totalTokens: numberOrNull }),
    reservedCredits: numberOrNull,
    finalCredits: numberOrNull,
    createdAt: textOrNull,
    simulated: z.boolean(),
  }),
});

/** The receipts of chats at one API. Answers are there in full: an API that has forgotten the key would be paid again. */
export class ChatReceipts extends KeyFolders<ChatReceipt> {
  /** @param api - The API as a name of a folder. */
  constructor(store: Texts, api: string) {
    super(store, `${ROOT}/${api}`, 'answer-', Chat);
  }

  /** Notes an answer; the same one again is the same receipt. */
  async noteAnswer(head: ReceiptHead, answer: ChatAnswer): Promise<void> {
    await this.note(idOf(answer), { ...head, answer, at: new Date().toISOString() });
  }
}

/** IDs are not promised; the content tells two answers apart as well. */
function idOf({ id, messageId, createdAt, content }: ChatAnswer): string {
  return id ?? messageId ?? `${createdAt ?? 'answer'} ${content}`;
}
