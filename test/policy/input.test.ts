import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { InputIdentity } from '../../src/contract/index.js';
import {
  formatDuration,
  identityOf,
  InvalidInput,
  isSameInput,
  parseDuration,
  readInput,
} from '../../src/policy/index.js';

const good = { model: 'z-image', prompt: 'a fox' };
const fieldOf = (input: unknown): string => {
  try {
    readInput(input);
  } catch (error) {
    if (error instanceof InvalidInput) return error.field;
    throw error;
  }
  return 'accepted';
};

test('several wrong fields are named at once, the first of them as the field', () => {
  const options = { deadline: 'a while', maxAttempts: 99, maxCredits: 'x', surprise: 1 };
  const wrong = { prompt: '', params: { a: undefined }, labels: { a: 1 }, options };
  const fields = ['model', 'prompt', 'params.a', 'labels.a', 'options.maxAttempts', 'options.deadline'];
  fields.push('options.maxCredits', 'options.surprise');
  try {
    readInput(wrong);
    expect.unreachable();
  } catch (error) {
    const { field, message, problem, problems } = error as InvalidInput;
    expect(problems.map((one) => one.field).toSorted()).toEqual(fields.toSorted());
    expect(field).toBe(problems[0]!.field);
    expect(problem).toBe(problems.map((one) => one.problem).join(' '));
    expect(message.startsWith(`${problem} Nothing was sent`)).toBe(true);
  }
});

describe('bad input is refused by the name of its field', () => {
  test.each<[string, unknown]>([
    ['input', null],
    ['input', []],
    ['model', { prompt: 'x' }],
    ['model', { ...good, model: ' ' }],
    ['model', { ...good, model: 7 }],
    ['prompt', { model: 'z-image', params: {} }],
    ['prompt', { model: 'z-image', prompt: '' }],
    ['prompt', { model: 'z-image', prompt: '\ud800' }],
    ['params', { ...good, params: 'x' }],
    ['params.a', { ...good, params: { a: Number.NaN } }],
    ['params.a', { ...good, params: { a: new Date(0) } }],
    ['params.a', { ...good, params: { a: 2 ** 53 } }],
    ['params.a[1].b', { ...good, params: { a: [1, { b: Number.POSITIVE_INFINITY }] } }],
    ['clientRequestId', { ...good, clientRequestId: 'x'.repeat(129) }],
    ['idempotencyKey', { ...good, idempotencyKey: 'with space' }],
    ['idempotencyKey', { ...good, idempotencyKey: 'x'.repeat(256) }],
    ['idempotencyKey', { ...good, idempotencyKey: 'k', taskId: 't' }],
    ['take', { ...good, take: 0 }],
    ['step', { ...good, step: 'hero' }],
    ['taskId', { model: 'z-image', taskId: 'a\nb' }],
    ['labels.team', { ...good, labels: { team: 1 } }],
    ['references', { ...good, references: 'fox.png' }],
    ['options', { ...good, options: 'fast' }],
    ['options.speed', { ...good, options: { speed: 1 } }],
    ['options.maxAttempts', { ...good, options: { maxAttempts: 11 } }],
    ['options.maxAttempts', { ...good, idempotencyKey: 'k', options: { maxAttempts: 2 } }],
    ['options.maxAttempts', { model: 'z-image', taskId: 't', options: { maxAttempts: 2 } }],
    ['taskId', { model: 'z-image', taskId: '..' }],
    ['params', { ...good, params: { text: 'é'.repeat(600_000) } }],
    ['options.deadline', { ...good, options: { deadline: 'soon' } }],
    ['options.deadline', { ...good, options: { deadline: '31d' } }],
    ['options.onActionNeeded', { ...good, options: { onActionNeeded: 'panic' } }],
  ])('%s', (field, input) => expect(fieldOf(input)).toBe(field));

  test('no input at all crashes it', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        expect(fieldOf(input)).toEqual(expect.any(String));
      }),
    );
  });
});

