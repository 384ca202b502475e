import { z } from 'zod';
import type { ChatAnswer } from '../contract/index.js';
import { ageOf, type Answer } from './reply.js';
import { credits, isTaskId, text, timestamp } from './schemas.js';

/**
 * Largest answer that is read: a hundred times what 100,000 tokens of English take. A longer one would be paid for and
 * never be known.
 */
export const MAX_CHAT_BYTES = 8 * 1024 * 1024;

/** An answer as it came, with its whole content. */
export interface PostedChat {
  readonly answer: ChatAnswer;
  /** Age of the answer in milliseconds, both times from the API's own clock; null where it did not tell. */
  readonly ageMs: number | null;
  readonly requestId: string | null;
}

const tokens = z.number().nonnegative().nullable().catch(null);
const opaque = z.string().refine(isTaskId).nullable().catch(null);

// A text can hold half a character, which no history carries.
const content = z
  .string()
  .catch('')
  .transform((said) => said.toWellFormed());

/**
 * An answer. One without text is an answer as well: it was paid for, and asking again would pay again. But a 2xx that is
 * no chat completion at all may come from anybody on the way.
 */
export const chatSchema = z
  .object({
    id: opaque,
    object: z.unknown().optional(),
    session_id: opaque,
    model: text,
    created_at: timestamp,
    message: z.object({ id: opaque, content }).nullable().catch(null),
    usage: z.object({ input_tokens: tokens, output_tokens: tokens, total_tokens: tokens }).nullable().catch(null),
    credits: z.object({ reserved: credits, final: credits }).nullable().catch(null),
  })
  .refine(({ object, message }) => message !== null || object === 'chat.completion');

export function toPostedChat(answer: Answer<z.output<typeof chatSchema>>): PostedChat {
  const { value: chat, simulated, requestId } = answer;
  return {
    ageMs: ageOf(answer, chat.created_at),
    requestId,
    answer: {
      id: chat.id,
      sessionId: chat.session_id,
      messageId: chat.message?.id ?? null,
      content: chat.message?.content ?? '',
      truncated: false,
      model: chat.model,
      usage: {
        inputTokens: chat.usage?.input_tokens ?? null,
        outputTokens: chat.usage?.output_tokens ?? null,
        totalTokens: chat.usage?.total_tokens ?? null,
      },
      reservedCredits: chat.credits?.reserved ?? null,
      finalCredits: chat.credits?.final ?? null,
      createdAt: chat.created_at,
      simulated,
    },
  };
}
