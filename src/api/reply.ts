/**
 * The judge of replies: a usable answer, a refusal, or an unknown outcome. Only the API's own words make a refusal. Neither a
 * message nor a field with words of the API carries the key.
 */
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

const REPEAT = 'repeat the same body under the same idempotency key to find out.';
/** The meaning of a failed call for the money, by what the call is for. */
const MONEY = {
  refused: {
    task: 'This request made no task and cost nothing.',
    answer: 'This request got no answer and cost nothing.',
    upload: 'An upload costs nothing.',
    reading: 'Reading costs nothing; it may be repeated.',
  },
  unknown: {
    task: `A task may exist and may have been paid for: ${REPEAT}`,
    answer: `It may have been answered and paid for: ${REPEAT}`,
    upload: 'An upload costs nothing; it may be repeated.',
    reading: 'Reading costs nothing; it may be repeated.',
  },
} as const;

/** A request as far as the words about its reply need it. */
export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly purpose: keyof typeof MONEY.refused;
  /** The key in its header, which is taken out of the words of the reply. */
  readonly key: Secret | null;
}

/** A usable answer. */
export interface Answer<T> {
  readonly value: T;
  /** Clock of the API: the `Date` header in milliseconds since the epoch, or null. */
  readonly serverTime: number | null;
  readonly simulated: boolean;
  readonly requestId: string | null;
}

/** The documentation names no such header; these are the usual ones. */
const REQUEST_ID_HEADERS = ['x-request-id', 'request-id', 'x-rivya-request-id'];

/** Longest part of a redirect or a page that a message repeats. */
const MAX_WORDS = 200;

/** Fields with words of the API. IDs and links stay as they are: a changed task ID is a lost task. */
const WORDS = new Set(['message', 'code', 'requestId', 'status', 'model', 'content']);

