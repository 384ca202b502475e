import type { z } from 'zod';
import type { TaskSnapshot } from '../contract/index.js';
import type { Answer } from './reply.js';
import type { taskSchema } from './schemas.js';

export interface TaskAnswer {
  readonly task: TaskSnapshot;
  /** The API's own clock: `Date` header in milliseconds since the epoch, or null. */
  readonly serverTime: number | null;
}

/** A task reply as the rest of the package sees it. The kind of medium is not in the reply. */
export function toTaskAnswer({
  value: task,
  serverTime,
  simulated,
  requestId,
}: Answer<z.output<typeof taskSchema>>): TaskAnswer {
  const ageMs = serverTime === null || task.created_at === null ? null : serverTime - Date.parse(task.created_at);
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
      // The header counts whole seconds, so a young task can look as if it were made in the future.
      ageMs: ageMs === null ? null : Math.max(0, ageMs),
      urls: task.urls,
      error: task.error,
      simulated,
      requestId,
    },
  };
}
