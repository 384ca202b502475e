/** What a generation that ended has left at Rivya, by all that its runs and receipts know. */
import { expect, test } from 'vitest';
import { recordsOfReceipts, recordsOfRun } from '../../src/cli/key-records.js';
import { lastLeftover } from '../../src/cli/ended.js';
import type { GenerationMemo } from '../../src/contract/index.js';
import type { TaskReceipt } from '../../src/storage/index.js';
import { memo, UNANSWERED } from './memo.js';

const waiting = memo({ taskId: 'task_1', status: 'queued' });
const unanswered = memo({ mayPostSince: UNANSWERED });
const second = { keyNumber: 2, attempt: 2, idempotencyKey: 'key-2', earlier: ['task_1'] };

function receipt(taskId: string, status: string, keyNumber = 1): TaskReceipt {
  const { idempotencyKey, baseKey, labels, bodyDigest, model, reservedCredits, finalCredits } = memo();
  const head = { idempotencyKey: idempotencyKey!, baseKey: baseKey!, labels, bodyDigest, model, keyNumber, attempt: 1 };
  const money = { reservedCredits, finalCredits, createdAt: null, simulated: false, at: '' };
  return { ...head, ...money, namespace: 'default', workflowId: 'fox', taskId, status };
}

/** @param memos - Newest first. */
function opened(memos: readonly (GenerationMemo | null)[], receipts: readonly TaskReceipt[] = []) {
  const run = { workflowId: 'fox', type: 'generateMedia', status: { code: 5, name: 'TERMINATED' } } as const;
  const runs = memos.map((paid, index) => ({ ...run, runId: `run-${index}`, startTime: new Date(0), paid }));
  const records = runs.flatMap((one) => recordsOfRun(one, 'default'));
  const open = lastLeftover([...records, ...recordsOfReceipts({ submit: null, answers: receipts })]);
  return open && { ...open, taskId: open.answer?.taskId ?? null };
}

test.each<[string, (GenerationMemo | null)[], TaskReceipt[], object | null]>([
  ['a task that was waited for', [waiting], [], { taskId: 'task_1', runId: 'run-0' }],
  ['a task that succeeded and was not delivered', [memo({ taskId: 'task_1', status: 'succeeded' })], [], {}],
  ['nothing: the task failed', [memo({ taskId: 'task_1', status: 'failed' })], [], null],
  ['nothing: the submit was refused', [memo({ phase: 'failed' })], [], null],
  ['nothing: it ended before it began', [null], [], null],
  ['nothing: the API never said that the task exists', [memo({ taskId: 'task_typo' })], [], null],
  ['a task that an earlier run knew, when the last ended before it could ask', [null, waiting], [], { runId: 'run-1' }],
  [
    'the same, when the last one had just begun to submit under the key of that task',
    [unanswered, waiting],
    [],
    { taskId: 'task_1' },
  ],
  ['a submit without an answer', [unanswered], [], { taskId: null, idempotencyKey: 'key-1' }],
  [
    'a task that only a receipt knows, because the POST outlived its Workflow',
    [unanswered],
    [receipt('task_1', 'queued')],
    { taskId: 'task_1', runId: null },
  ],
  ['nothing: a receipt knows that the task failed', [waiting], [receipt('task_1', 'failed')], null],
  ['nothing: the last run knows that it failed', [memo({ taskId: 'task_1', status: 'failed' }), waiting], [], null],
  [
    'the submit of a second attempt, whose first task has failed',
    [memo({ ...second, mayPostSince: UNANSWERED }), waiting],
    [receipt('task_1', 'queued')],
    { taskId: null, idempotencyKey: 'key-2' },
  ],
  [
    'the task of a second attempt that only an older run knows',
    [memo({ mayPostSince: UNANSWERED }), memo({ ...second, taskId: 'task_2', status: 'queued' }), waiting],
    [],
    { taskId: 'task_2' },
  ],
  [
    'a task, although a run that took up another one has seen that fail',
    [memo({ taskId: 'task_9', status: 'failed', baseKey: null }), waiting],
    [],
    { taskId: 'task_1' },
  ],
])('%s', (_, memos, receipts, open) => {
  if (open === null) expect(opened(memos, receipts)).toBeNull();
  else expect(opened(memos, receipts)).toMatchObject(open);
});
