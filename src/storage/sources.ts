import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, realpath, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileTypeFromBuffer } from 'file-type';
import type { ReferenceSource } from '../contract/index.js';
import { download } from './download.js';
import { MediaHosts, type MediaHostsOptions } from './media-hosts.js';
import { reason, ResultError, StoreSettingError, StoreUnavailable, type Store } from './store.js';

// What `file-type` looks at.
const SIGNATURE_BYTES = 4_100;
// Not followed at the last moment, and a pipe that nobody writes to does not block.
const PLAIN_READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A reference whose bytes cannot be had. Nothing was sent. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  /** `input`: only another input helps. `gone`: it is not there. `now`: it cannot be reached, perhaps for a moment. */
  readonly because: 'input' | 'gone' | 'now';
  /** HTTP status of a link that does not work. */
  readonly httpStatus: number | null;
  constructor(message: string, because: SourceError['because'], httpStatus: number | null = null) {
    super(message);
    this.because = because;
    this.httpStatus = httpStatus;
  }
}

export interface ReadOptions {
  /** More bytes than this are refused, before they are read where their number is known. */
  readonly maxBytes: number;
  /** Asked once, with the type that the signature shows; returns why the file cannot be used, or null. */
  readonly refuse: (mimeType: string | null) => string | null;
  /** Called before something is read, with each address without its query, and with the path of a file without links. */
  readonly judge?: (address: string) => Promise<void>;
  /** Called for each piece that arrives. */
  readonly onProgress?: () => void;
  readonly signal: AbortSignal;
}

/** The bytes of a reference, whole and unchanging. */
export interface SourceFile {
  readonly sha256: string;
  readonly bytes: number;
  /** Last part of where it came from. */
  readonly fileName: string;
  stream(): AsyncIterable<Uint8Array>;
  /** Ends the copy. */
  close(): Promise<void>;
}

interface Opened {
  readonly body: AsyncIterable<Uint8Array>;
  /** Null where nobody said. */
  readonly bytes: number | null;
  /** Throws where what was read is not one and the same file. */
  readonly check?: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface ReferenceSourcesOptions extends MediaHostsOptions {
  /** Directories below which local files may be read. */
  readonly roots: readonly string[];
  readonly store: Store | null;
}

/** Where the references of an input are: local files below the roots, the store of this Worker, links of results. */
export class ReferenceSources {
  readonly #roots: readonly string[];
  readonly #store: Store | null;
  readonly #hosts: MediaHosts;

  /** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
  constructor({ roots, store, ...hosts }: ReferenceSourcesOptions) {
    this.#roots = roots;
    this.#store = store;
    this.#hosts = new MediaHosts(hosts);
  }

  async close(): Promise<void> {
    await this.#hosts.close();
  }

  /**
   * Copies a reference to a temporary file without a name, so that the bytes that are checked and hashed are the bytes
   * that are sent, and no killed process leaves one behind.
   * @throws SourceError
   */
  async read(source: ReferenceSource, options: ReadOptions): Promise<SourceFile> {
    const opened = await this.#open(source, options);
    try {
      if (opened.bytes !== null) refuseSize(opened.bytes, options.maxBytes);
      const copy = await nameless();
      try {
        const { bytes, sha256 } = await copyTo(copy, opened.body, options);
        await opened.check?.();
        if (opened.bytes !== null && opened.bytes !== bytes) {
          throw new SourceError(`ended after ${bytes} of ${opened.bytes} bytes`, 'now');
        }
        const fileName = path.posix.basename(locationOf(source));
        return {
          sha256,
          bytes,
          fileName,
          stream: () => copy.createReadStream({ start: 0, autoClose: false }),
          close: () => copy.close(),
        };
      } catch (error) {
        await copy.close();
        throw error;
      }
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof ResultError) throw new SourceError(plain(error.message), 'now', error.httpStatus);
      throw error instanceof SourceError ? error : new SourceError(`cannot be read (${reason(error)})`, 'now');
    } finally {
      await opened.close();
    }
  }

  async #open(source: ReferenceSource, { signal, judge }: ReadOptions): Promise<Opened> {
    if ('path' in source) return this.#openPath(source.path, judge);
    if ('uri' in source) return this.#openStored(source.uri, signal);
    // Its size is judged by who reads it.
    const body = download(source.link, this.#hosts, { maxBytes: Number.MAX_SAFE_INTEGER, signal, judge });
    return { body, bytes: null, close: () => end(body) };
  }

