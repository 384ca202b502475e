/**
 * The bytes of references: local files below the allowed directories, files in the store of this Worker, links of results.
 * Each is copied to a temporary file without a name, so that the bytes that are checked and hashed are the bytes that are
 * sent, and a killed process leaves no copy behind. `rivyaUpload` calls it. It sends nothing to the API.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, realpath, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { ReferenceSource } from '../contract/index.js';
import { download } from './download.js';
import { openMediaHosts, type MediaHostsOptions } from './media-hosts.js';
import { plainType } from './media-type.js';
import { readMedia } from './media.js';
import { reasonOf, ResultError, StoreSettingError, StoreUnavailable, type Store } from './store.js';

// A link in the last part is not followed, and a pipe that nobody writes to does not block.
const PLAIN_READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A reference whose bytes cannot be had. Nothing was sent. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  /** `input`: only another input helps. `gone`: it is not there. `now`: it cannot be reached, perhaps for a moment. */
  readonly because: 'input' | 'gone' | 'now';
  /** HTTP status of a link that does not work. */
  readonly httpStatus: number | null;
  constructor(message: string, because: SourceError['because'], httpStatus: number | null = null) {
    // It stands within a sentence.
    super(message.replace(/\.$/, ''));
    this.because = because;
    this.httpStatus = httpStatus;
  }
}

export interface ReadOptions {
  /** Largest reference. Where its size is known, a larger one is refused before it is read. */
  readonly maxBytes: number;
  /** Called once with the type by the first bytes, null where they do not say it; returns why the file cannot be used, or null. */
  readonly refuse: (mimeType: string | null) => string | null;
  /** Called before something is read: with each address without its query, or with the real path of a file. */
  readonly judge?: (address: string) => Promise<void>;
  /** Called for each chunk that arrives. */
  readonly onProgress?: () => void;
  readonly signal: AbortSignal;
}

/** The copy of a reference, whole and unchanging. */
export interface SourceFile {
  readonly sha256: string;
  readonly bytes: number;
  /** Last part of its path or URL. */
  readonly fileName: string;
  stream(): AsyncIterable<Uint8Array>;
  /** Deletes the copy. */
  close(): Promise<void>;
}

