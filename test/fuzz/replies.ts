/** Any reply that can come over a wire, as fast-check makes it: from what the API documents to bytes of nothing. */
import * as fc from 'fast-check';
import { ERROR_CODES } from '../../src/contract/index.js';
import { API_KEY, envelope } from '../api/wire.js';

/**
 * The same replies each time, so that a red test is red again. A failure prints the seed; `FUZZ_SEED` and `FUZZ_RUNS`
 * choose others.
 */
export const SEED = Number(process.env['FUZZ_SEED'] || 20_261_123);
export const runs = (count: number): number => Number(process.env['FUZZ_RUNS'] || count);

/** What a reply says, apart from how it travels. */
export interface Said {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface WireReply {
  readonly bytes: Buffer;
  readonly end: 'keep' | 'end' | 'destroy';
  /** Null where the reply does not arrive whole. */
  readonly said: Said | null;
}

const code = fc.oneof(
  fc.constantFrom(...Object.keys(ERROR_CODES)),
  fc.constantFrom('brand_new', 'constructor', '__proto__', 'SubmitUnresolved', 'timeout', 'not a code', '', API_KEY),
);
const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    '..',
    'a/b',
    '2026-05-10T00:00:00Z',
    `${API_KEY} \ud800`,
    -1,
    Number.MAX_VALUE,
    [],
    {},
  ),
  fc.anything({ maxDepth: 2, withNullPrototype: false }).filter((value) => JSON.stringify(value ?? null) !== undefined),
);
const status = fc.oneof(
  fc.constantFrom(200, 201, 202, 204, 301, 307, 400, 401, 402, 404, 408, 409, 418, 425, 429, 500, 502, 503),
  fc.integer({ min: 200, max: 999 }),
);

const refusalStatus = fc.constantFrom(...Object.values(ERROR_CODES).map(({ httpStatus }) => httpStatus));

function json(value: unknown): string {
  // BigInts and the like are no JSON; what is in their place does not matter.
  return JSON.stringify(value, (_, field: unknown) => (typeof field === 'bigint' ? String(field) : field)) ?? 'null';
}

/** The documented task, about `taskId` or anything, with any of its fields missing or of another type. */
function task(taskId: string): fc.Arbitrary<unknown> {
  const fields = [
    'status',
    'model',
    'reserved_credits',
    'final_credits',
    'created_at',
    'updated_at',
    'result',
    'error',
  ];
  return fc.record(
    {
      id: fc.oneof({ weight: 4, arbitrary: fc.constant<unknown>(taskId) }, anything),
      ...Object.fromEntries(fields.map((name) => [name, anything])),
    },
    { requiredKeys: [] },
  );
}

const refusal = fc.oneof(
  code.map((one) => envelope(one, `Because of ${API_KEY}.`)),
  fc.record({ error: fc.record({ code, message: anything, requestId: anything }, { requiredKeys: [] }) }),
);

