import type { z } from 'zod';
import { SIMULATED_HEADER } from '../contract/index.js';
import { RivyaApiError, type Outcome } from './errors.js';
import { parseHttpDate, parseRetryAfter } from './retry-after.js';
import { envelopeSchema, idSchema } from './schemas.js';
import { scrub, type Secret } from './secret.js';

/** A whole reply, as it came from the wire. */
export interface Reply {
  readonly httpStatus: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** What the caller of a request needs to say about it. */
export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** True for a POST that costs nothing. */
  readonly free?: boolean;
  /** What a paid POST makes. Default `task`. */
  readonly makes?: 'task' | 'answer';
  /** The key that the request carried, to take it out of whatever the API says. */
  readonly key: Secret | null;
}

/** A usable answer with what its headers tell. */
export interface Answer<T> {
  readonly value: T;
  /** The reply's `Date` header in milliseconds since the epoch, or null. */
  readonly serverTime: number | null;
  readonly simulated: boolean;
  readonly requestId: string | null;
}

/** Age in milliseconds of what an answer tells of, both times from the API's own clock; null where it did not tell. */
export function ageOf({ serverTime }: Pick<Answer<unknown>, 'serverTime'>, createdAt: string | null): number | null {
  // The header counts whole seconds, so what is young can look as if it were made in the future.
  return serverTime === null || createdAt === null ? null : Math.max(0, serverTime - Date.parse(createdAt));
}

/** The documentation names no such header; these are the usual ones. */
const REQUEST_ID_HEADERS = ['x-request-id', 'request-id', 'x-rivya-request-id'];

/** Fields in which the API says something. IDs and links stay as they are: a changed task ID is a lost task. */
const WORDS = new Set(['message', 'code', 'requestId', 'status', 'model', 'content']);

/** The value of a header; of a repeated one, the first. */
function header(reply: Pick<Reply, 'headers'>, name: string): string | null {
  const value = reply.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** Keeps what may go into a log line: no key, no control characters, no page-long text. */
function printable(value: string | null, key: Secret | null, maxLength: number): string | null {
  // eslint-disable-next-line no-control-regex
  const line = value === null ? '' : scrub(value, key).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
  return line.trim() === '' ? null : line.trim().slice(0, maxLength);
}

export function requestIdOf(reply: Pick<Reply, 'headers'>, key: Secret | null): string | null {
  const value = REQUEST_ID_HEADERS.map((name) => header(reply, name)).find((id) => id !== null) ?? null;
  return printable(value, key, 128);
}

/**
 * Reads a reply with a schema.
 * @throws RivyaApiError for everything that is not a 2xx with a body that the schema takes.
 */
export function readReply<T>(reply: Reply, call: Call, schema: z.ZodType<T>): Answer<T> {
  const { httpStatus } = reply;
  const json = readJson(reply, call.key);
  const serverTime = parseHttpDate(header(reply, 'date'));
  if (httpStatus >= 200 && httpStatus < 300) {
    const parsed = schema.safeParse(json.value);
    if (parsed.success) {
      const simulated = header(reply, SIMULATED_HEADER);
      return {
        value: parsed.data,
        serverTime,
        simulated: simulated !== null && simulated !== 'false' && simulated !== '0',
        requestId: requestIdOf(reply, call.key),
      };
    }
  }

  const error = envelopeSchema.safeParse(json.value).data?.error ?? null;
  const outcome = outcomeOf(httpStatus, error?.code ?? null);
  const requestId = printable(error?.requestId ?? null, call.key, 128) ?? requestIdOf(reply, call.key);
  const said = printable(error?.message ?? null, call.key, 500)?.replace(/\.$/, '') ?? null;
  const happened =
    error === null
      ? `HTTP ${httpStatus} with ${json.problem ?? oddId(json.value, call) ?? 'a body that is not what the API documents'}`
      : `HTTP ${httpStatus} ${error.code}${said === null ? '' : `: ${said}`}`;
  throw new RivyaApiError(
    `${call.method} ${call.path}: ${happened}${requestId === null ? '' : ` (requestId ${requestId})`}. ${aboutMoney(call, outcome)}`,
    {
      outcome,
      code: error?.code ?? null,
      httpStatus,
      requestId,
      retryAfterMs: parseRetryAfter(header(reply, 'retry-after'), serverTime ?? Date.now()),
    },
  );
}

/** An ID that cannot be used is all that tells a person which task was made. */
function oddId(value: unknown, { key, makes }: Call): string | null {
  if (makes === 'answer') return null;
  const id = printable(idSchema.safeParse(value).data?.id ?? null, key, 256);
  return id === null ? null : `the task ID ${JSON.stringify(id)}, which cannot be used or is not the one asked for`;
}

/** Only a refusal in the API's own words is one: anybody on the way can answer with a status. */
function outcomeOf(httpStatus: number, code: string | null): Outcome {
  if (code === null || code === 'internal_error') return 'unknown';
  // 408 says that somebody stopped waiting, not that nothing was done.
  const refused =
    (httpStatus >= 400 && httpStatus < 500 && httpStatus !== 408) ||
    (httpStatus === 503 && code === 'public_api_disabled');
  return refused ? 'refused' : 'unknown';
}

/** What a failed call means for the money spent, as a sentence for its message. */
export function aboutMoney(
  { method, free = false, makes = 'task' }: Pick<Call, 'method' | 'free' | 'makes'>,
  outcome: Outcome,
): string {
  if (free) return outcome === 'refused' ? 'An upload costs nothing.' : 'An upload costs nothing; it may be repeated.';
  if (method === 'GET') return 'Reading costs nothing; it may be repeated.';
  if (outcome === 'refused')
    return `This request ${makes === 'task' ? 'made no task' : 'got no answer'} and cost nothing.`;
  const made =
    makes === 'task' ? 'A task may exist and may have been paid for' : 'It may have been answered and paid for';
  return `${made}: repeat the same body under the same idempotency key to find out.`;
}

/** The body as JSON without the key in it, or what is wrong with it. */
function readJson(reply: Reply, key: Secret | null): { value?: unknown; problem?: string } {
  const encoding = header(reply, 'content-encoding')?.trim().toLowerCase() ?? 'identity';
  // We ask for an unpacked body, so a packed one is not from the API, and it could unpack to any size.
  if (encoding !== 'identity') return { problem: 'a compressed body, which was not asked for' };
  if (reply.body.length === 0) return { problem: 'an empty body' };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(reply.body);
    // JSON.parse quotes the body in its errors, so they go no further. Of a repeated key it takes the last one.
    const value: unknown = JSON.parse(text, (name, field: unknown) =>
      typeof field === 'string' && WORDS.has(name) ? scrub(field, key) : field,
    );
    return { value };
  } catch {
    return { problem: 'a body that is not JSON in UTF-8' };
  }
}
