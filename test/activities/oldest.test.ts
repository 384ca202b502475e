/** Of two that tell of an unanswered POST, what either knows is kept. */
import { expect, test } from 'vitest';
import { oldest } from '../../activities/recall.js';

const unknown = { firstPostedAt: 5, fingerprint: 'unknown', idempotencyKey: 'key' };
const known = { ...unknown, firstPostedAt: 7, fingerprint: 'f00' };
const error = { requestId: 'req_1', times: 2 };

test.each([
  ['the earlier one', known, { ...known, firstPostedAt: 9 }, known],
  ['the earlier time, and the key that the later one knows', unknown, known, { ...known, firstPostedAt: 5 }],
  ['how often an error has come, when both are of one time', { ...unknown, error }, unknown, { ...unknown, error }],
  ['the same of the later one', unknown, { ...unknown, firstPostedAt: 6, error }, { ...unknown, error }],
  ['the only one', known, null, known],
])('%s', (_, a, b, expected) => {
  expect(oldest(a, b)).toEqual(expected);
  expect(oldest(b, a)).toEqual(expected);
});
