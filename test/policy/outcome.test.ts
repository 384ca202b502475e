import { describe, expect, test } from 'vitest';
import {
  ERROR_CODES,
  errorCodeRow,
  FAILURE,
  NOT_RETRIED,
  SHARED_CODES,
  STOPPED,
  type ErrorCode,
} from '../../src/contract/index.js';
import {
  afterSubmit,
  holdRecheckDelay,
  judgeCheck,
  judgeSubmit,
  mayAttemptAgain,
  needsOperator,
} from '../../src/policy/index.js';

const refused = (code: string, httpStatus: number) => ({
  outcome: 'refused' as const,
  code,
  httpStatus,
  requestId: null,
  retryAfterMs: null,
  message: '',
});
const unknown = (code: string | null, httpStatus: number | null) => ({
  ...refused('', 0),
  outcome: 'unknown' as const,
  code,
  httpStatus,
});

describe('the retry decisions of the API page', () => {
  const retried: readonly ErrorCode[] = ['public_api_disabled', 'rate_limited', 'internal_error'];
  const codes = Object.entries(ERROR_CODES);
  test('there are 16 codes', () => expect(codes).toHaveLength(16));
  test.each(codes)('%s', (code, { httpStatus }) => {
    expect(judgeSubmit(refused(code, httpStatus), false).retry).toBe(retried.includes(code as ErrorCode));
    expect(judgeCheck(refused(code, httpStatus)).retry).toBe(retried.includes(code as ErrorCode));
  });

  test('the codes that are not repeated, and our own final failures, are what the retry policies refuse to repeat', () => {
    const final = codes.map(([code]) => code).filter((code) => !retried.includes(code as ErrorCode));
    const ours = ['BudgetReached', 'InputChanged', 'InvalidInput', 'PolicyDenied', 'SubmitUnresolved'];
    expect(NOT_RETRIED.toSorted()).toEqual([...final, ...ours, STOPPED].toSorted());
    expect(Object.values(FAILURE)).toEqual(expect.arrayContaining(ours));
  });

  test.each([
    [408, true],
    [425, true],
    [429, true],
    [500, true],
    [599, true],
    [400, false],
    [404, false],
    [409, false],
    [418, false],
  ])('a code that nobody knows follows its HTTP status %i: repeated %s', (httpStatus, repeated) => {
    expect(judgeSubmit(refused('brand_new', httpStatus), false)).toMatchObject({ type: 'brand_new', retry: repeated });
  });

  test('a code named like a property of every object is still unknown', () => {
    expect(errorCodeRow('constructor', 400)).toMatchObject({ actor: 'caller', retried: false });
    expect(errorCodeRow('__proto__', 503).retried).toBe(true);
  });
});

describe('a page or a redirect in the place of the API, also where the call is repeated', () => {
  test.each([302, 200, 403, 503])('status %i: the advice is about the way to the API', (status) => {
    const judged = [judgeSubmit(unknown(null, status), false), judgeCheck(unknown(null, status))];
    for (const { retry, row } of judged) {
      expect(retry).toBe(true);
      expect(row.action).toMatch(/RIVYA_BASE_URL or HTTPS_PROXY.* repeated with back-off/);
    }
  });

  test.each<[string | null, number | null]>([
    [null, null],
    ['brand_new', 503],
  ])('and not where nobody has answered, or the API itself (code %s, status %s)', (code, status) => {
    expect(judgeSubmit(unknown(code, status), false).row.action).toBe(
      'Nothing to do: the call is repeated with back-off.',
    );
  });
});

describe('a status check', () => {
  test.each([
    ['validation_failed', 200],
    ['api_key_revoked', 500],
    ['brand_new', 302],
    [null, 404],
    [null, null],
  ])('is repeated after anything but a refusal in the words of the API (code %s, status %s)', (code, status) => {
    expect(judgeCheck(unknown(code, status)).retry).toBe(true);
  });

  test.each(['api_key_missing', 'api_key_invalid'])('that was not sent for want of a key (%s) holds', (code) => {
    expect(judgeCheck({ ...refused(code, 0), httpStatus: null })).toMatchObject({ type: code, retry: false });
  });

  test.each([
    ['brand_new', 418],
    ['validation_failed', 400],
    ['idempotency_conflict', 409],
  ])('that is refused with %s never sends anybody to submit again', (code, status) => {
    const { retry, row } = judgeCheck(refused(code, status));
    expect(retry).toBe(false);
    expect(row.action).toContain('nothing more is paid');
    expect(row.action).not.toMatch(/start|another/);
    // At a submit the table has the last word.
    expect(judgeSubmit(refused(code, status), false).row.action).toMatch(/start/);
  });

  test('that found no connection is repeated', () => {
    expect(judgeCheck({ ...refused('', 0), code: null, httpStatus: null }).retry).toBe(true);
  });
});

