/** Default of `RIVYA_MAX_RESULT_BYTES`: far above what any model makes, below what fills a disk by accident. */
export const MAX_RESULT_BYTES = 4 * 1024 ** 3;

/**
 * A place for result files and receipts. Names are relative paths with `/` between their parts. Every call must settle; a
 * `read`, `write` or `list` that takes longer than 10 s counts as failed and is tried again.
 */
export interface Store {
  /** The address as a person gave it. */
  readonly address: string;
  /**
   * Writes a stream under a name, whole or not at all: nothing appears under the name unless the stream ended without an
   * error. What has the same name is replaced.
   * @throws StoreUnavailable where the store does not take it; an error of the stream passes through.
   */
  put(name: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<{ readonly uri: string }>;
  /**
   * Opens the object under a URI of this store; null where there is none. Nothing is read, and no handle or connection is
   * opened, before the body is read.
   * @throws StoreSettingError for a URI outside of this store, StoreUnavailable where it cannot be read.
   */
  open(uri: string, options?: { readonly signal?: AbortSignal }): Promise<StoredObject | null>;
  /** Writes a text under a name, whole or not at all, durably when this returns. What has the same name is replaced. */
  write(name: string, text: string): Promise<void>;
  /** The text under a name, or null where there is none. */
  read(name: string): Promise<string | null>;
  /** The names right below a folder, files and folders alike, in no order; none when there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Throws where the store cannot be written now. Also deletes half-written files that killed processes left long ago. */
  probe(): Promise<void>;
}

export interface PutOptions {
  readonly contentType?: string | null;
  readonly signal?: AbortSignal;
  /**
   * For a store that can: called when all bytes are safe, right before the name appears. Where it throws, nothing appears,
   * and its error passes through. The stream asks the same before it ends.
   */
  readonly beforeNaming?: () => Promise<void>;
}

export interface StoredObject {
  readonly body: AsyncIterable<Uint8Array>;
  readonly bytes: number;
}

/** Settings of a store in S3 beside those of the AWS SDK (credentials, region). */
export interface S3Settings {
  /** URL of the service. Default: the SDK's own settings such as `AWS_ENDPOINT_URL_S3`, else AWS. */
  readonly endpoint?: string | undefined;
  /** `https://host/bucket` instead of `https://bucket.host`. Default false. */
  readonly pathStyle?: boolean | undefined;
}

/** A result that could not be fetched. Its task is paid, and the result is still at Rivya. */
export class ResultError extends Error {
  override readonly name = 'ResultError';
  readonly httpStatus: number | null;
  /** False where the same link will not work again, or a person must act. */
  readonly retryable: boolean;
  /** Media type of what arrived, where it is whole but no image, video or audio. */
  readonly found: string | null;
  /** As in `SeenResult`, beside `found`. */
  readonly beginning: string | null;
  constructor(
    message: string,
    about: Partial<Pick<ResultError, 'httpStatus' | 'found' | 'beginning'>> & { retryable: boolean },
  ) {
    super(message);
    this.httpStatus = about.httpStatus ?? null;
    this.retryable = about.retryable;
    this.found = about.found ?? null;
    this.beginning = about.beginning ?? null;
  }
}

/** A store that cannot be read or written. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  /** False where a person must act: the store is full or gone, or rights are missing. */
  readonly retryable: boolean;
  constructor(message: string, { retryable = true }: { retryable?: boolean } = {}) {
    super(message);
    this.retryable = retryable;
  }
}

/** A file that holds no receipt which this version can read. */
export class BrokenReceipt extends StoreUnavailable {}

/** A wrong address: of a store, or of an object outside of the store. */
export class StoreSettingError extends Error {
  override readonly name = 'StoreSettingError';
}

/** The code of an error of Node or a library; its message only where it has no code, because messages can quote secrets. */
export function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}
