/** What later runs read in the memo of this one. A fact that is missing there may be paid for again. */
import { describe, expect, test } from 'vitest';
import {
  describeState,
  expectedText,
  mayPostSince,
  memoOf,
  memoProblem,
  creditsOfEarlier,
  nextAttempt,
  readMemo,
  resumeProblem,
  stateAtStart,
} from '../../src/policy/index.js';

const start = stateAtStart({ model: 'z-image', baseKey: 'fox-1' });
const unanswered = { firstPostedAt: 5, fingerprint: 'f00' };
const about = { baseKey: 'fox-1', labels: { team: 'ads' }, bodyDigest: 'd1' };

describe('what may have been posted', () => {
  test.each([
    ['nothing, before a submit is scheduled', {}, null],
    ['a POST since a submit was scheduled', { submittingSince: 7 }, { firstPostedAt: 7, fingerprint: 'unknown' }],
    ['the POST that is unanswered, also while it is repeated', { submittingSince: 7, unanswered }, unanswered],
    ['the POST that is unanswered, when its submit has ended', { unanswered }, unanswered],
  ])('%s', (_, change, since) => {
    expect(mayPostSince({ ...start, ...change })).toEqual(since);
    expect(memoOf({ ...start, ...change }, about).mayPostSince).toEqual(since);
  });
});

describe('a memo that was read', () => {
  const hold = { code: 'c', message: 'm', action: 'a', httpStatus: 402, requestId: null, since: '2026-11-01' };
  const full = {
    ...start,
    taskId: 'task_1',
    status: 'queued',
    hold,
    unanswered,
    earlier: ['task_0'],
    finalCredits: 0.5,
  };

  const linked = { ...full, hold: { ...hold, link: 'https://cdn.example/1?sig=1', found: 'text/html' } };
  test.each([start, full, linked])('is ours as a run has written it (%#)', (state) => {
    const memo = memoOf(state, about);
    expect(readMemo(JSON.parse(JSON.stringify(memo)))).toEqual(memo);
  });

  test.each(Object.keys(memoOf(start, about)))('is not, where its %s is missing or made up', (field) => {
    const { [field]: _gone, ...rest } = memoOf(full, about) as unknown as Record<string, unknown>;
    for (const memo of [rest, { ...rest, [field]: [1] }, { ...rest, [field]: { firstPostedAt: 1e300 } }]) {
      expect(memoProblem(memo)).toContain(`"${field}"`);
      expect(readMemo(memo)).toBeNull();
    }
  });

  test.each([null, undefined, 'x', 1, []])('is not, where it is %j', (memo) => expect(readMemo(memo)).toBeNull());
});

test('the memo holds where the generation stands, and nothing that changes with each check', () => {
  const state = { ...start, keyNumber: 3, attempt: 2, earlier: ['task_1'], lookedBy: 'run', statusChecks: 9 };
  const memo = memoOf(state, about);
  expect(memo).toMatchObject({ keyNumber: 3, attempt: 2, earlier: ['task_1'], lookedBy: 'run', ...about });
  expect(memo).not.toHaveProperty('statusChecks');
  expect(memo).not.toHaveProperty('nextCheckAt');
});

describe('resume', () => {
  const hold = (code: string) => ({ code, message: '', action: '', httpStatus: null, requestId: null, since: '' });
  const unresolved = { hold: hold('SubmitUnresolved'), unanswered };
  const full = hold('ResultUnavailable');
  const other = { ...full, link: 'https://cdn.example/1.json', found: 'application/json' };
  test.each<[string, unknown, Parameters<typeof resumeProblem>[1], RegExp | null]>([
    ['without a hold', {}, { hold: null, unanswered: null }, /Nothing is held/],
    ['after a refusal', undefined, { hold: hold('insufficient_credits'), unanswered: null }, null],
    ['with null from another language', null, { hold: hold('insufficient_credits'), unanswered: null }, null],
    [
      'with a task where none can exist',
      { taskId: 't' },
      { hold: hold('insufficient_credits'), unanswered: null },
      /no unanswered submit/,
    ],
    ['with a task after an unresolved submit', { taskId: 't' }, unresolved, null],
    ['with a reason after an unresolved submit', { reason: 'not in the Studio' }, unresolved, null],
    ['with nothing after an unresolved submit', {}, unresolved, /may be paid twice/],
    ['with both', { taskId: 't', reason: 'r' }, unresolved, /cannot go with taskId/],
    ['with an unknown field', { task: 't' }, unresolved, /not a field/],
    ['with storeAsIs where another type was seen', { storeAsIs: true }, { hold: other, unanswered: null }, null],
    ['with storeAsIs where none was seen', { storeAsIs: true }, { hold: full, unanswered: null }, /no image, video/],
    ['with storeAsIs after an unresolved submit', { storeAsIs: true }, unresolved, /no image, video/],
    ['with storeAsIs that is no boolean', { storeAsIs: 'yes' }, { hold: other, unanswered: null }, /true or false/],
    ['without storeAsIs where another type was seen', {}, { hold: other, unanswered: null }, null],
    ['with a text', 'go on', unresolved, /must be a JSON object/],
    ['with the code that holds', { code: 'stopped' }, { hold: hold('stopped'), unanswered: null }, null],
    ['with another code', { code: 'stopped' }, { hold: hold('api_key_revoked'), unanswered: null }, /not by stopped/],
    ['with a code that one task has', { code: 'SubmitUnresolved' }, unresolved, /must be a cause that many share/],
    ['with the code of a release, after an unresolved submit', { code: 'stopped' }, unresolved, /not by stopped/],
    ['with code and reason', { code: 'stopped', reason: 'r' }, unresolved, /cannot go with other fields/],
  ])('%s', (_, input, state, problem) => {
    if (problem === null) expect(resumeProblem(input, state, 'task')).toBeNull();
    else expect(resumeProblem(input, state, 'task')).toMatch(problem);
  });

  test('of a chat takes no task: there is none', () => {
    expect(resumeProblem({ taskId: 't' }, unresolved, 'answer')).toMatch(/A chat makes no task/);
  });
});

