import type { StoredFile } from '../contract/index.js';

export interface PutOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes so far, at least once a second while bytes arrive. */
  readonly onProgress?: (bytes: number) => void;
}

/** Where results and receipts are kept. */
export interface Store {
  /** The address as a person gave it. */
  readonly address: string;
  /** Streams what a URL serves to a name below the store; whole or not at all. The same name is replaced. */
  put(url: string, name: string, options?: PutOptions): Promise<StoredFile>;
  /** Keeps a text under a name; whole or not at all, and on the disk when this returns. The same name is replaced. */
  write(name: string, text: string): Promise<void>;
  /** The text under a name, or null when there is none. */
  read(name: string): Promise<string | null>;
  /** The names right below a folder, files and folders alike, in no order; none when there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
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

/** The store cannot be read or written just now. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

/** The address of a store is wrong, or it cannot be written. */
export class StoreSettingError extends Error {
  override readonly name = 'StoreSettingError';
}
