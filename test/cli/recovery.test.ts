/** What of all that the runs of one take know is still open at Rivya. */
import { expect, test } from 'vitest';
import { openOf, type LastSubmit, type PastGeneration } from '../../src/cli/recovery.js';
import type { GenerationMemo, TaskSnapshot } from '../../src/contract/index.js';

const FENCE = { firstPostedAt: 1, fingerprint: 'f' };

function memo(change: Partial<GenerationMemo> = {}): GenerationMemo {
  return {
    phase: 'waiting',
    status: null,
    taskId: null,
    model: 'z-image',
    idempotencyKey: 'key-1',
    firstKey: change.idempotencyKey ?? 'key-1',
    bodyDigest: 'digest',
    reservedCredits: 1,
    finalCredits: 0,
    hold: null,
    unanswered: null,
    riskAccepted: false,
    riskReason: null,
    attempt: 1,
    take: 1,
    labels: {},
    earlier: [],
    ...change,
  };
}
const waiting = memo({ taskId: 'task_1', status: 'queued' });
const task = (status: string): TaskSnapshot => ({
  taskId: 'task_2',
  status,
  model: null,
  kind: null,
  reservedCredits: 1,
  finalCredits: 0,
  createdAt: null,
  updatedAt: null,
  ageMs: null,
  urls: [],
  error: null,
  simulated: false,
  requestId: null,
});
const run = (known: GenerationMemo | null, change: Partial<PastGeneration> = {}): PastGeneration => ({
  runId: 'run',
  status: 'TERMINATED',
  memo: known,
  submit: null,
  ...change,
});
const submit = (change: Partial<LastSubmit> = {}): LastSubmit => ({
  idempotencyKey: 'key-1',
  firstKey: change.idempotencyKey ?? 'key-1',
  task: null,
  answered: true,
  ...change,
});

test.each<[string, (GenerationMemo | null)[], LastSubmit | null, object | null]>([
  ['a task that was waited for', [waiting], submit(), { kind: 'task', taskId: 'task_1', runId: 'run-0' }],
  ['a task that succeeded and was not delivered', [memo({ taskId: 'task_1', status: 'succeeded' })], null, {}],
  ['nothing: the task failed', [memo({ taskId: 'task_1', status: 'failed' })], submit(), null],
  ['nothing: the submit was refused', [memo({ phase: 'failed' })], submit(), null],
  ['nothing: it ended before it began', [null], null, null],
  ['nothing: the API never said that the task exists', [memo({ taskId: 'task_typo' })], null, null],
  [
    'a task that an earlier run knew, when the last ended before it could ask',
    [null, waiting],
    null,
    { kind: 'task', taskId: 'task_1', runId: 'run-1' },
  ],
  [
    'the same, when the last one had just begun to submit under the key of that task',
    [null, waiting],
    submit({ answered: false }),
    { kind: 'task', taskId: 'task_1' },
  ],
  [
    'a task whose answer the Workflow never read',
    [null],
    submit({ task: task('queued'), answered: false }),
    { kind: 'task', taskId: 'task_2', model: 'unknown' },
  ],
  ['nothing: that task failed at once', [null], submit({ task: task('failed'), answered: false }), null],
  ['a submit without an answer', [memo({ unanswered: FENCE })], submit(), { kind: 'unanswered' }],
  ['a submit under way when it was terminated', [null], submit({ answered: false }), { kind: 'unanswered' }],
  [
    'the submit of a second attempt, although the memo still tells of the first',
    [waiting],
    submit({ idempotencyKey: 'key-2', answered: false }),
    { kind: 'unanswered', idempotencyKey: 'key-2' },
  ],
  [
    'an old submit without an answer whose key got its task in a later run',
    [null, waiting, memo({ unanswered: FENCE })],
    null,
    { kind: 'task', taskId: 'task_1' },
  ],
  [
    'nothing: the last run knows that the task failed',
    [memo({ taskId: 'task_1', status: 'failed' }), waiting],
    null,
    null,
  ],
])('%s', (_, memos, last, open) => {
  const runs = memos.map((known, index) => run(known, { runId: `run-${index}`, submit: index === 0 ? last : null }));
  expect(openOf(runs)).toMatchObject(open === null ? [] : [open]);
});

test.each<[string, PastGeneration[], object[]]>([
  [
    'a task, although a run that took up another one has seen that fail',
    [run(memo({ taskId: 'task_2', status: 'failed', idempotencyKey: null })), run(waiting)],
    [{ taskId: 'task_1' }],
  ],
  [
    'two tasks, of which one was taken up by its ID',
    [run(memo({ taskId: 'task_2', status: 'queued', idempotencyKey: null })), run(waiting)],
    [{ taskId: 'task_2' }, { taskId: 'task_1' }],
  ],
  [
    'nothing: an older run has delivered it',
    [run(memo({ taskId: 'task_1', status: 'queued' })), run(waiting, { status: 'COMPLETED' })],
    [],
  ],
  ['nothing: a run of it goes on', [run(null, { status: 'RUNNING' }), run(waiting)], []],
  ['nothing: a run of it is paused', [run(null, { status: 'PAUSED' }), run(waiting)], []],
  [
    'nothing unanswered: the task was found and delivered by its ID',
    [
      run(memo({ taskId: 'task_2', status: 'succeeded', idempotencyKey: null }), { status: 'COMPLETED' }),
      run(memo({ unanswered: FENCE })),
    ],
    [],
  ],
  [
    'the task of the next attempt, where only an older run knows that the first failed',
    [
      run(waiting),
      run(
        memo({
          taskId: 'task_2',
          status: 'queued',
          idempotencyKey: 'key-2',
          earlier: [{ idempotencyKey: 'key-1', taskId: 'task_1' }],
        }),
      ),
    ],
    [{ taskId: 'task_2' }],
  ],
])('each task is judged by itself: %s', (_, runs, open) => expect(openOf(runs)).toMatchObject(open));

test('a memo of an earlier version, which did not write every field', () => {
  const { unanswered: _unanswered, earlier: _earlier, ...old } = waiting;
  expect(openOf([run(old as GenerationMemo)])).toMatchObject([{ taskId: 'task_1' }]);
});
