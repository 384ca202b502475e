/** What is paid is counted once, and what looks wrong is named. */
import { describe, expect, test } from 'vitest';
import { chargesOf, groupsOf, totalsOf, type Charge } from '../../src/cli/charges.js';
import type { PaidRun } from '../../activities/facts.js';
import { recordsOfRuns, type KeyRecord, type PaidTask } from '../../src/cli/key-records.js';
import { recordsOfStore } from '../../src/cli/records.js';
import { csv } from '../../src/batch/csv.js';
import type { ChatAnswer, GenerationMemo } from '../../src/contract/index.js';
import { Receipts } from '../../src/storage/index.js';
import { MemoryStore } from '../../src/testing/memory-store.js';
import { memo, UNANSWERED } from './memo.js';

function task(taskId: string, change: Partial<PaidTask> = {}): PaidTask {
  const credits = { reservedCredits: 2, finalCredits: 2 };
  return {
    taskId,
    status: 'succeeded',
    ...credits,
    createdAt: '2026-11-02T00:00:00.000Z',
    simulated: false,
    ...change,
  };
}
function record(change: Partial<KeyRecord> = {}): KeyRecord {
  return {
    namespace: 'default',
    workflowId: 'fox',
    runId: null,
    keyNumber: 1,
    attempt: 1,
    model: 'z-image',
    labels: {},
    idempotencyKey: 'key-1',
    answer: null,
    unanswered: null,
    riskReason: null,
    ...change,
  };
}
const failed = { status: 'failed', finalCredits: 0 };
const flagsOf = (...records: KeyRecord[]): string[] =>
  chargesOf(records).flatMap(({ flags }) => flags.map(({ code }) => code));

test('attempts of which only the run is known stand in their order', () => {
  const second = record({ attempt: 2, keyNumber: 2, answer: task('b') });
  const [charge] = chargesOf([second, record({ answer: task('a', failed) })]);
  expect(charge?.tasks.map(({ taskId }) => taskId)).toEqual(['a', 'b']);
});

describe('flags', () => {
  test.each<[string, KeyRecord[], string[]]>([
    ['nothing wrong with one task', [record({ answer: task('a') })], []],
    ['two tasks under one key', [record({ answer: task('a') }), record({ answer: task('b') })], ['paidTwice']],
    [
      'two tasks of one attempt under two keys',
      [record({ answer: task('a') }), record({ keyNumber: 2, answer: task('b') })],
      ['paidTwice'],
    ],
    [
      'a second attempt is no double payment',
      [record({ answer: task('a', failed) }), record({ attempt: 2, keyNumber: 2, answer: task('b') })],
      ['severalAttempts'],
    ],
    [
      'one task that two generations have under keys of theirs',
      [record({ answer: task('a') }), record({ workflowId: 'other', idempotencyKey: 'key-9', answer: task('a') })],
      ['sharedTask', 'sharedTask'],
    ],
    ['a failed task that cost credits', [record({ answer: task('a', { status: 'failed' }) })], ['failedButCharged']],
    ['the same task told twice is one', [record({ answer: task('a') }), record({ answer: task('a') })], []],
    [
      'a task that was taken up under the ID that made it is one',
      [record({ attempt: null, answer: task('a') }), record({ answer: task('a') })],
      [],
    ],
    ['a submit without an answer', [record({ unanswered: UNANSWERED })], ['mayBePaid']],
    [
      'a submit that found its task in another run',
      [record({ unanswered: UNANSWERED }), record({ answer: task('a') })],
      [],
    ],
    ['a risk that was accepted', [record({ answer: task('a'), riskReason: 'not in the Studio' })], ['riskAccepted']],
    [
      'two steps are two generations',
      ['a', 'b'].map((step) => record({ workflowId: `fox/${step}`, answer: task(step) })),
      [],
    ],
  ])('%s', (_, records, flags) => expect(flagsOf(...records)).toEqual(flags));

  test('name the tasks, and the reason that was given', () => {
    const charges = chargesOf([
      record({ answer: task('a') }),
      record({ answer: task('b'), riskReason: 'not in the Studio' }),
    ]);
    const text = charges[0]!.flags.map(({ message }) => message).join(' ');
    for (const word of ['a (succeeded)', 'b (succeeded)', 'not in the Studio']) expect(text).toContain(word);
  });
});

