/** A chat as its users see it: options, request and result. It contains no code but one list of values. */
import type { GenerateMediaInput, GenerationOptions } from './generation.js';

/** Options of a chat, as those of a generation. */
export type ChatOptions = Pick<
  GenerationOptions,
  'maxCredits' | 'submitDeadline' | 'idempotencyWindow' | 'onActionNeeded' | 'taskQueue'
>;

export const REASONING_EFFORTS = ['default', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** One message to a chat model. Of `sessionId` and `session`, at most one is given. */
export type ChatRequest = ChatFields &
  (
    | {
        /** Goes on with a session that the API named before; left out, a new one begins. */
        readonly sessionId?: string;
        readonly session?: undefined;
      }
    | {
        readonly sessionId?: undefined;
        /** The same, by the result of an earlier chat. */
        readonly session?: Pick<ChatResult, 'sessionId'>;
      }
  );

interface ChatFields extends Pick<GenerateMediaInput, 'clientRequestId' | 'labels'> {
  /** Public ID of a chat model, for example `gpt-5-2-chat`. */
  readonly model: string;
  /** One user message, 1 to 20,000 characters. */
  readonly message: string;
  /** Images that were uploaded through the Files API, at most 20. */
  readonly attachments?: readonly { readonly fileId: string }[];
  /** Only on models that support it; the API's default is no. */
  readonly enableWebSearch?: boolean;
  /** Which values a model takes depends on the model. */
  readonly reasoningEffort?: (typeof REASONING_EFFORTS)[number];
  readonly options?: ChatOptions;
}

/** Tokens as the API counted them; null where it gave no number. */
export interface ChatUsage {
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly totalTokens: number | null;
}

/** An answer of a chat model, as the API gave it. Fields that a reply left out are null. */
export interface ChatAnswer {
  /** The API's ID of the answer. */
  readonly id: string | null;
  readonly sessionId: string | null;
  readonly messageId: string | null;
  /** Empty where the answer held no text: it was answered and paid all the same. */
  readonly content: string;
  /** True where the content is longer than Temporal carries, and was cut to 1 MB. */
  readonly truncated: boolean;
  readonly model: string | null;
  readonly usage: ChatUsage;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  readonly createdAt: string | null;
  /** True when the emulator answered: nothing was paid and no model was asked. */
  readonly simulated: boolean;
}

/** Result of `chat`. Credits are as the API reported them; null where it did not. */
export interface ChatResult extends Omit<ChatAnswer, 'id' | 'model'> {
  readonly model: string;
  readonly idempotencyKey: string;
  /** True when the answer was known before this run's first POST. */
  readonly reused: boolean;
}
