/** How what receipts and earlier runs say of a generation becomes one fact. */
import { describe, expect, test } from 'vitest';
import type { Fact } from '../../activities/facts.js';
import { combined, oldest } from '../../activities/recall.js';

const unknown = { firstPostedAt: 5, fingerprint: 'unknown' };
const known = { firstPostedAt: 7, fingerprint: 'f00' };
const errorRequestId = 'req_1';

describe('of two unanswered POSTs, what either knows is kept:', () => {
  test.each([
    ['the earlier one', known, { ...known, firstPostedAt: 9 }, known],
    ['the earlier time, and the key that the later one knows', unknown, known, { ...known, firstPostedAt: 5 }],
    [
      'the stored error, when both are of one time',
      { ...unknown, errorRequestId },
      unknown,
      { ...unknown, errorRequestId },
    ],
    [
      'the same of the later one',
      unknown,
      { ...unknown, firstPostedAt: 6, errorRequestId },
      { ...unknown, errorRequestId },
    ],
    [
      'the last POST of both',
      { ...known, lastPostedAt: 8 },
      { ...known, firstPostedAt: 9, lastPostedAt: 9 },
      { ...known, lastPostedAt: 9 },
    ],
    [
      'no last POST, where one does not know its own',
      { ...known, lastPostedAt: 8 },
      { ...known, firstPostedAt: 9 },
      known,
    ],
    ['the only one', known, null, known],
    ['none', null, null, null],
  ])('%s', (_, a, b, expected) => {
    expect(oldest(a, b)).toEqual(expected);
    expect(oldest(b, a)).toEqual(expected);
  });
});

describe('facts are combined', () => {
  const fact = (change: Partial<Fact<string>> = {}): Fact<string> => ({
    keyNumber: 1,
    attempt: 1,
    idempotencyKey: `fox-${change.keyNumber ?? 1}`,
    answer: null,
    unanswered: null,
    earlier: [],
    bodyDigest: null,
    proven: false,
    ...change,
  });

  test('to nothing, where there are none', () => expect(combined([])).toBeNull());

  test('to those of the highest key number: under those before it no task can exist', () => {
    const before = fact({ unanswered: unknown, answer: 'task_1' });
    expect(combined([before, fact({ keyNumber: 2 })])).toEqual(fact({ keyNumber: 2 }));
  });

  test('to the answer, wherever it stands, and then nothing is unanswered', () => {
    const facts = [fact({ unanswered: known, proven: true }), fact({ answer: 'task_1', bodyDigest: 'd1' })];
    for (const some of [facts, facts.toReversed()]) {
      expect(combined(some)).toMatchObject({ answer: 'task_1', unanswered: null, bodyDigest: 'd1' });
    }
  });

  test('to the oldest unanswered POST', () => {
    expect(combined([fact({ unanswered: known }), fact({ unanswered: unknown }), fact()])).toMatchObject({
      unanswered: { firstPostedAt: 5, fingerprint: 'f00' },
    });
  });

  test('to all tasks that failed before, each once, also those that only a lower number knows', () => {
    const facts = [fact({ earlier: ['a'] }), fact({ keyNumber: 3, attempt: 3, earlier: ['a', 'b'] })];
    expect(combined(facts)).toMatchObject({ keyNumber: 3, attempt: 3, earlier: ['a', 'b'] });
  });

  test('to the highest attempt of the number, where a memo had not noted it yet', () => {
    expect(combined([fact({ attempt: 1 }), fact({ attempt: 2 })])).toMatchObject({ attempt: 2 });
  });

  test('to another input also where only a lower number tells of it', () => {
    expect(combined([fact({ bodyDigest: 'd1' }), fact({ keyNumber: 2 })])).toMatchObject({ bodyDigest: 'd1' });
  });

  test('to a proof only where a receipt says that a POST has no answer', () => {
    const memo = fact({ unanswered: known });
    expect(combined([memo])).toMatchObject({ proven: false });
    expect(combined([memo, fact({ proven: true })])).toMatchObject({ proven: false });
    expect(combined([memo, fact({ unanswered: unknown, proven: true })])).toMatchObject({ proven: true });
    expect(
      combined([fact({ unanswered: known, proven: true }), fact({ keyNumber: 2, unanswered: known })]),
    ).toMatchObject({
      proven: false,
    });
  });
});
