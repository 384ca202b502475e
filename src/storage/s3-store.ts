/**
 * A store in a bucket of S3, or of a service that speaks its protocol. An object appears under its name only when it is whole.
 * Credentials, region and endpoint come from the settings of the AWS SDK, which is loaded at the first call.
 */
import { Readable } from 'node:stream';
import { checkName } from './names.js';
import { s3Problem } from './s3-errors.js';
import { loadS3, type S3Sdk } from './s3-sdk.js';
import { StoreSettingError, StoreUnavailable } from './store.js';
import type { PutOptions, S3Settings, Store, StoredObject } from './store.js';
import { TEXT_MS } from './texts.js';

// S3 takes 10,000 parts of at least 5 MiB, so an object has up to 48 GB. About four parts of each upload are in memory.
const PART_BYTES = 5 * 1024 * 1024;
const PARTS_AT_ONCE = 2;
const PROBE = '.rivya/probe';

export class S3Store implements Store {
  readonly address: string;
  readonly #bucket: string;
  /** Empty, or with a slash at its end. */
  readonly #prefix: string;
  readonly #settings: S3Settings;
  #sdk: Promise<S3Sdk> | undefined;

  /**
   * @param address - `s3://bucket` or `s3://bucket/prefix`.
   * @throws StoreSettingError
   */
  constructor(address: string, settings: S3Settings = {}) {
    // The message does not repeat the address: people put credentials there.
    const [, bucket, prefix = ''] = /^s3:\/\/([A-Za-z0-9._-]{3,255})(?:\/([^?#]*?))?\/*$/.exec(address) ?? [];
    if (bucket === undefined) throw new StoreSettingError('an address in S3 is s3://bucket or s3://bucket/prefix');
    try {
      this.#prefix = prefix === '' ? '' : `${checkName(prefix)}/`;
    } catch {
      throw new StoreSettingError(`the prefix in ${address} has an empty part, "." or ".."`);
    }
    this.address = address;
    this.#bucket = bucket;
    this.#settings = settings;
  }

  async probe(): Promise<void> {
    try {
      await this.write(PROBE, new Date().toISOString());
      // Without the right to list, S3 answers "denied" for an object that is not there: no missing receipt could be told.
      await Promise.all([this.list('.rivya'), this.read(`${PROBE}-none`)]);
    } catch (error) {
      if (error instanceof StoreUnavailable && !error.retryable) throw new StoreSettingError(error.message);
      throw error;
    }
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<{ uri: string }> {
    const { contentType = null, signal } = options;
    const Key = this.#keyOf(name);
    let broken: { readonly error: unknown } | undefined;
    const source = body[Symbol.asyncIterator]();
    // No generator: a stream that ends early would throw its own error into it.
    const watched: AsyncIterator<Uint8Array> = {
      next: () =>
        source.next().catch((error: unknown) => {
          broken = { error };
          throw error;
        }),
      return: async () => source.return?.() ?? { done: true, value: undefined },
    };
    // The signal ends the stream and not the upload, which then deletes its parts before it fails.
    const chunks = { [Symbol.asyncIterator]: () => watched };
    const Body = Readable.from(chunks, { highWaterMark: 1, ...(signal && { signal }) });
    // The reader of the stream gets its error; between two parts there is no reader, and Node would end the process.
    Body.on('error', () => undefined);
    try {
      await this.#call('written', async ({ client, Upload }) => {
        const params = { Bucket: this.#bucket, Key, Body, ...(contentType !== null && { ContentType: contentType }) };
        await new Upload({ client, params, partSize: PART_BYTES, queueSize: PARTS_AT_ONCE }).done();
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw broken === undefined ? error : broken.error;
    } finally {
      Body.destroy();
    }
    return { uri: `s3://${this.#bucket}/${Key}` };
  }

  async open(uri: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    const input = { Bucket: this.#bucket, Key: this.#keyOfUri(uri) };
    const options = signal && { abortSignal: signal };
    const { client, s3 } = await this.#load();
    const bytes = await this.#call('read', async () => {
      // A reply to HEAD has no error code of S3, only the status 404.
      const head = client.send(new s3.HeadObjectCommand(input), options).catch((error: unknown) => {
        if (error instanceof s3.NotFound) return null;
        throw error;
      });
      return (await head)?.ContentLength;
    });
    const failed = (error: unknown): Error => this.#unavailable('read', error);
    async function* body(): AsyncGenerator<Uint8Array> {
      try {
        const { Body } = await client.send(new s3.GetObjectCommand(input), options);
        yield* Body as Readable;
      } catch (error) {
        signal?.throwIfAborted();
        throw failed(error);
      }
    }
    return bytes === undefined ? null : { body: body(), bytes };
  }

  async write(name: string, text: string): Promise<void> {
    const Key = this.#keyOf(name);
    await this.#call('written', async ({ client, s3 }) => {
      const put = new s3.PutObjectCommand({ Bucket: this.#bucket, Key, Body: text, ContentType: 'text/plain' });
      await client.send(put, limited());
    });
  }

  async read(name: string): Promise<string | null> {
    const Key = this.#keyOf(name);
    return this.#call('read', async ({ client, s3 }) => {
      const limit = limited();
      try {
        const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: this.#bucket, Key }), limit);
        return (await Body?.transformToString()) ?? '';
      } catch (error) {
        if (error instanceof s3.NoSuchKey) return null;
        throw error;
      }
    });
  }

  async list(folder: string): Promise<readonly string[]> {
    const Prefix = `${this.#keyOf(folder)}/`;
    return this.#call('read', async ({ client, s3 }) => {
      const input = { Bucket: this.#bucket, Prefix, Delimiter: '/' };
      const names = new Set<string>();
      for await (const page of s3.paginateListObjectsV2({ client }, input, limited())) {
        const files = (page.Contents ?? []).map(({ Key = '' }) => Key);
        const folders = (page.CommonPrefixes ?? []).map((found) => (found.Prefix ?? '').slice(0, -1));
        for (const key of [...files, ...folders]) names.add(key.slice(Prefix.length));
      }
      // Some programs keep an empty object for a folder itself.
      names.delete('');
      return [...names];
    });
  }

  #keyOf(name: string): string {
    return this.#prefix + checkName(name);
  }

  #keyOfUri(uri: string): string {
    const root = `s3://${this.#bucket}/${this.#prefix}`;
    try {
      if (uri.startsWith(root)) return this.#keyOf(uri.slice(root.length));
    } catch {
      // The URI leads out of the prefix.
    }
    throw new StoreSettingError(`${uri} is not in the store ${this.address}`);
  }

  #load(): Promise<S3Sdk> {
    return (this.#sdk ??= loadS3(this.#settings));
  }

  async #call<T>(what: 'read' | 'written', work: (sdk: S3Sdk) => Promise<T>): Promise<T> {
    const sdk = await this.#load();
    try {
      return await work(sdk);
    } catch (error) {
      throw this.#unavailable(what, error);
    }
  }

  #unavailable(what: 'read' | 'written', error: unknown): StoreUnavailable {
    const { code, says, person } = s3Problem(error);
    const message = `The store ${this.address} cannot be ${what}: ${says} (${code}).`;
    return new StoreUnavailable(message, { retryable: !person });
  }
}

function limited(): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(TEXT_MS) };
}