describe('what the memos of all runs of an ID say', () => {
  const run = (known: Partial<GenerationMemo> | null, change: Partial<PaidRun> & { age?: number } = {}): PaidRun => ({
    workflowId: 'fox',
    runId: 'run',
    type: 'generateMedia',
    status: { code: 2, name: 'TERMINATED' },
    startTime: new Date(1_000_000 - (change.age ?? 0)),
    paid: known && memo(known),
    ...change,
  });
  const running = { status: { code: 1, name: 'RUNNING' } } as const;
  const queued = { firstPostedAt: 1, fingerprint: 'unknown' };
  const ended = { taskId: 'a', status: 'succeeded' };

  test.each<[string, PaidRun[], string[]]>([
    ['a submit without an answer', [run({ mayPostSince: UNANSWERED })], ['mayBePaid']],
    ['one that is held with it', [run({ mayPostSince: UNANSWERED }, running)], ['mayBePaid']],
    ['one that waits for its turn is no alarm', [run({ mayPostSince: queued }, running)], []],
    ['one that ended while its submit was under way', [run({ mayPostSince: queued })], ['mayBePaid']],
    ['its task is known to an older run', [run({ mayPostSince: queued }), run(ended, { age: 1 })], []],
    [
      'a newer run that had looked knows better',
      [run({ lookedBy: 'new' }, { runId: 'new' }), run({ mayPostSince: UNANSWERED }, { age: 1 })],
      [],
    ],
    [
      'a newer run that had not looked does not',
      [run({}), run({ mayPostSince: UNANSWERED }, { age: 1 })],
      ['mayBePaid'],
    ],
    [
      'attempts that failed before',
      [run({ ...ended, attempt: 2, keyNumber: 2, earlier: ['z'] }), run({ taskId: 'z', status: 'queued' }, { age: 1 })],
      ['severalAttempts'],
    ],
    [
      'an attempt that failed before, and was charged all the same',
      [run({ ...ended, attempt: 2, keyNumber: 2, earlier: ['z'], earlierCredits: { z: 1 } })],
      ['failedButCharged', 'severalAttempts'],
    ],
    ['two tasks under one key number', [run({ ...ended, taskId: 'b' }), run(ended, { age: 1 })], ['paidTwice']],
    ['a task that the input named', [run({ ...ended, taskId: 'b', baseKey: null }), run(ended, { age: 1 })], []],
    [
      'a task that a person named answers what came before it',
      [run({ ...ended, baseKey: null }), run({ mayPostSince: UNANSWERED }, { age: 1 })],
      [],
    ],
    [
      'and not what was posted after it',
      [run({ mayPostSince: UNANSWERED }), run({ ...ended, baseKey: null }, { age: 1 })],
      ['mayBePaid'],
    ],
  ])('%s', (_, runs, flags) => expect(flagsOf(...recordsOfRuns(runs, 'default'))).toEqual(flags));

  test('a chat has an answer in place of a task once it has succeeded', () => {
    const chat = { type: 'rivyaChat' };
    expect(chargesOf(recordsOfRuns([run({ phase: 'held' }, chat)], 'default'))).toEqual([]);
    const [charge] = chargesOf(recordsOfRuns([run({ phase: 'succeeded', finalCredits: 2 }, chat)], 'default'));
    expect(charge).toMatchObject({ tasks: [{ settled: true, finalCredits: 2 }], flags: [] });
  });
});

describe('what the receipts of chats say', () => {
  const head = { ...record(), idempotencyKey: 'key-1', attempt: 1, baseKey: 'key-1', bodyDigest: 'd' };
  const unnamed = { sessionId: null, messageId: null, content: 'A fox.', truncated: false, model: 'gpt-5-2-chat' };
  const priced = { reservedCredits: 3, finalCredits: 2, createdAt: '2026-11-01T00:00:00.000Z', simulated: false };
  const answer = (id: string | null): ChatAnswer => ({
    ...unnamed,
    id,
    usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
    ...priced,
  });
  const charged = async (...answers: (string | null)[]): Promise<Charge[]> => {
    const receipts = new Receipts(new MemoryStore(), 'https://rivya.ai');
    await receipts.chats.noteSubmit(head, { unanswered: UNANSWERED, riskReason: null });
    for (const id of answers) await receipts.chats.noteAnswer(head, answer(id));
    return chargesOf((await recordsOfStore(receipts)).records);
  };

  test.each<[string, (string | null)[], string[]]>([
    ['an answer that is noted twice was paid once', ['chat_1', 'chat_1'], []],
    ['two answers under one key', ['chat_1', 'chat_2'], ['paidTwice']],
    ['also where the API gave one of them no ID', ['chat_1', null], ['paidTwice']],
    ['a chat without an answer', [], ['mayBePaid']],
  ])('%s', async (_, answers, flags) => {
    const [charge] = await charged(...answers);
    expect(charge?.flags.map(({ code }) => code)).toEqual(flags);
    if (answers.length > 0)
      expect(charge?.tasks[0]).toMatchObject({ taskId: 'chat_1', finalCredits: 2, settled: true });
  });
});

