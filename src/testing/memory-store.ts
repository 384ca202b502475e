import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { StoreSettingError, type Store, type StoredObject } from '../storage/index.js';
import { checkName } from '../storage/names.js';

type Options = { readonly signal?: AbortSignal };

/** A store for tests: everything is in memory and gone with the process. */
export class MemoryStore implements Store {
  readonly address = 'memory:';
  readonly #objects = new Map<string, Buffer>();

  async put(name: string, body: AsyncIterable<Uint8Array>, { signal }: Options = {}): Promise<{ uri: string }> {
    checkName(name);
    signal?.throwIfAborted();
    this.#objects.set(name, await buffer(Readable.from(body, signal && { signal })));
    return { uri: this.address + name };
  }

  async open(uri: string, { signal }: Options = {}): Promise<StoredObject | null> {
    signal?.throwIfAborted();
    const name = uri.startsWith(this.address) ? uri.slice(this.address.length) : '..';
    try {
      checkName(name);
    } catch {
      throw new StoreSettingError(`${uri} is not in the store ${this.address}`);
    }
    const found = this.#objects.get(name);
    // In pieces, as files and networks give them.
    return found === undefined ? null : { body: new Blob([found]).stream(), bytes: found.length };
  }

  async write(name: string, text: string): Promise<void> {
    this.#objects.set(checkName(name), Buffer.from(text));
  }

  async read(name: string): Promise<string | null> {
    return this.#objects.get(checkName(name))?.toString() ?? null;
  }

  async list(folder: string): Promise<readonly string[]> {
    const root = `${checkName(folder)}/`;
    const below = [...this.#objects.keys()].filter((name) => name.startsWith(root));
    return [...new Set(below.map((name) => name.slice(root.length).split('/')[0] ?? ''))];
  }

  async probe(): Promise<void> {
    // Memory can always be written.
  }
}
