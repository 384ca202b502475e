import { log } from '@temporalio/activity';
import type { PaidCallInput, PaidCallResult, TaskSnapshot } from '../src/contract/index.js';
import { referenceUrls } from '../src/policy/index.js';
import { noted, step, withKind, type ActivityDependencies } from './context.js';
import { paidPost } from './paid-post.js';
import { warnAboveLimit } from './policy.js';

/** Submits one generation: one attempt, at most one POST. */
export async function rivyaSubmit(
  input: PaidCallInput,
  dependencies: ActivityDependencies,
): Promise<PaidCallResult<TaskSnapshot>> {
  const { api, receipts, spending, onStep } = dependencies;
  const { body, baseKey, uploadUrls = [] } = input;
  const knownTasks = async (store: NonNullable<typeof receipts>) => {
    const { submit, tasks } = await store.find(baseKey);
    return { submit, answers: tasks.map((task) => ({ ...task, answer: task.taskId })) };
  };
  return paidPost<string, TaskSnapshot>(
    input,
    {
      paid: 'task',
      references: referenceUrls(body).filter((url) => !uploadUrls.includes(url)),
      receipts,
      known: {
        receipts: receipts === null ? null : () => knownTasks(receipts),
        answerInMemo: ({ taskId }) => taskId,
      },
      recalled,
      post: async (request) => {
        const { task } = await api.createGeneration({ ...request, body });
        log.info('submitted', { taskId: task.taskId, status: task.status, requestId: task.requestId });
        return withKind(task, dependencies);
      },
      answered: async (task, head) => {
        warnAboveLimit(spending, task);
        // The task ID is on its way into the history: a store that fails now loses nothing.
        if (receipts !== null) await noted(() => step(onStep, 'receipt', () => receipts.noteTask(head, task)));
      },
    },
    dependencies,
  );
}

/** A task that an earlier run got. All else about it comes with the first check. */
function recalled(taskId: string): TaskSnapshot {
  return {
    taskId,
    status: 'unknown',
    model: null,
    kind: null,
    reservedCredits: null,
    finalCredits: null,
    createdAt: null,
    updatedAt: null,
    ageMs: null,
    urls: [],
    error: null,
    simulated: false,
    requestId: null,
  };
}
