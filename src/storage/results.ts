import { createHash } from 'node:crypto';
import { fileTypeFromBuffer } from 'file-type';
import { z } from 'zod';
import type { StoredFile } from '../contract/index.js';
import { download } from './download.js';
import { parsed } from './key-folders.js';
import { MediaHosts, type MediaHostsOptions } from './media-hosts.js';
import { resultName, shortDigest } from './names.js';
import { Sidecar, sidecarText, withoutQuery, type Result, type SidecarPrompts } from './sidecar.js';
import { ResultError, StoreSettingError, type Store } from './store.js';

// What file-type wants to see of a file to tell its type.
const SIGNATURE_BYTES = 4_100;
/** Default of `RIVYA_MAX_RESULT_BYTES`: far above what any model makes, below what fills a disk by accident. */
export const MAX_RESULT_BYTES = 4 * 1024 ** 3;

export interface ResultsOptions extends MediaHostsOptions {
  /** Largest result in bytes. Default `MAX_RESULT_BYTES`. */
  readonly maxBytes?: number;
  /** What sidecars say of the prompt. Default `full`. */
  readonly prompts?: SidecarPrompts;
}

export interface KeepOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes so far for each piece that arrives. */
  readonly onProgress?: (bytes: number) => void;
}

/** Moves results from their links into a store: checked, counted, hashed, named, each with its sidecar. */
export class Results {
  readonly #store: Store;
  readonly #hosts: MediaHosts;
  readonly #maxBytes: number;
  readonly #prompts: SidecarPrompts;

  /** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
  constructor(store: Store, { maxBytes = MAX_RESULT_BYTES, prompts = 'full', ...hosts }: ResultsOptions) {
    this.#store = store;
    this.#hosts = new MediaHosts(hosts);
    this.#maxBytes = maxBytes;
    this.#prompts = prompts;
  }

  /**
   * Stores a result, or finds it stored already: a link that has expired since then costs nothing.
   * @throws ResultError where it cannot be fetched, StoreUnavailable where the store does not take it.
   */
  async keep(result: Result, options: KeepOptions = {}): Promise<StoredFile> {
    const { name, sidecar, claimed } = await this.#place(result);
    if (sidecar !== null && (await this.#has(sidecar))) {
      const { version: _, taskId: __, ...file } = sidecar;
      return file;
    }
    const url = result.input.urls[result.n - 1];
    if (url === undefined) throw new RangeError(`There is no result ${result.n}.`);
    if (!claimed) await this.#store.write(claimOf(name), JSON.stringify({ taskId: result.input.taskId }));
    // Of two that claim a name at the same time, the last one has it: the other sees so here or after its sidecar, and
    // takes its own name when it is tried again. No result is replaced by that of another task.
    const stillOurs = async (): Promise<void> => {
      if ((await this.#place(result)).name === name) return;
      throw new ResultError(`The name ${name} was taken while its result arrived.`, { retryable: true });
    };
    const file = await this.#fetch(url, name, options, stillOurs);
    // After its file, so that a sidecar always tells of a whole one.
    const text = sidecarText(file, result, { prompts: this.#prompts, storedAt: new Date() });
    await this.#store.write(`${name}.json`, text);
    await stillOurs();
    return file;
  }

  async close(): Promise<void> {
    await this.#hosts.close();
  }

  /** The name of a result, without its ending. Where the result of another task has it, a digest tells them apart. */
  async #place({ input, n }: Result): Promise<{ name: string; sidecar: Sidecar | null; claimed: boolean }> {
    const plain = resultName(input, n);
    for (const name of [plain, `${plain}-${shortDigest(input.taskId)}`]) {
      const claim = await this.#store.read(claimOf(name));
      const claimed = claim !== null;
      if (claimed && parsed(Claim, claim)?.taskId !== input.taskId) continue;
      const text = await this.#store.read(`${name}.json`);
      if (text === null) return { name, sidecar: null, claimed };
      const sidecar = parsed(Sidecar, text);
      if (sidecar?.taskId === input.taskId) return { name, sidecar, claimed };
    }
    throw new ResultError(
      `Beside the results of this Workflow in ${this.#store.address}, ${plain}.json is not one of ours. Take it away, then resume.`,
      { retryable: false },
    );
  }

  async #has({ uri, bytes }: Sidecar): Promise<boolean> {
    try {
      return (await this.#store.open(uri))?.bytes === bytes;
    } catch (error) {
      // The store was moved: what the sidecar says is of another place.
      if (error instanceof StoreSettingError) return false;
      throw error;
    }
  }

  /** @param beforeNaming - Called when all has arrived and nothing has its name yet; what it throws leaves nothing. */
  async #fetch(
    url: string,
    name: string,
    { signal, onProgress }: KeepOptions,
    beforeNaming: () => Promise<void>,
  ): Promise<StoredFile> {
    const hash = createHash('sha256');
    let bytes = 0;
    async function* counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        hash.update(chunk);
        onProgress?.(bytes);
        yield chunk;
      }
    }
    const source = counted(download(url, this.#hosts, { maxBytes: this.#maxBytes, signal }));
    try {
      const head = await takeHead(source);
      const { ext, mime } = await mediaType(head);
      const options = { contentType: mime, ...(signal && { signal }) };
      const { uri } = await this.#store.put(`${name}.${ext}`, whole(head, source, beforeNaming), options);
      return { uri, bytes, sha256: hash.digest('hex'), contentType: mime, sourceUrl: withoutQuery(url) };
    } finally {
      await source.return();
    }
  }
}

const Claim = z.object({ taskId: z.string() });

/** Where it is noted whose a name is, before anything lies under it. */
function claimOf(name: string): string {
  return `.rivya/names/${name}.json`;
}

/** The type by the signature of the file: neither its name nor what a host says of it can be relied on. */
async function mediaType(head: Uint8Array): Promise<{ ext: string; mime: string }> {
  const type = await fileTypeFromBuffer(head);
  if (type !== undefined && /^(image|video|audio)\//.test(type.mime)) return type;
  throw new ResultError(
    `A result link gave ${type?.mime ?? 'a page, a message or something unknown'} instead of an image, a video or audio.`,
    { retryable: false },
  );
}

/** Takes the first bytes; the rest stays in the source. */
async function takeHead(source: AsyncGenerator<Uint8Array, void>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; bytes < SIGNATURE_BYTES;) {
    const next = await source.next();
    if (next.done === true) break;
    chunks.push(next.value);
    bytes += next.value.length;
  }
  return Buffer.concat(chunks);
}

async function* whole(
  head: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
  atEnd: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  yield head;
  yield* rest;
  await atEnd();
}