function oddBody(taskId: string): fc.Arbitrary<Buffer> {
  const whole = fc
    .oneof(
      task(taskId).map(json),
      refusal.map(json),
      fc.constantFrom('', '<!doctype html>', 'null', `{"id":"a","id":"${taskId}"}`, `{"id":"${taskId}","error":NaN}`),
      fc.json(),
    )
    .map((text) => Buffer.from(text));
  return fc.oneof(
    { weight: 3, arbitrary: whole },
    { weight: 1, arbitrary: fc.tuple(whole, fc.nat(200)).map(([bytes, length]) => bytes.subarray(0, length)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  );
}

/** Seconds and dates of all kinds. */
export const retryAfter = fc.oneof(
  fc.constantFrom('0', '-1', '36000', '9'.repeat(400), 'NaN', 'soon', '1e9', ''),
  fc.double({ noNaN: true }).map(String),
  fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
);
const date = fc.date({ noInvalidDate: true }).map((one) => one.toUTCString());
// What a header can hold.
const words = fc.stringMatching(/^[ -~]{0,40}$/);
const headers = fc
  .record(
    {
      'retry-after': retryAfter,
      date,
      'content-type': words,
      'x-request-id': fc.oneof(words, fc.constant(API_KEY)),
      'x-rivya-simulated': words,
      location: fc.constantFrom('/', 'https://elsewhere.example/', '\u00ff'),
    },
    { requiredKeys: [] },
  )
  .map((record) => record as Record<string, string>);

/** A reply to a call about `taskId`. */
export function said(taskId: string): fc.Arbitrary<Said> {
  const bytes = (value: unknown): Buffer => Buffer.from(json(value));
  const packed = fc.constantFrom('gzip', 'br', 'identity', 'x').map((name) => ({ 'content-encoding': name }));
  const oddHeaders = fc.oneof(
    headers,
    fc.tuple(headers, packed).map((parts) => Object.assign({}, ...parts) as Said['headers']),
  );
  // A third each of what the API may say to a call, of its refusals, and of anything.
  return fc.oneof(
    fc.record({ status: fc.constantFrom(200, 201, 202), headers, body: task(taskId).map(bytes) }),
    fc.record({ status: fc.oneof({ weight: 2, arbitrary: refusalStatus }, status), headers, body: refusal.map(bytes) }),
    fc.record({ status, headers: oddHeaders, body: oddBody(taskId) }),
  );
}

/** The same over a connection that does as it likes. */
export function wireReply(taskId: string): fc.Arbitrary<WireReply> {
  const framed = fc
    .tuple(said(taskId), fc.constantFrom('length', 'chunked', 'close', 'cut', 'informed'), fc.nat(300))
    .map(([one, framing, length]) => framedAs(one, framing, length));
  const junk = fc.uint8Array({ maxLength: 500 }).map((bytes) => ({ bytes: Buffer.from(bytes), ...broken('end') }));
  const nothing = fc.constantFrom('end' as const, 'destroy' as const);
  return fc.oneof(
    { weight: 10, arbitrary: framed },
    { weight: 1, arbitrary: junk },
    { weight: 1, arbitrary: nothing.map((end) => ({ bytes: Buffer.alloc(0), ...broken(end) })) },
  );
}

const broken = (end: WireReply['end']): Omit<WireReply, 'bytes'> => ({ end, said: null });

export function framedAs(one: Said, framing = 'length', length = 0): WireReply {
  const bytes = (more: Record<string, string>, content: Buffer): Buffer => {
    const lines = Object.entries({ ...one.headers, ...more }).map(([name, value]) => `${name}: ${value}\r\n`);
    return Buffer.concat([Buffer.from(`HTTP/1.1 ${one.status} X\r\n${lines.join('')}\r\n`, 'latin1'), content]);
  };
  const size = one.body.length;
  const whole = bytes({ 'content-length': String(size) }, one.body);
  switch (framing) {
    case 'chunked': {
      const [head, tail] = [one.body.subarray(0, length), one.body.subarray(length)];
      const chunks = [head, tail].flatMap((part) =>
        part.length === 0 ? [] : [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')],
      );
      return {
        bytes: bytes({ 'transfer-encoding': 'chunked' }, Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')])),
        end: 'keep',
        said: one,
      };
    }
    case 'close':
      return { bytes: bytes({ connection: 'close' }, one.body), end: 'end', said: one };
    case 'cut':
      return { bytes: bytes({ 'content-length': String(size + 1 + length) }, one.body), ...broken('destroy') };
    case 'informed':
      return {
        bytes: Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'), whole]),
        end: 'keep',
        said: one,
      };
    default:
      return { bytes: whole, end: 'keep', said: one };
  }
}

function objectOf(one: Said): Record<string, unknown> | null {
  // These have no body, whatever is sent behind them.
  if (one.status === 204 || one.status === 304) return null;
  if (!['identity', undefined].includes(one.headers['content-encoding'])) return null;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(one.body));
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

/** The API refused it in its own words: nothing was done. Written apart from the code that it judges. */
export function isRefusal(one: Said | null): boolean {
  const refused = (one === null ? null : objectOf(one))?.['error'] as { code?: unknown } | null | undefined;
  const word = refused?.code;
  if (one === null || typeof word !== 'string' || !/^[\w.-]{1,64}$/.test(word) || word === 'internal_error')
    return false;
  return (one.status >= 400 && one.status < 500) || (one.status === 503 && word === 'public_api_disabled');
}

/** The ID of the task that it tells of, or null. */
export function taskIdOf(one: Said | null): string | null {
  if (one === null || one.status < 200 || one.status > 299) return null;
  const id = objectOf(one)?.['id'];
  return typeof id === 'string' && id !== '' ? id : null;
}
