import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { StoredFile } from '../contract/index.js';
import { openResult, reason } from './download.js';
import { ResultError, StoreSettingError, StoreUnavailable, type PutOptions, type Store } from './store.js';

const ENDINGS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'video/quicktime': 'mov',
  'audio/mpeg': 'mp3',
  'audio/mp4': 'm4a',
  'audio/wav': 'wav',
  'audio/x-wav': 'wav',
  'audio/ogg': 'ogg',
  'audio/aac': 'aac',
};
// Codes by which a file system says that a person has to act; everything else is tried again.
const STORE_CODES = new Set(['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG']);
const PROGRESS_MS = 1_000;
const PART = '.part';

/** Results and receipts in a local directory. A file appears under its name only when it is whole. */
export class FileStore implements Store {
  readonly address: string;
  readonly #directory: string;
  readonly #trustedHosts: ReadonlySet<string>;

  constructor(address: string, trustedHosts: ReadonlySet<string> = new Set()) {
    const rest = address.slice('file:'.length);
    if (rest === '') throw new StoreSettingError('"file:" needs a directory, for example file:./output');
    this.#directory = rest.startsWith('//') ? fileURLToPath(address) : path.resolve(rest);
    this.address = address;
    this.#trustedHosts = trustedHosts;
  }

  async probe(): Promise<void> {
    const probe = path.join(this.#directory, `.probe-${randomUUID()}`);
    try {
      await mkdir(this.#directory, { recursive: true });
      await writeFile(probe, '');
      await rm(probe);
    } catch (error) {
      throw new StoreSettingError(`the directory ${this.#directory} cannot be written (${reason(error)})`);
    }
  }

  async put(url: string, name: string, { signal, onProgress }: PutOptions = {}): Promise<StoredFile> {
    const { body, headers } = await openResult(url, this.#trustedHosts, signal);
    const contentType = headers['content-type']?.toString().split(';')[0]?.trim().toLowerCase() ?? null;
    // Error pages come with status 200 too. No model makes text.
    if (contentType !== null && /^text\/|[/+](json|xml|html)$/.test(contentType)) {
      await body.dump();
      throw new ResultError(`A result link gave ${contentType} instead of media.`, { retryable: false });
    }
    const target = path.join(this.#directory, `${name}.${ending(contentType, url)}`);
    const temporary = besides(target);
    const hash = createHash('sha256');
    let bytes = 0;
    let reportedAt = 0;
    let head = '';
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (bytes === 0) head = chunk.subarray(0, 64).toString('latin1');
        bytes += chunk.length;
        hash.update(chunk);
        if (Date.now() - reportedAt >= PROGRESS_MS) {
          reportedAt = Date.now();
          onProgress?.(bytes);
        }
        done(null, chunk);
      },
    });
    try {
      await mkdir(path.dirname(target), { recursive: true });
      await pipeline(body, count, createWriteStream(temporary, { flags: 'wx' }), { ...(signal && { signal }) });
      const expected = Number(headers['content-length'] ?? Number.NaN);
      if (bytes === 0 || (!Number.isNaN(expected) && expected !== bytes)) {
        throw new ResultError(`A result arrived with ${bytes} of ${expected || 'some'} bytes.`, { retryable: true });
      }
      if (/^\s*[<{]/.test(head)) {
        throw new ResultError('A result link gave a page or a message instead of media.', { retryable: false });
      }
      await flush(temporary);
      await rename(temporary, target);
    } catch (error) {
      body.destroy();
      await rm(temporary, { force: true }).catch(() => undefined);
      throw this.#explain(error, signal);
    }
    return {
      uri: pathToFileURL(target).href,
      bytes,
      sha256: hash.digest('hex'),
      contentType,
      sourceUrl: withoutQuery(url),
    };
  }

  async write(name: string, text: string): Promise<void> {
    const target = path.join(this.#directory, name);
    const temporary = besides(target);
    try {
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(temporary, text, { flag: 'wx' });
      await flush(temporary);
      await rename(temporary, target);
      await flushFolder(path.dirname(target));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw new StoreUnavailable(`The store ${this.address} cannot be written (${reason(error)}).`);
    }
  }

  async read(name: string): Promise<string | null> {
    return this.#orNone(null, () => readFile(path.join(this.#directory, name), 'utf8'));
  }

  async list(folder: string): Promise<readonly string[]> {
    const names = await this.#orNone([], () => readdir(path.join(this.#directory, folder)));
    // A file that is being written, or that a killed process left behind.
    return names.filter((name) => !name.endsWith(PART));
  }

  async #orNone<T>(none: T, look: () => Promise<T>): Promise<T> {
    try {
      return await look();
    } catch (error) {
      if (reason(error) === 'ENOENT') return none;
      throw new StoreUnavailable(`The store ${this.address} cannot be read (${reason(error)}).`);
    }
  }

  #explain(error: unknown, signal?: AbortSignal): unknown {
    if (error instanceof ResultError || signal?.aborted) return error;
    const code = reason(error);
    if (STORE_CODES.has(code)) {
      return new ResultError(`The store ${this.address} cannot be written (${code}).`, { retryable: false });
    }
    return new ResultError(`A result broke off while it was stored (${code}).`, { retryable: true });
  }
}

/** A name for a file that is not whole yet. */
function besides(target: string): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}${PART}`);
}

/** Makes a new name last through a power cut, where the system lets a folder be opened (Windows does not). */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  if (handle === null) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes through to the disk, so that a power cut after the rename leaves a whole file. */
async function flush(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ending(contentType: string | null, url: string): string {
  const known = contentType === null ? undefined : ENDINGS[contentType];
  const fromPath = /\.([a-z0-9]{1,5})$/i.exec(new URL(url).pathname)?.[1]?.toLowerCase();
  return known ?? fromPath ?? 'bin';
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
