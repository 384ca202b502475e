/**
 * The Activity `rivyaSubmit`: submits one generation. It guarantees what `paidPost` guarantees: at most one POST in
 * each attempt. `generateMedia` calls it. It repeats nothing by itself.
 */
import { log } from '@temporalio/activity';
import type { PaidCallInput, PaidCallResult, TaskSnapshot } from '../src/contract/index.js';
import { likenessOf, referenceUrls } from '../src/policy/index.js';
import { sideEffect, tryToNote, withKind, type ActivityDependencies } from './context.js';
import { waitedForTurn, withExpectation } from './expected.js';
import { paidPost } from './paid-post.js';
import { warnAboveLimit } from './policy.js';
import type { RecallSource } from './recall.js';

export async function rivyaSubmit(
  input: PaidCallInput,
  dependencies: ActivityDependencies,
): Promise<PaidCallResult<TaskSnapshot>> {
  const saturated = waitedForTurn();
  const { api, receipts, spending, learned, onStep } = dependencies;
  const { body, baseKey, model, uploadUrls = [] } = input;
  return paidPost<string, TaskSnapshot>(
    input,
    {
      paid: 'task',
      references: referenceUrls(body).filter((url) => !uploadUrls.includes(url)),
      receipts,
      ...taskRecords(receipts, baseKey),
      answerOf: (taskId) => ({ ...NOT_CHECKED, taskId }),
      post: async (request) => {
        const { task } = await api.createGeneration({ ...request, body });
        log.info('submitted', { taskId: task.taskId, status: task.status, requestId: task.requestId });
        const seen = { model, likeness: likenessOf(body), bornAt: Date.now(), runningAt: null, saturated };
        return withExpectation(withKind(task, dependencies), learned, seen);
      },
      noteAnswer: async (task, head) => {
        warnAboveLimit(spending, task);
        // The task ID is on its way into the history: a store that fails now loses nothing.
        if (receipts !== null)
          await tryToNote(() => sideEffect(onStep, 'receipt', () => receipts.noteTask(head, task)));
      },
    },
    dependencies,
  );
}

/** Where tasks of a generation are remembered. */
export function taskRecords(
  receipts: ActivityDependencies['receipts'],
  baseKey: string,
): Omit<RecallSource<string>, 'baseKey'> {
  const readReceipts = async (store: NonNullable<typeof receipts>) => {
    const { submit, answers } = await store.find(baseKey);
    return { submit, answers: answers.map((task) => ({ ...task, answer: task.taskId })) };
  };
  return {
    readReceipts: receipts === null ? null : () => readReceipts(receipts),
    answerInMemo: ({ taskId }) => taskId,
  };
}

/** A task of an earlier run, before its first check. */
const NOT_CHECKED = {
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
} satisfies Omit<TaskSnapshot, 'taskId'>;
