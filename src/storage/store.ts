import type { StoredFile } from '../contract/index.js';

export interface PutOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes so far, at least once a second while bytes arrive. */
  readonly onProgress?: (bytes: number) => void;
}

/** Where results are kept. */
export interface Store {
  /** The address as a person gave it. */
  readonly address: string;
  /** Streams what a URL serves to a name below the store; whole or not at all. The same name is replaced. */
  put(url: string, name: string, options?: PutOptions): Promise<StoredFile>;
  /** Throws when nothing could be written now. */
  probe(): Promise<void>;
}

/** A result could not be fetched or written. The task is paid and its result is still at Rivya. */
export class ResultError extends Error {
  override readonly name = 'ResultError';
  readonly httpStatus: number | null;
  /** False where the same link will not work again, or the store needs a person. */
  readonly retryable: boolean;
  constructor(message: string, { httpStatus = null, retryable }: { httpStatus?: number | null; retryable: boolean }) {
    super(message);
    this.httpStatus = httpStatus;
    this.retryable = retryable;
  }
}

/** The address of a store is wrong, or it cannot be written. */
export class StoreSettingError extends Error {
  override readonly name = 'StoreSettingError';
}
