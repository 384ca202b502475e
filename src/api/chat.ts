import { z } from 'zod';
import type { ChatAnswer } from '../contract/index.js';
import type { Answer } from './reply.js';
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

const id = z.string().refine(isTaskId);

const tokens = z.number().nonnegative().nullable().catch(null);
const opaque = id.nullable().catch(null);

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
    message: z
      // A text can hold half a character, which no history carries.
      .object({
        id: opaque,
        content: z
          .string()
          .catch('')
          .transform((content) => content.toWellFormed()),
      })
      .nullable()
      .catch(null),
    usage: z.object({ input_tokens: tokens, output_tokens: tokens, total_tokens: tokens }).nullable().catch(null),
    credits: z.object({ reserved: credits, final: credits }).nullable().catch(null),
  })
  .refine(({ object, message }) => message !== null || object === 'chat.completion');

export function toPostedChat({
  value: chat,
  serverTime,
  simulated,
  requestId,
}: Answer<z.output<typeof chatSchema>>): PostedChat {
  const age = serverTime === null || chat.created_at === null ? null : serverTime - Date.parse(chat.created_at);
  return {
    // The header counts whole seconds, so a young answer can look as if it were made in the future.
    ageMs: age === null ? null : Math.max(0, age),
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