  async #openStored(uri: string, signal: AbortSignal): Promise<Opened> {
    if (this.#store === null) {
      throw new SourceError(
        'is in a store, but this Worker has none; set RIVYA_STORE where the API calls run',
        'input',
      );
    }
    try {
      const stored = await this.#store.open(uri, { signal });
      if (stored === null) throw new SourceError(`names no file in the store ${this.#store.address}`, 'gone');
      return { ...stored, close: () => end(stored.body) };
    } catch (error) {
      if (error instanceof StoreSettingError) {
        throw new SourceError(`is not in the store ${this.#store.address} of this Worker`, 'input');
      }
      if (error instanceof StoreUnavailable) throw new SourceError(plain(error.message), 'now');
      throw error;
    }
  }

  async #openPath(name: string, judge: ReadOptions['judge']): Promise<Opened> {
    const inside = await this.#inside(name);
    const handle = await open(inside, PLAIN_READ).catch((error: unknown) => {
      throw fileError(error);
    });
    try {
      const before = await handle.stat({ bigint: true });
      if (!before.isFile()) throw new SourceError('is no regular file', 'input');
      // A folder on the way may have become a link just now.
      if ((await this.#inside(name)) !== inside) throw new SourceError('changed while it was opened', 'input');
      // The very file that is open, and not where a link led to when somebody looked before.
      await judge?.(inside);
      return {
        body: handle.createReadStream({ autoClose: false }),
        bytes: Number(before.size),
        check: async () => {
          const after = await handle.stat({ bigint: true });
          if (after.size === before.size && after.mtimeNs === before.mtimeNs) return;
          throw new SourceError('changed while it was read; start again when it is complete', 'input');
        },
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The path without links. Says the same of everything outside, whether it is there or not. */
  async #inside(name: string): Promise<string> {
    if (this.#roots.length === 0) {
      throw new SourceError(
        'is a file on the Worker, which opens none: set RIVYA_REFERENCE_ROOTS to the directories that it may read',
        'input',
      );
    }
    const real = await realpath(name).catch((error: unknown) => error);
    for (const root of this.#roots) {
      const within = await realpath(root).catch(() => path.resolve(root));
      if (typeof real === 'string' ? isBelow(real, within) : isBelow(path.resolve(name), path.resolve(root))) {
        if (typeof real === 'string') return real;
        throw fileError(real);
      }
    }
    throw new SourceError('is outside of the directories in RIVYA_REFERENCE_ROOTS of the Worker', 'input');
  }
}

/** Where a source lies, without a query, which may carry a signature. */
function locationOf(source: ReferenceSource): string {
  if ('path' in source) return source.path.replaceAll('\\', '/');
  return 'uri' in source ? source.uri : new URL(source.link).pathname;
}

/** Ends a stream, also one of which nothing was read. */
async function end(body: AsyncIterable<Uint8Array>): Promise<void> {
  if (!(body instanceof Readable)) {
    await body[Symbol.asyncIterator]().return?.();
    return;
  }
  // A stream that is ended early may say so as an error.
  body.on('error', () => undefined);
  body.destroy();
}

function isBelow(file: string, directory: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}

const GONE = new Set(['ENOENT', 'ENOTDIR']);
const WRONG = new Set(['EACCES', 'EPERM', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO', 'EINVAL']);

function fileError(error: unknown): SourceError {
  const code = reason(error);
  if (GONE.has(code)) return new SourceError('does not exist on the Worker', 'gone');
  return new SourceError(`cannot be read (${code})`, WRONG.has(code) ? 'input' : 'now');
}

function plain(message: string): string {
  return message.replace(/\.$/, '');
}

function refuseSize(bytes: number, maxBytes: number): void {
  if (bytes === 0) throw new SourceError('is empty', 'input');
  if (bytes > maxBytes) throw new SourceError(`is larger than the ${maxBytes} bytes that the API takes`, 'input');
}

/** A file that nobody else can open, and that ends with its handle. */
async function nameless(): Promise<FileHandle> {
  const name = path.join(tmpdir(), `rivya-reference-${randomUUID()}`);
  const handle = await open(name, 'wx+', 0o600).catch(noCopy);
  // Windows does not let go of a name that is open; there it stays until the system cleans up.
  await rm(name, { force: true }).catch(() => undefined);
  return handle;
}

function noCopy(error: unknown): never {
  throw new SourceError(`cannot be copied to ${tmpdir()}, the temporary directory (${reason(error)})`, 'now');
}

async function copyTo(
  copy: FileHandle,
  body: AsyncIterable<Uint8Array>,
  { maxBytes, refuse, onProgress, signal }: ReadOptions,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let head = Buffer.alloc(0);
  let asked = false;
  const ask = async (): Promise<void> => {
    asked = true;
    const problem = refuse((await fileTypeFromBuffer(head))?.mime ?? null);
    if (problem !== null) throw new SourceError(problem, 'input');
  };
  for await (const chunk of body) {
    signal.throwIfAborted();
    onProgress?.();
    bytes += chunk.length;
    refuseSize(bytes, maxBytes);
    hash.update(chunk);
    if (!asked) head = Buffer.concat([head, chunk.subarray(0, SIGNATURE_BYTES - head.length)]);
    if (!asked && head.length === SIGNATURE_BYTES) await ask();
    // `write` may write a part of it, as on a disk that is nearly full.
    await copy.writeFile(chunk).catch(noCopy);
  }
  refuseSize(bytes, maxBytes);
  if (!asked) await ask();
  return { bytes, sha256: hash.digest('hex') };
}
