/** Answers of the API as the rest of the package sees them. A field that the API left out is null. */
import type { z } from 'zod';
import type { ChatAnswer, TaskSnapshot } from '../contract/index.js';
import type { Answer } from './reply.js';
import type { chatSchema, fileSchema, ModelInfo, taskSchema } from './schemas.js';

export type TaskAnswer = Pick<Answer<unknown>, 'serverTime'> & { readonly task: TaskSnapshot };

/** The answer of a chat with its whole content. */
export interface PostedChat extends Pick<Answer<unknown>, 'requestId'> {
  readonly answer: ChatAnswer;
  /** Age of the answer in milliseconds, both times by the API's clock. */
  readonly ageMs: number | null;
}

type UploadedFile = z.output<typeof fileSchema>;

/** An upload. */
export interface FileAnswer extends Readonly<Omit<UploadedFile, 'id'>>, Pick<Answer<unknown>, 'simulated'> {
  readonly fileId: string | null;
}

export interface CreditsAnswer extends Pick<Answer<unknown>, 'serverTime' | 'simulated'> {
  readonly currentCredits: number | null;
}

export interface ModelsAnswer extends Pick<Answer<unknown>, 'serverTime' | 'simulated'> {
  readonly models: readonly ModelInfo[];
  /** False where there may be models that are not in it. */
  readonly whole: boolean;
}

export function toTaskAnswer(answer: Answer<z.output<typeof taskSchema>>): TaskAnswer {
  const { value, serverTime, simulated, requestId } = answer;
  const { id: taskId, ...task } = value;
  // The kind of medium is not in the reply.
  return { serverTime, task: { taskId, ...task, kind: null, ageMs: ageOf(answer), simulated, requestId } };
}

export function toPostedChat(answer: Answer<z.output<typeof chatSchema>>): PostedChat {
  const { value, simulated, requestId } = answer;
  const { id, sessionId, message, model, usage, credits, createdAt } = value;
  const { id: messageId, content } = message ?? { id: null, content: '' };
  const { reserved: reservedCredits, final: finalCredits } = credits;
  const paid = { model, usage, reservedCredits, finalCredits, createdAt, simulated };
  return { ageMs: ageOf(answer), requestId, answer: { id, sessionId, messageId, content, truncated: false, ...paid } };
}

export function toFileAnswer({ value, simulated }: Answer<UploadedFile>): FileAnswer {
  const { id: fileId, ...file } = value;
  return { fileId, ...file, simulated };
}

function ageOf({ serverTime, value: { createdAt } }: Answer<{ readonly createdAt: string | null }>): number | null {
  // The clock of the API comes in whole seconds, so a young task can seem to be made in the future.
  return serverTime === null || createdAt === null ? null : Math.max(0, serverTime - Date.parse(createdAt));
}
