/**
 * Where results and receipts are kept. Names are relative paths with `/` between their parts. Let calls settle: a text that
 * takes longer than 10 s is given up, and tried again.
 */
export interface Store {
  /** The address as a person gave it. */
  readonly address: string;
  /**
   * Writes a stream under a name; whole or not at all: nothing appears under the name unless the stream ended without an
   * error. The same name is replaced.
   * @throws StoreUnavailable where the store does not take it; what the stream throws passes through.
   */
  put(
    name: string,
    body: AsyncIterable<Uint8Array>,
    options?: { readonly contentType?: string | null; readonly signal?: AbortSignal },
  ): Promise<{ readonly uri: string }>;
  /**
   * Opens what is stored under a URI of this store; null when there is no such object. Nothing is read, and nothing
   * is left open, before somebody reads the body.
   * @throws StoreSettingError for a URI outside of this store, StoreUnavailable where it cannot be read.
   */
  open(uri: string, options?: { readonly signal?: AbortSignal }): Promise<StoredObject | null>;
  /** Keeps a text under a name; whole or not at all, and on the disk when this returns. The same name is replaced. */
  write(name: string, text: string): Promise<void>;
  /** The text under a name, or null when there is none. */
  read(name: string): Promise<string | null>;
  /** The names right below a folder, files and folders alike, in no order; none when there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Throws when nothing could be written now. Takes away what killed processes left half written long ago. */
  probe(): Promise<void>;
}

export interface StoredObject {
  readonly body: AsyncIterable<Uint8Array>;
  readonly bytes: number;
}

/** Settings that the AWS SDK has no variable for, or that are meant for this store only. */
export interface S3Settings {
  /** URL of the service. Default: `AWS_ENDPOINT_URL_S3` and the other settings of the SDK, then AWS itself. */
  readonly endpoint?: string | undefined;
  /** `https://host/bucket` instead of `https://bucket.host`. Default false. */
  readonly pathStyle?: boolean | undefined;
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
  /** False where only a person can mend it: it is full, gone, or there are no rights. */
  readonly retryable: boolean;
  constructor(message: string, { retryable = true }: { retryable?: boolean } = {}) {
    super(message);
    this.retryable = retryable;
  }
}

/** The address of a store is wrong, or it cannot be written. */
export class StoreSettingError extends Error {
  override readonly name = 'StoreSettingError';
}

/** What an error of Node or a library is about, in a word where it has one: messages can quote what was sent. */
export function reason(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}
