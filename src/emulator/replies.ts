import { randomBytes } from 'node:crypto';
import { ERROR_CODES, type ErrorCode } from '../contract/index.js';
import type { RawReply } from './types.js';

/** A reply before it is sent. `Date` and the mark of the emulator are added on sending. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A call that the API refuses; carries the documented code. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly retryAfter: string | undefined;

  constructor(code: ErrorCode, message?: string, retryAfter?: string) {
    super(message ?? defaultMessage(code));
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The page gives a message for one code only; the others say what the table says. */
function defaultMessage(code: ErrorCode): string {
  return code === 'api_key_missing' ? 'A valid Bearer API key is required.' : ERROR_CODES[code].meaning;
}

export function json(status: number, value: unknown): Reply {
  return text(status, JSON.stringify(value), { 'content-type': 'application/json; charset=utf-8' });
}

export function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, body: Buffer.from(body) };
}

/** Exactly these bytes. */
export function rawReply({ status, body, encoding = 'utf8', headers = {} }: RawReply): Reply {
  return { status, headers, body: Buffer.from(body, encoding) };
}

/** The error envelope of the page "API Errors and Limits", with a new `requestId`. */
export function refusalReply(refusal: Refusal): Reply {
  const requestId = `req_${randomBytes(9).toString('hex')}`;
  const reply = json(ERROR_CODES[refusal.code].httpStatus, {
    error: { code: refusal.code, message: refusal.message, requestId },
  });
  if (refusal.retryAfter === undefined) return reply;
  return { ...reply, headers: { ...reply.headers, 'retry-after': refusal.retryAfter } };
}