/** The value of a header; of a repeated one, the first. */
function headerOf(reply: Pick<Reply, 'headers'>, name: string): string | null {
  const value = reply.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** A text as it may go into a log line: no key, no control characters, no page-long text. */
function printable(value: string | null, key: Secret | null, maxLength: number): string | null {
  // eslint-disable-next-line no-control-regex
  const line = value === null ? '' : scrub(value, key).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
  return line.trim() === '' ? null : line.trim().slice(0, maxLength);
}

export function requestIdOf(reply: Pick<Reply, 'headers'>, key: Secret | null): string | null {
  const value = REQUEST_ID_HEADERS.map((name) => headerOf(reply, name)).find((id) => id !== null) ?? null;
  return printable(value, key, 128);
}

/**
 * Reads a reply with a schema.
 * @throws RivyaApiError for everything that is not a 2xx with a body that the schema takes.
 */
export function readReply<T>(reply: Reply, call: Call, schema: z.ZodType<T>): Answer<T> {
  const { httpStatus } = reply;
  const { method, path, key, purpose } = call;
  const json = readJson(reply, key);
  const serverTime = parseHttpDate(headerOf(reply, 'date'));
  const parsed = httpStatus >= 200 && httpStatus < 300 ? schema.safeParse(json.value) : null;
  if (parsed?.success === true) {
    const simulated = !['false', '0', null].includes(headerOf(reply, SIMULATED_HEADER));
    return { value: parsed.data, serverTime, simulated, requestId: requestIdOf(reply, key) };
  }
  const error = envelopeSchema.safeParse(json.value).data?.error ?? null;
  const code = error?.code ?? null;
  const outcome = replyOutcome(httpStatus, code);
  const requestId = printable(error?.requestId ?? null, key, 128) ?? requestIdOf(reply, key);
  const words = printable(error?.message ?? null, key, 500)?.replace(/\.$/, '') ?? null;
  const redirect = redirectOf(reply, key);
  const body =
    pageOf(reply, key) ?? json.problem ?? oddId(json.value, call) ?? 'a body that is not what the API documents';
  const odd = redirect === null ? body : reply.body.length === 0 ? redirect : `${redirect} and ${body}`;
  const happened = code === null ? `with ${odd}` : `${code}${words === null ? '' : `: ${words}`}`;
  const asked = requestId === null ? '' : ` (requestId ${requestId})`;
  const retryAfterMs = parseRetryAfter(headerOf(reply, 'retry-after'), serverTime ?? Date.now());
  const message = `${method} ${path}: HTTP ${httpStatus} ${happened}${asked}. ${aboutMoney(purpose, outcome)}`;
  throw new RivyaApiError(message, { outcome, code, httpStatus, requestId, retryAfterMs });
}

/** Where a redirect leads, without what may be a secret in it. Somebody on the way wants a login, or the base URL is another. */
function redirectOf(reply: Reply, key: Secret | null): string | null {
  if (reply.httpStatus < 300 || reply.httpStatus > 399) return null;
  const [address = ''] = headerOf(reply, 'location')?.split(/[?#;]/) ?? [];
  const target = printable(address.replace(/^([a-z][\w+.-]*:)?\/\/[^/]*@/i, '$1//'), key, MAX_WORDS);
  return target === null ? null : `a redirect to ${target}`;
}

const TITLE = /<title[^>]*>([^<]*)/i;

/** An HTML page and its title: a block page, a login, an error page of a proxy. */
function pageOf(reply: Reply, key: Secret | null): string | null {
  const start = reply.body.toString('utf8', 0, 64 * 1024);
  const isHtml = /html/i.test(headerOf(reply, 'content-type') ?? '') || /^\s*<(!doctype html|html)/i.test(start);
  if (!isHtml || reply.body.length === 0) return null;
  const title = printable(TITLE.exec(start)?.[1]?.replace(/\s+/g, ' ') ?? null, key, MAX_WORDS);
  return title === null ? 'an HTML page' : `an HTML page, ${JSON.stringify(title)}`;
}

/** The ID in a reply that cannot be used: it is all by which a person can find the task that was made. */
function oddId(value: unknown, { key, purpose }: Call): string | null {
  if (purpose === 'answer') return null;
  const id = printable(idSchema.safeParse(value).data?.id ?? null, key, 256);
  return id === null ? null : `the task ID ${JSON.stringify(id)}, which cannot be used or is not the one asked for`;
}

function replyOutcome(httpStatus: number, code: string | null): Outcome {
  // Without the API's envelope, the status may come from any proxy on the way.
  if (code === null || code === 'internal_error') return 'unknown';
  if (httpStatus === 503 && code === 'public_api_disabled') return 'refused';
  // 408 means that a server stopped waiting, not that nothing was done.
  const refused = httpStatus >= 400 && httpStatus < 500 && httpStatus !== 408;
  return refused ? 'refused' : 'unknown';
}

/** What a failed call means for the money, as a sentence for its message. */
export function aboutMoney(purpose: Call['purpose'], outcome: Outcome): string {
  return MONEY[outcome][purpose];
}

/** The body as JSON without the key in its words, or what is wrong with the body. */
function readJson(reply: Reply, key: Secret | null): { value?: unknown; problem?: string } {
  const encoding = headerOf(reply, 'content-encoding')?.trim().toLowerCase() ?? 'identity';
  // The request asks for an uncompressed body, so a compressed one is not the API's, and could unpack to any size.
  if (encoding !== 'identity') return { problem: 'a compressed body, which was not asked for' };
  if (reply.body.length === 0) return { problem: 'an empty body' };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(reply.body);
    // Of a repeated field, JSON.parse takes the last value. Its errors quote the body, so they go no further.
    const value: unknown = JSON.parse(text, (name, field: unknown) =>
      typeof field === 'string' && WORDS.has(name) ? scrub(field, key) : field,
    );
    return { value };
  } catch {
    return { problem: 'a body that is not JSON in UTF-8' };
  }
}