/** A source that is open for reading. */
interface OpenSource {
  readonly body: AsyncIterable<Uint8Array>;
  /** Null where the size is not known before the end. */
  readonly bytes: number | null;
  /** Throws where the file has changed while it was read. */
  readonly checkUnchanged?: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface ReferenceSourcesOptions extends MediaHostsOptions {
  /** Directories below which local files may be read. */
  readonly roots: readonly string[];
  readonly store: Store | null;
}

export type ReferenceSources = ReturnType<typeof openReferenceSources>;

/** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
export function openReferenceSources({ roots, store, ...hostOptions }: ReferenceSourcesOptions) {
  const hosts = openMediaHosts(hostOptions);

  /**
   * Copies a reference.
   * @throws SourceError; what `judge` throws for a file passes through.
   */
  async function read(source: ReferenceSource, options: ReadOptions): Promise<SourceFile> {
    const opened = await openSource(source, options);
    try {
      return { ...(await copyOf(opened, options)), fileName: path.posix.basename(locationOf(source)) };
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof SourceError) throw error;
      if (error instanceof ResultError) throw new SourceError(error.message, 'now', error.httpStatus);
      throw new SourceError(`cannot be read (${reasonOf(error)})`, 'now');
    } finally {
      await opened.close();
    }
  }

  async function openSource(source: ReferenceSource, { signal, judge }: ReadOptions): Promise<OpenSource> {
    if ('path' in source) return openFile(source.path, judge);
    if ('uri' in source) return openStored(source.uri, signal);
    const { link } = source;
    async function* body(): AsyncGenerator<Uint8Array, void> {
      // `copyOf` judges the size.
      yield* (await download(link, hosts, { maxBytes: Number.MAX_SAFE_INTEGER, signal, judge })).body;
    }
    const opened = body();
    return { body: opened, bytes: null, close: () => endStream(opened) };
  }

  async function openStored(uri: string, signal: AbortSignal): Promise<OpenSource> {
    if (store === null) {
      const problem = 'is in a store, but this Worker has none; set RIVYA_STORE where the API calls run';
      throw new SourceError(problem, 'input');
    }
    try {
      const stored = await store.open(uri, { signal });
      if (stored === null) throw new SourceError(`names no file in the store ${store.address}`, 'gone');
      return { ...stored, close: () => endStream(stored.body) };
    } catch (error) {
      if (error instanceof StoreSettingError) {
        throw new SourceError(`is not in the store ${store.address} of this Worker`, 'input');
      }
      if (error instanceof StoreUnavailable) throw new SourceError(error.message, 'now');
      throw error;
    }
  }

  async function openFile(name: string, judge: ReadOptions['judge']): Promise<OpenSource> {
    const real = await realPath(name);
    const handle = await open(real, PLAIN_READ).catch(fileFailed);
    try {
      const before = await handle.stat({ bigint: true });
      if (!before.isFile()) throw new SourceError('is no regular file', 'input');
      // A folder on the way may have become a link just now.
      if ((await realPath(name)) !== real) throw new SourceError('changed while it was opened', 'input');
      await judge?.(real);
      return {
        body: handle.createReadStream({ autoClose: false }),
        bytes: Number(before.size),
        checkUnchanged: async () => {
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

  /** The path without links. The error for a path outside of the roots does not depend on whether there is a file. */
  async function realPath(name: string): Promise<string> {
    if (roots.length === 0) {
      const problem =
        'is a file on the Worker, which opens none: set RIVYA_REFERENCE_ROOTS to the directories that it may read';
      throw new SourceError(problem, 'input');
    }
    const real = await realpath(name).catch((error: unknown) => error);
    for (const root of roots) {
      const within = await realpath(root).catch(() => path.resolve(root));
      if (typeof real === 'string' && isInside(real, within)) return real;
      if (typeof real !== 'string' && isInside(path.resolve(name), path.resolve(root))) fileFailed(real);
    }
    throw new SourceError('is outside of the directories in RIVYA_REFERENCE_ROOTS of the Worker', 'input');
  }

  return { read, close: hosts.close };
}

async function copyOf(opened: OpenSource, options: ReadOptions): Promise<Omit<SourceFile, 'fileName'>> {
  const { maxBytes, refuse, onProgress, signal } = options;
  const refuseAbove = (bytes: number): void => {
    if (bytes > maxBytes) throw new SourceError(`is larger than the ${maxBytes} bytes that the API takes`, 'input');
  };
  if (opened.bytes === 0) throw new SourceError('is empty', 'input');
  refuseAbove(opened.bytes ?? 0);
  const copy = await createCopy();
  try {
    const media = await readMedia(opened.body, (bytes) => {
      signal.throwIfAborted();
      onProgress?.();
      refuseAbove(bytes);
    });
    const problem = refuse(plainType(media.seen, null));
    if (problem !== null) throw new SourceError(problem, 'input');
    // Not `write`, which may write only a part of a chunk.
    for await (const chunk of media.body) await copy.writeFile(chunk).catch(copyFailed);
    const { bytes, sha256 } = media.digest();
    await opened.checkUnchanged?.();
    if (opened.bytes !== null && opened.bytes !== bytes) {
      throw new SourceError(`ended after ${bytes} of ${opened.bytes} bytes`, 'now');
    }
    const stream = () => copy.createReadStream({ start: 0, autoClose: false });
    return { bytes, sha256, stream, close: () => copy.close() };
  } catch (error) {
    await copy.close();
    throw error;
  }
}

/** A file that nobody else can open, and that is deleted when its handle is closed. */
async function createCopy(): Promise<FileHandle> {
  const name = path.join(tmpdir(), `rivya-reference-${randomUUID()}`);
  const handle = await open(name, 'wx+', 0o600).catch(copyFailed);
  // Windows keeps the name of an open file; there the file stays until the system cleans up.
  await rm(name, { force: true }).catch(() => undefined);
  return handle;
}

function copyFailed(error: unknown): never {
  throw new SourceError(`cannot be copied to ${tmpdir()}, the temporary directory (${reasonOf(error)})`, 'now');
}

/** The place of a source without its query, which may carry a signature. */
function locationOf(source: ReferenceSource): string {
  if ('path' in source) return source.path.replaceAll('\\', '/');
  return 'uri' in source ? source.uri : new URL(source.link).pathname;
}

/** Ends a stream, also where nothing of it was read. */
async function endStream(body: AsyncIterable<Uint8Array>): Promise<void> {
  if (!(body instanceof Readable)) {
    await body[Symbol.asyncIterator]().return?.();
    return;
  }
  // Its early end may come as an error.
  body.on('error', () => undefined).destroy();
}

function isInside(file: string, directory: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}

const GONE = new Set(['ENOENT', 'ENOTDIR']);
const WRONG = new Set(['EACCES', 'EPERM', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO', 'EINVAL']);

function fileFailed(error: unknown): never {
  const code = reasonOf(error);
  if (GONE.has(code)) throw new SourceError('does not exist on the Worker', 'gone');
  throw new SourceError(`cannot be read (${code})`, WRONG.has(code) ? 'input' : 'now');
}