test('the next attempt has a key number of its own, and no risk of the last one sticks to it', () => {
  const state = { ...stateAtStart({ model: 'z-image', baseKey: 'fox-1' }), riskReason: 'the Studio shows nothing' };
  expect(nextAttempt(state, 'task_1')).toMatchObject({
    attempt: 2,
    keyNumber: 2,
    taskId: null,
    riskReason: null,
    earlier: ['task_1'],
  });
});

test('the credits of a failed attempt are known to the next one, and count as the price where the API named none', () => {
  const second = { ...start, ...nextAttempt({ ...start, finalCredits: 0.5 }, 'task_1') };
  expect(second).toMatchObject({ finalCredits: null, earlierCredits: { task_1: 0.5 } });
  const third = { ...second, ...nextAttempt(second, 'task_2') };
  expect(creditsOfEarlier(third, third.earlier, 3)).toBe(3.5);
  // A run of an older version has passed none on.
  expect(creditsOfEarlier({}, ['task_1', 'constructor'], 3)).toBe(6);
});

describe('when the end is expected', () => {
  const expected = { from: '2026-11-01T12:00:00.000Z', to: '2026-11-01T12:01:00.000Z', runs: 24, late: false };

  test('people read a range, and once it has passed how late that is, never a time that begins again', () => {
    expect(expectedText(expected)).toBe(
      `${expected.from} (half of the last 24 tasks like it) to ${expected.to} (9 of 10)`,
    );
    const late = { ...expected, late: true };
    expect(expectedText(late)).toBe('later than 9 of 10 of the last 24 tasks like it');
    expect(describeState({ ...start, expected: late }, { model: 'z-image', workflowId: 'fox-1' })).toContain(
      'Expected end: later than 9 of 10',
    );
  });

  test('a batch reads it in the memo, where anything else is no memo of ours', () => {
    const { from, to } = expected;
    const memo = memoOf({ ...start, expected }, about);
    expect(readMemo(memo)?.expectedEnd).toEqual({ from, to });
    expect(memoOf(start, about)).not.toHaveProperty('expectedEnd');
    expect(memoProblem({ ...memo, expectedEnd: { from, to: 'soon' } })).toMatch(/expectedEnd/);
  });
});

describe('the current details of the Temporal UI', () => {
  const hold = { message: 'm', action: 'Act.', httpStatus: null, requestId: null, since: '2026-11-01' };
  const described = (change: object, more: object = {}): string =>
    describeState({ ...start, ...change }, { model: 'z-image', workflowId: 'fox-1', ...more });
  const commandsOf = (code: string, change: object = {}, more: object = {}): string[] =>
    Array.from(
      described({ phase: 'held', hold: { ...hold, code, ...change } }, more).matchAll(/^ {4}(.*)$/gm),
      ([, command = '']) => command,
    );

  test.each([
    ['insufficient_credits', {}, ['rivya-temporal resume fox-1']],
    ['stopped', {}, ['rivya-temporal account allow']],
    ['SubmitUnresolved', {}, ["rivya-temporal resume fox-1 --task-id '…'", "rivya-temporal resume fox-1 --reason '…'"]],
    [
      'ResultUnavailable',
      { found: 'text/html' },
      ['rivya-temporal resume fox-1', 'rivya-temporal resume fox-1 --store-as-is'],
    ],
  ])('name the commands that end a hold by %s', (code, change, commands) => {
    expect(commandsOf(code, change)).toEqual(commands);
  });

  test('name an ID as a shell takes it', () => {
    expect(commandsOf('c', {}, { workflowId: "it's a; fox" })).toEqual([
      String.raw`rivya-temporal resume 'it'\''s a; fox'`,
    ]);
  });

  test('say at the end where the files are, or what was paid and how to go on', () => {
    expect(described({ phase: 'succeeded' }, { stored: ['s3://media/fox-1/1.png'] })).toContain(
      '- Stored: `s3://media/fox-1/1.png`',
    );
    expect(described({ phase: 'failed' }, { failure: 'It failed; 5 credits. Start it again.' })).toContain(
      'It failed; 5 credits. Start it again.',
    );
  });
});
