import { ERROR_CODES, type ErrorCode } from '../contract/index.js';
import { newId } from './ids.js';

/** A reply before it is sent. `Date` and the mark of the emulator are added on sending. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A call that the API refuses; carries the documented code. The page gives a message for one code only. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly retryAfter: string | undefined;

  constructor(code: ErrorCode, message?: string, retryAfter?: string) {
    const missing = code === 'api_key_missing' ? 'A valid Bearer API key is required.' : null;
    super(message ?? missing ?? ERROR_CODES[code].meaning);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export function json(status: number, value: unknown): Reply {
  return text(status, JSON.stringify(value), { 'content-type': 'application/json; charset=utf-8' });
}

export function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, body: Buffer.from(body) };
}

/** The error envelope of the page "API Errors and Limits", with a new `requestId`. */
export function refusalReply({ code, message, retryAfter }: Refusal): Reply {
  const reply = json(ERROR_CODES[code].httpStatus, { error: { code, message, requestId: newId('req') } });
  return { ...reply, headers: { ...reply.headers, ...(retryAfter !== undefined && { 'retry-after': retryAfter }) } };
}
