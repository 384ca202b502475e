import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkName } from './names.js';
import { reason, StoreSettingError, StoreUnavailable, type Store, type StoredObject } from './store.js';

// Codes by which a file system says that a person has to act; everything else is tried again.
const FOR_A_PERSON: Readonly<Record<string, string>> = {
  ENOSPC: 'it is full',
  EDQUOT: 'its quota is used up',
  EFBIG: 'the file is too large for it',
  EACCES: 'no right to write',
  EPERM: 'no right to write',
  EROFS: 'it is read-only',
  ENOTDIR: 'a file is where a directory should be',
  EEXIST: 'a file is where a directory should be',
  EISDIR: 'a directory is where a file should be',
};
// Files that are not whole yet, all in one folder: no name of theirs is ever taken for a result, and one look finds them.
const PARTS = '.rivya/parts';
// A part is written to all the time. One that was left alone for a day belongs to a process that is gone.
const ABANDONED_MS = 24 * 3_600_000;

/** Results and receipts in a local directory. A file appears under its name only when it is whole. */
export class FileStore implements Store {
  readonly address: string;
  readonly #directory: string;

  constructor(address: string) {
    const rest = address.slice('file:'.length);
    if (rest === '') throw new StoreSettingError('"file:" needs a directory, for example file:./output');
    // Resolved: a slash at the end or twice in the middle is no other place.
    this.#directory = path.resolve(rest.startsWith('//') ? directoryOf(address) : rest);
    this.address = address;
  }

  async probe(): Promise<void> {
    const parts = path.join(this.#directory, PARTS);
    const probe = path.join(parts, `probe-${randomUUID()}`);
    try {
      await mkdir(parts, { recursive: true });
      await writeFile(probe, '');
      await rm(probe);
    } catch (error) {
      throw new StoreSettingError(`the directory ${this.#directory} cannot be written (${reason(error)})`);
    }
    for (const name of await readdir(parts)) {
      const part = path.join(parts, name);
      // Another Worker may sweep, or finish its file, at the same time.
      const found = await stat(part).catch(() => null);
      if (found !== null && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(part, { force: true });
    }
  }

  async put(
    name: string,
    body: AsyncIterable<Uint8Array>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<{ uri: string }> {
    const target = this.#path(name);
    await this.#publish(target, async (file) => {
      // One chunk is written before the next is asked for, so memory stays flat.
      const chunks = Readable.from(body, { highWaterMark: 1, ...(signal && { signal }) });
      for await (const chunk of chunks as AsyncIterable<Uint8Array>) await this.#write(() => file.writeFile(chunk));
    });
    return { uri: pathToFileURL(target).href };
  }

  async open(uri: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    const file = this.#located(uri);
    const found = await this.#orNone(null, () => stat(file));
    const bytes = found?.isFile() === true ? found.size : null;
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield* createReadStream(file, signal && { signal }) as AsyncIterable<Uint8Array>;
    };
    return bytes === null ? null : { body: body(), bytes };
  }

  async write(name: string, text: string): Promise<void> {
    await this.#publish(this.#path(name), (file) => this.#write(() => file.writeFile(text)));
  }

  async read(name: string): Promise<string | null> {
    const file = this.#path(name);
    return this.#orNone(null, () => readFile(file, 'utf8'));
  }

  async list(folder: string): Promise<readonly string[]> {
    const directory = this.#path(folder);
    return this.#orNone([], () => readdir(directory));
  }

  /** Fills a temporary file, writes it through to the disk, so that a power cut leaves it whole, and names it. */
  async #publish(target: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
    const part = path.join(this.#directory, PARTS, randomUUID());
    const file = await this.#write(async () => {
      await mkdir(path.dirname(part), { recursive: true });
      return open(part, 'wx');
    });
    try {
      try {
        await fill(file);
        await this.#write(() => file.sync());
      } finally {
        await file.close();
      }
      await this.#write(async () => {
        await mkdir(path.dirname(target), { recursive: true });
        await rename(part, target);
        await flushFolder(path.dirname(target));
      });
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  #path(name: string): string {
    return path.join(this.#directory, ...checkName(name).split('/'));
  }

  #located(uri: string): string {
    try {
      const file = fileURLToPath(uri);
      if (!file.includes('\0') && file.startsWith(this.#directory + path.sep)) return file;
    } catch {
      // Not a file URI at all.
    }
    throw new StoreSettingError(`${uri} is not in the store ${this.address}`);
  }

  async #write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = reason(error);
      const why = FOR_A_PERSON[code];
      throw new StoreUnavailable(
        `The store ${this.address} cannot be written${why === undefined ? '' : `: ${why}`} (${code}).`,
        { retryable: why === undefined },
      );
    }
  }

  async #orNone<T>(none: T, look: () => Promise<T>): Promise<T> {
    try {
      return await look();
    } catch (error) {
      if (reason(error) === 'ENOENT') return none;
      throw new StoreUnavailable(`The store ${this.address} cannot be read (${reason(error)}).`);
    }
  }
}

/** The directory of a URL, in which the first name after "//" is a host: `file://output` is none. */
function directoryOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw new StoreSettingError(`${url} is not the URL of a directory: write file:./output or file:///data/output`);
  }
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
