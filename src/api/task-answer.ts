import type { z } from 'zod';
import type { TaskSnapshot } from '../contract/index.js';
import { ageOf, type Answer } from './reply.js';
import type { taskSchema } from './schemas.js';

export interface TaskAnswer {
  readonly task: TaskSnapshot;
  /** The API's own clock: `Date` header in milliseconds since the epoch, or null. */
  readonly serverTime: number | null;
}

/** A task reply as the rest of the package sees it. The kind of medium is not in the reply. */
export function toTaskAnswer(answer: Answer<z.output<typeof taskSchema>>): TaskAnswer {
  const { value: task, serverTime, simulated, requestId } = answer;
  return {
    serverTime,
    task: {
      taskId: task.id,
      status: task.status,
      model: task.model,
      kind: null,
      reservedCredits: task.reserved_credits,
      finalCredits: task.final_credits,
      createdAt: task.created_at,
      updatedAt: task.updated_at,
      ageMs: ageOf(answer, task.created_at),
      urls: task.urls,
      error: task.error,
      simulated,
      requestId,
    },
  };
}