describe('an unknown outcome is only ended by an answer', () => {
  test.each([
    [null, null],
    [null, 200],
    [null, 301],
    [null, 403],
    [null, 502],
    ['internal_error', 500],
    ['validation_failed', 500],
  ])('code %s, status %s: the same request again', (code, status) => {
    const { retry, row, type } = judgeSubmit(unknown(code, status), false);
    expect(retry).toBe(true);
    // The retry policy of the Activity must not know its type.
    expect(NOT_RETRIED).not.toContain(type);
    // Nothing in it is wrong as far as anybody knows, and another body under this key could never be answered.
    expect(row.action).toContain('repeated');
    expect(row.action).not.toMatch(/correct (?!RIVYA_BASE_URL)|start again/i);
  });

  test.each(['idempotency_conflict', 'chat_session_conflict'])(
    '%s after it may be our own POST that still runs: repeated, under a type of its own; without it, never',
    (code) => {
      expect(judgeSubmit(refused(code, 409), true)).toMatchObject({ code, type: `repeated:${code}`, retry: true });
      expect(judgeSubmit(refused(code, 409), false)).toMatchObject({ code, type: code, retry: false });
    },
  );

  test.each(['insufficient_credits', 'validation_failed', 'api_key_revoked'])(
    '%s after it is no answer to it, and is not repeated either',
    (code) => {
      expect(judgeSubmit(refused(code, ERROR_CODES[code as ErrorCode].httpStatus), true)).toMatchObject({
        type: code,
        retry: false,
      });
    },
  );

  test('a network failure is named as one', () => expect(judgeCheck(unknown(null, null)).type).toBe('network_error'));
});

describe('after Temporal stopped repeating a submit', () => {
  test.each([
    ['validation_failed', false, false, 'fail'],
    ['validation_failed', true, false, 'unresolved'],
    ['insufficient_credits', false, false, 'hold'],
    ['insufficient_credits', true, false, 'hold'],
    ['insufficient_credits', true, true, 'unresolved'],
    ['SubmitUnresolved', true, false, 'unresolved'],
    ['rate_limited', false, true, 'neverAccepted'],
    ['network_error', true, true, 'unresolved'],
    ['timeout', false, true, 'neverAccepted'],
    ['timeout', true, true, 'unresolved'],
    ['InputChanged', false, false, 'fail'],
  ] as const)('%s, unanswered %s, out of time %s: %s', (code, unanswered, outOfTime, next) => {
    expect(afterSubmit({ code, unanswered, outOfTime })).toBe(next);
  });
});

describe('holds', () => {
  test('a stop holds: it fails nothing, and asks for no other key', () => {
    expect(needsOperator(STOPPED)).toBe(true);
    expect(afterSubmit({ code: STOPPED, unanswered: false, outOfTime: false })).toBe('hold');
    expect(afterSubmit({ code: STOPPED, unanswered: true, outOfTime: false })).toBe('hold');
    expect(NOT_RETRIED).toContain(STOPPED);
  });

  test('exactly the codes of credits, key and scope need the operator', () => {
    const codes = Object.keys(ERROR_CODES).filter(needsOperator);
    expect(codes.toSorted()).toEqual([
      'api_key_expired',
      'api_key_invalid',
      'api_key_missing',
      'api_key_revoked',
      'api_scope_denied',
      'insufficient_credits',
    ]);
  });

  test('an unresolved submit is never tried by itself; what many share after 30 to 60 min, in case the account cannot; the rest after 5 min, growing to an hour', () => {
    expect(holdRecheckDelay('SubmitUnresolved', 0, 0)).toBeNull();
    for (const code of SHARED_CODES) {
      expect([0, 0.5, 1].map((random) => holdRecheckDelay(code, 99, random)! / 60_000)).toEqual([30, 45, 60]);
    }
    expect([0, 1, 2, 3, 4, 999].map((tries) => holdRecheckDelay('ResultUnavailable', tries, 0)! / 60_000)).toEqual([
      5, 10, 20, 40, 60, 60,
    ]);
  });

  test('a failed task is only tried again where that can help', () => {
    expect(
      ['generation_failed', 'internal_error', null, 'validation_failed', 'moderated'].map(mayAttemptAgain),
    ).toEqual([true, true, true, false, false]);
  });
});
