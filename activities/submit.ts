import { activityInfo, log } from '@temporalio/activity';
import type { SubmitInput, SubmitResult, TaskSnapshot } from '../src/contract/index.js';
import { bodyDigest, referenceUrls } from '../src/policy/index.js';
import type { ReceiptHead } from '../src/storage/index.js';
import { noted, step, withKind, type ActivityDependencies } from './context.js';
import { paidPost } from './paid-post.js';
import { warnAboveLimit } from './policy.js';
import { recallTask } from './recall.js';

/** Submits one generation: one attempt, at most one POST. */
export async function rivyaSubmit(input: SubmitInput, dependencies: ActivityDependencies): Promise<SubmitResult> {
  const { api, receipts, spending, onStep } = dependencies;
  const { body, uploadUrls = [] } = input;
  const head = headOf(input);
  return paidPost(
    input,
    {
      head,
      references: referenceUrls(body).filter((url) => !uploadUrls.includes(url)),
      receipts,
      paid: 'task',
      recall: (counts) => recallTask(head, receipts, counts),
      recalled,
      post: (request) => api.createGeneration({ ...request, body }),
      answered: async ({ task }, { firstPostedAt }) => {
        log.info('submitted', { taskId: task.taskId, status: task.status, requestId: task.requestId });
        warnAboveLimit(spending, task);
        // The task ID is on its way into the history: a store that fails now loses nothing.
        if (receipts !== null) await noted(() => step(onStep, 'receipt', () => receipts.noteTask(head, task)));
        const sinceFirstPostMs = Math.max(0, Date.now() - firstPostedAt);
        // The API cuts its time to whole seconds, so a new task never looks older than our first POST.
        const reused = task.ageMs !== null && task.ageMs > sinceFirstPostMs;
        return { task: withKind(task, dependencies), sinceFirstPostMs, reused };
      },
    },
    dependencies,
  );
}

/** What the receipts of this submit say about it. */
export function headOf({ idempotencyKey, body, digest, identity }: SubmitInput): ReceiptHead {
  const { workflowExecution, namespace } = activityInfo();
  const { model } = JSON.parse(body) as { model: string };
  return {
    ...(identity ?? { step: null, take: 1, attempt: 1, labels: {}, firstKey: idempotencyKey }),
    // What is paid for is the model of the body, so that is the one that policy and budget judge.
    model,
    idempotencyKey,
    namespace,
    workflowId: workflowExecution?.workflowId ?? '',
    bodyDigest: digest ?? bodyDigest(body),
  };
}

/** A task that an earlier run got. All else about it comes with the first check. */
function recalled(taskId: string, idempotencyKey: string): SubmitResult {
  log.info('recalled', { taskId });
  const task: TaskSnapshot = {
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
  return { task, sinceFirstPostMs: 0, idempotencyKey, reused: true };
}