describe('sums', () => {
  test('a key of which only refusals are known paid nothing', () => expect(chargesOf([record()])).toEqual([]));

  test('a task that two generations share counts once', () => {
    const shared = ['fox', 'cat'].map((workflowId) => record({ workflowId, answer: task('a') }));
    expect(totalsOf(chargesOf(shared))).toMatchObject({ generations: 2, tasks: 1, finalCredits: 2 });
  });

  test('final credits count when the task has ended, and are not known as 0', () => {
    const tasks = [
      task('ended', { finalCredits: 3 }),
      task('running', { status: 'processing', finalCredits: 0 }),
      task('silent', { finalCredits: null }),
    ];
    const charges = chargesOf(tasks.map((one) => record({ workflowId: one.taskId, answer: one })));
    const sums = { tasks: 3, reservedCredits: 6, finalCredits: 3, unsettledTasks: 1, unknownCredits: 1 };
    expect(totalsOf(charges)).toMatchObject(sums);
  });

  test.each([true, false])('the end of a task is taken from whoever knows it (first: %s)', (first) => {
    const running = task('a', { status: 'queued', finalCredits: 0, createdAt: '2026-11-01T00:00:00.000Z' });
    const ended = task('a', { reservedCredits: null, simulated: null });
    const records = [running, ended].map((one) => record({ answer: one }));
    const [charge] = chargesOf(first ? records : records.toReversed());
    expect(charge?.tasks).toMatchObject([
      { settled: true, reservedCredits: 2, finalCredits: 2, simulated: false, createdAt: running.createdAt },
    ]);
    const [settled] = chargesOf([record({ answer: running })], [ended]);
    expect(settled?.tasks).toMatchObject([{ settled: true, finalCredits: 2 }]);
  });

  test('by label, also where it is missing or named like a property of every object', () => {
    const labels = [{ team: 'a' }, { team: 'a' }, { team: 'b' }, {}];
    const charges = chargesOf(
      labels.map((own, n) => record({ workflowId: `${n}`, labels: own, answer: task(`${n}`) })),
    );
    const sums = groupsOf(charges, 'team').map(({ value, tasks, finalCredits }) => [value, tasks, finalCredits]);
    expect(sums).toEqual([
      [null, 1, 2],
      ['a', 2, 4],
      ['b', 1, 2],
    ]);
    expect(groupsOf(charges, 'constructor').map(({ value }) => value)).toEqual([null]);
  });

  test('newest first', () => {
    const made = ['1', '3', '2'].map((day) =>
      record({ workflowId: day, answer: task(day, { createdAt: `2026-11-0${day}T00:00:00.000Z` }) }),
    );
    expect(chargesOf(made).map(({ workflowId }) => workflowId)).toEqual(['3', '2', '1']);
  });
});

describe('CSV', () => {
  test('quotes what needs it and ends each line with CRLF (RFC 4180)', () => {
    const rows = [
      ['a,b', 'say "hi"', 'two\nlines'],
      [1, null, true],
    ];
    expect(csv(rows)).toBe('"a,b","say ""hi""","two\nlines"\r\n1,,true\r\n');
  });

  test.each(['=1+1', '+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1+1'])(
    '%j is no formula in a spreadsheet',
    (text) => {
      expect(csv([[text]]).replace(/^"/, '')).toMatch(/^'/);
    },
  );

  test('a number stays a number, also as text', () => expect(csv([[-1, '-1.5']])).toBe('-1,-1.5\r\n'));
});