test.each<[string, unknown, string]>([
  ['params.a', { a: undefined }, 'is undefined, which JSON cannot carry: leave it out, or give null'],
  ['params.a.b[1]', { a: { b: [1, undefined] } }, 'is undefined'],
  ['params.a', { a: new Date(0) }, 'is a Date, which JSON cannot carry: give a string'],
  ['params.a', { a: new Map() }, 'is a Map'],
  ['params.a', { a: Buffer.from('x') }, 'is a Buffer'],
  ['params.a', { a: 1n }, 'is a bigint'],
  ['params.a', { a: () => 1 }, 'is a function'],
])('a value that JSON cannot carry is named: %s', (field, params, says) => {
  expect(() => readInput({ model: 'z-image', params })).toThrow(`${field}: ${says}`);
});

describe('what is accepted arrives as it was written', () => {
  test('any JSON params come back from the body unchanged', () => {
    const json = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })).filter((params) => {
      const text = JSON.stringify(params);
      return !/-0(?![.\d])/.test(text) && fieldOf({ ...good, params }) === 'accepted';
    });
    fc.assert(
      fc.property(json, (params) => {
        expect(JSON.parse(readInput({ ...good, params }).body)).toEqual({
          ...good,
          params: JSON.parse(JSON.stringify(params)),
        });
      }),
    );
  });

  test('null stands for "not given", as other languages send it; inside params it is a value', () => {
    const input = { ...good, taskId: null, options: { deadline: null }, params: { seed: null } };
    expect(readInput(input)).toMatchObject({
      taskId: null,
      deadlineMs: 21_600_000,
      body: expect.stringContaining('"seed":null'),
    });
  });

  test('the order in which a caller writes fields, at any depth, does not change the bytes; that of a list does', () => {
    const one = readInput({ prompt: 'x', clientRequestId: 'c', model: 'm', params: { b: [{ d: 1, c: 2 }, 3], a: 2 } });
    const two = readInput({ params: { a: 2, b: [{ c: 2, d: 1 }, 3] }, model: 'm', clientRequestId: 'c', prompt: 'x' });
    expect(one.body).toBe('{"model":"m","prompt":"x","params":{"a":2,"b":[{"c":2,"d":1},3]},"client_request_id":"c"}');
    expect(two.body).toBe(one.body);
    const other = readInput({
      prompt: 'x',
      clientRequestId: 'c',
      model: 'm',
      params: { a: 2, b: [3, { c: 2, d: 1 }] },
    });
    expect(other.body).not.toBe(one.body);
  });
});

describe('a start attaches to another one of the same ID where both want the same', () => {
  const of = (input: object): InputIdentity => identityOf(readInput({ ...good, ...input }));
  const task = (taskId: string): InputIdentity => identityOf(readInput({ model: 'z-image', taskId }));

  test.each<[string, InputIdentity, InputIdentity, boolean]>([
    [
      'the same input, with other options and labels',
      of({}),
      of({ options: { deadline: '1h' }, labels: { a: 'b' } }),
      true,
    ],
    ['the same params in another order', of({ params: { a: 1, b: 2 } }), of({ params: { b: 2, a: 1 } }), true],
    ['another prompt', of({}), of({ prompt: 'a wolf' }), false],
    ['another trace ID, which stands in the body', of({}), of({ clientRequestId: 'x' }), false],
    ['another key of the caller', of({ idempotencyKey: 'k' }), of({ idempotencyKey: 'l' }), false],
    ['a key of the caller where there was none', of({ idempotencyKey: 'k' }), of({}), false],
    ['the same task, whatever else is said', task('t'), identityOf(readInput({ ...good, taskId: 't' })), true],
    ['another task', task('t'), task('u'), false],
    ['a task where one was submitted', task('t'), of({}), false],
    ['an input for which a task was named', of({}), of({ taskId: 't' }), true],
  ])('%s', (_, wanted, existing, same) => expect(isSameInput(wanted, existing)).toBe(same));
});

test.each([
  ['90s', 90_000],
  ['1.5h', 5_400_000],
  ['250 ms', 250],
  [5, 5],
  ['5', null],
  ['-5s', null],
  ['', null],
  [Number.NaN, null],
])('duration %s is %s ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

test.each([
  [4_400, '4 s'],
  [250_000, '4 min 10 s'],
  [7_500_000, '2 h 5 min'],
  [86_400_000, '1 d'],
])('%i ms is said as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
