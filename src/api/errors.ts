/**
 * What is certain about a call that failed. `refused`: the API did nothing. `unknown`: it may have done what it was
 * asked, so after a create a task may exist and may have been paid for.
 */
export type Outcome = 'refused' | 'unknown';

export interface RivyaApiErrorFields {
  readonly outcome: Outcome;
  readonly code?: string | null;
  readonly httpStatus?: number | null;
  readonly requestId?: string | null;
  readonly retryAfterMs?: number | null;
}

/** A call that brought no usable answer. Carries no headers, no request and no cause, so it cannot carry the key. */
export class RivyaApiError extends Error {
  override readonly name: string = 'RivyaApiError';
  readonly outcome: Outcome;
  /** `error.code` of the API; `api_key_missing` and `api_key_invalid` also when no request could be sent. */
  readonly code: string | null;
  /** HTTP status, also when the body behind it could not be read; null where no reply arrived. */
  readonly httpStatus: number | null;
  readonly requestId: string | null;
  /** `Retry-After` in milliseconds, not clamped. */
  readonly retryAfterMs: number | null;

  constructor(message: string, fields: RivyaApiErrorFields) {
    super(message);
    this.outcome = fields.outcome;
    this.code = fields.code ?? null;
    this.httpStatus = fields.httpStatus ?? null;
    this.requestId = fields.requestId ?? null;
    this.retryAfterMs = fields.retryAfterMs ?? null;
  }
}

/** The key has characters that an HTTP header cannot carry. No request was sent. */
export class InvalidApiKey extends RivyaApiError {
  override readonly name = 'InvalidApiKey';

  constructor(source: string) {
    super(
      `The API key from ${source} has spaces, line breaks or characters outside ASCII, which a header cannot carry. ` +
        'No request was sent and nothing was paid. Copy the key again from the Rivya settings.',
      { outcome: 'refused', code: 'api_key_invalid' },
    );
  }
}

/** Wrong input, found before anything was sent. */
export class InvalidRequest extends Error {
  override readonly name = 'InvalidRequest';
  /** What is wrong, for example `taskId`. */
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`${field}: ${problem}. No request was sent and nothing was paid.`);
    this.field = field;
  }
}

export { InvalidAddress } from '../http/proxy.js';
