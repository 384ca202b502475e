/** Errors of the client. None carries headers, the request or a cause, so none can carry the key. */

/**
 * The certainty about a failed call. `refused`: the API did nothing. `unknown`: it may have done what the request says, so
 * after a create a task may exist and may have been paid for.
 */
export type Outcome = 'refused' | 'unknown';

export type RivyaApiErrorFields = Pick<RivyaApiError, 'outcome'> & Partial<Omit<RivyaApiError, keyof Error>>;

/** A call without a usable answer. */
export class RivyaApiError extends Error {
  override readonly name = 'RivyaApiError';
  readonly outcome: Outcome;
  /** `error.code` of the API; `api_key_missing` and `api_key_invalid` also where no request could be sent. */
  readonly code: string | null;
  /** HTTP status, also where the body could not be read; null where no reply arrived. */
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

/** Wrong input. No request was sent. */
export class InvalidRequest extends Error {
  override readonly name = 'InvalidRequest';
  /** Name of the wrong argument, for example `taskId`. */
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`${field}: ${problem}. No request was sent and nothing was paid.`);
    this.field = field;
  }
}
