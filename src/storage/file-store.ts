/** A store in a local directory. A file appears under its name only when it is whole and on the disk. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkName } from './names.js';
import {
  reasonOf,
  StoreSettingError,
  StoreUnavailable,
  type PutOptions,
  type Store,
  type StoredObject,
} from './store.js';

// Error codes for which a person has to act; after any other the Activity is tried again.
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
// Files that are not whole yet, all in one folder, so that no listing of results shows them and a probe finds them.
const PARTS = '.rivya/parts';
// A part is written to all the time. One that has not changed for a day belongs to a process that is gone.
const ABANDONED_MS = 24 * 3_600_000;

export class FileStore implements Store {
  readonly address: string;
  readonly #directory: string;

  /** @param address - `file:` and a directory: absolute, relative to the working directory, or as a URL. */
  constructor(address: string) {
    const rest = address.slice('file:'.length);
    if (rest === '') throw new StoreSettingError('"file:" needs a directory, for example file:./output');
    // Resolved, so that a slash at the end or twice in the middle makes no difference.
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
      throw new StoreSettingError(`the directory ${this.#directory} cannot be written (${reasonOf(error)})`);
    }
    for (const name of await readdir(parts)) {
      const part = path.join(parts, name);
      // Another Worker may delete the part, or finish its file, at the same time.
      const found = await stat(part).catch(() => null);
      if (found !== null && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(part, { force: true });
    }
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<{ uri: string }> {
    const { signal, beforeNaming } = options;
    const target = this.#pathOf(name);
    await this.#publish(
      target,
      async (file) => {
        // One chunk is written before the next one is read, so memory stays flat.
        const chunks = Readable.from(body, { highWaterMark: 1, ...(signal && { signal }) });
        for await (const chunk of chunks as AsyncIterable<Uint8Array>) await this.#writing(() => file.writeFile(chunk));
      },
      beforeNaming,
    );
    return { uri: pathToFileURL(target).href };
  }

  async open(uri: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<StoredObject | null> {
    const file = this.#pathOfUri(uri);
    const found = await this.#reading(null, () => stat(file));
    async function* body(): AsyncGenerator<Uint8Array> {
      yield* createReadStream(file, signal && { signal }) as AsyncIterable<Uint8Array>;
    }
    return found?.isFile() === true ? { body: body(), bytes: found.size } : null;
  }

  async write(name: string, text: string): Promise<void> {
    await this.#publish(this.#pathOf(name), (file) => this.#writing(() => file.writeFile(text)));
  }

  async read(name: string): Promise<string | null> {
    const file = this.#pathOf(name);
    return this.#reading(null, () => readFile(file, 'utf8'));
  }

  async list(folder: string): Promise<readonly string[]> {
    const directory = this.#pathOf(folder);
    return this.#reading([], () => readdir(directory));
  }

  /** Fills a part, flushes it to the disk, so that a power cut leaves it whole, and renames it to its name. */
  async #publish(
    target: string,
    fill: (file: FileHandle) => Promise<void>,
    beforeNaming?: () => Promise<void>,
  ): Promise<void> {
    const part = path.join(this.#directory, PARTS, randomUUID());
    const file = await this.#writing(async () => {
      await mkdir(path.dirname(part), { recursive: true });
      return open(part, 'wx');
    });
    try {
      try {
        await fill(file);
        await this.#writing(() => file.sync());
      } finally {
        await file.close();
      }
      await this.#writing(() => mkdir(path.dirname(target), { recursive: true }));
      await beforeNaming?.();
      await this.#writing(async () => {
        await rename(part, target);
        await flushFolder(path.dirname(target));
      });
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  #pathOf(name: string): string {
    return path.join(this.#directory, ...checkName(name).split('/'));
  }

  #pathOfUri(uri: string): string {
    try {
      const file = fileURLToPath(uri);
      if (!file.includes('\0') && file.startsWith(this.#directory + path.sep)) return file;
    } catch {
      // Not a file URI at all.
    }
    throw new StoreSettingError(`${uri} is not in the store ${this.address}`);
  }

  async #writing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = reasonOf(error);
      const why = FOR_A_PERSON[code];
      const message = `The store ${this.address} cannot be written${why === undefined ? '' : `: ${why}`} (${code}).`;
      throw new StoreUnavailable(message, { retryable: why === undefined });
    }
  }

  /** @param none - Returned where there is no such file or folder. */
  async #reading<T>(none: T, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (reasonOf(error) === 'ENOENT') return none;
      throw new StoreUnavailable(`The store ${this.address} cannot be read (${reasonOf(error)}).`);
    }
  }
}

/** The directory of a URL. `file://output` has none: the first name after "//" is a host. */
function directoryOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw new StoreSettingError(`${url} is not the URL of a directory: write file:./output or file:///data/output`);
  }
}

/** Flushes a new name to the disk, where the system lets a folder be opened (Windows does not). */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  try {
    await handle?.sync();
  } finally {
    await handle?.close();
  }
}
