/**
 * Results on their way from their links into a store: whole or not at all, a media file by its signature, counted, hashed, and
 * each with a sidecar. `rivyaStore` calls it. It never replaces the result of another task.
 */
import { z } from 'zod';
import type { StoredFile, StoreInput } from '../contract/index.js';
import { download } from './download.js';
import { openMediaHosts, type MediaHostsOptions } from './media-hosts.js';
import { jsonBeside, mediaType, plainType, typeOf } from './media-type.js';
import { beginningOf, readMedia } from './media.js';
import { resultName, shortDigest } from './names.js';
import { Sidecar, sidecarText, withoutQuery, type Result, type SidecarPrompts } from './sidecar.js';
import { MAX_RESULT_BYTES, ResultError, StoreSettingError, type Store } from './store.js';
import { parseJson } from './texts.js';

export interface ResultsOptions extends MediaHostsOptions {
  /** Largest result in bytes. Default `MAX_RESULT_BYTES`. */
  readonly maxBytes?: number;
  /** Default `full`. */
  readonly prompts?: SidecarPrompts;
}

export interface KeepOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes so far for each chunk that arrives. */
  readonly onProgress?: (bytes: number) => void;
}

export type Results = ReturnType<typeof openResults>;

/** @throws InvalidAddress where HTTPS_PROXY is not an HTTP(S) URL. */
export function openResults(store: Store, { maxBytes = MAX_RESULT_BYTES, prompts = 'full', ...rest }: ResultsOptions) {
  const hosts = openMediaHosts(rest);

  /**
   * Stores a result, unless it is stored already: then its link, which may have expired, is not asked.
   * @throws ResultError where it cannot be fetched, StoreUnavailable where the store does not take it.
   */
  async function keep(result: Result, options: KeepOptions = {}): Promise<StoredFile> {
    const { name, sidecar, claimed } = await placeOf(result);
    if (sidecar !== null && (await holds(sidecar))) {
      const { version: _, taskId: __, ...file } = sidecar;
      return file;
    }
    const url = result.input.urls[result.n - 1];
    if (url === undefined) throw new RangeError(`There is no result ${result.n}.`);
    if (!claimed) await store.write(claimOf(name), JSON.stringify({ taskId: result.input.taskId }));
    // Of two tasks that claim a name at the same time, the last one has it. The other one finds that out here, before its
    // file appears or after its sidecar was written, and gets a name of its own when it is tried again.
    const checkClaim = async (): Promise<void> => {
      if ((await placeOf(result)).name === name) return;
      throw new ResultError(`The name ${name} was taken while its result arrived.`, { retryable: true });
    };
    const file = await fetchInto(name, { url, n: result.n, asIs: result.input.asIs }, options, checkClaim);
    // Written after its file, so that the file of a sidecar is always whole.
    await store.write(`${name}.json`, sidecarText(file, result, prompts));
    await checkClaim();
    return file;
  }

  /** The name of a result, without its ending. Where another task has it, a digest of the task ID is added. */
  async function placeOf({ input, n }: Result): Promise<{ name: string; sidecar: Sidecar | null; claimed: boolean }> {
    const plain = resultName(input, n);
    for (const name of [plain, `${plain}-${shortDigest(input.taskId)}`]) {
      const claim = await store.read(claimOf(name));
      const claimed = claim !== null;
      if (claimed && parseJson(Claim, claim)?.taskId !== input.taskId) continue;
      const text = await store.read(`${name}.json`);
      if (text === null) return { name, sidecar: null, claimed };
      const sidecar = parseJson(Sidecar, text);
      if (sidecar?.taskId === input.taskId) return { name, sidecar, claimed };
    }
    const message = `Beside the results of this Workflow in ${store.address}, ${plain}.json is not one of ours. Take it away, then resume.`;
    throw new ResultError(message, { retryable: false });
  }

  async function holds({ uri, bytes }: Sidecar): Promise<boolean> {
    try {
      return (await store.open(uri))?.bytes === bytes;
    } catch (error) {
      // The sidecar came from another address, as after a move of the store.
      if (error instanceof StoreSettingError) return false;
      throw error;
    }
  }

  /** @param beforeNaming - Called when all bytes have arrived and before the file appears; where it throws, no file does. */
  async function fetchInto(
    name: string,
    { url, n, asIs }: Link,
    { signal, onProgress }: KeepOptions,
    beforeNaming: () => Promise<void>,
  ): Promise<StoredFile> {
    const source = await download(url, hosts, { maxBytes, signal });
    const { contentType } = source;
    try {
      const { seen, ...media } = await readMedia(source.body, onProgress);
      const found = plainType(seen, contentType) ?? 'application/octet-stream';
      const beginning = beginningOf(seen);
      const isReleased = asIs?.file === n && asIs.beginning === beginning;
      const type =
        mediaType(seen, contentType, url) ??
        jsonBeside(seen, contentType, url, n) ??
        (isReleased ? typeOf(found, contentType, url) : null);
      if (type === null) {
        const message = `A result link gave ${found} instead of an image, a video or audio.`;
        throw new ResultError(message, { retryable: false, found, beginning });
      }
      async function* checked(): AsyncGenerator<Uint8Array> {
        yield* media.body;
        await beforeNaming();
      }
      const options = { contentType: type.contentType, beforeNaming, ...(signal && { signal }) };
      const { uri } = await store.put(`${name}.${type.ext}`, checked(), options);
      return { uri, ...media.digest(), contentType: type.contentType, sourceUrl: withoutQuery(url) };
    } finally {
      await source.body.return();
    }
  }

  return { keep, close: hosts.close };
}

/** A link of the list of results. */
interface Link {
  readonly url: string;
  readonly n: number;
  readonly asIs: StoreInput['asIs'];
}

/** The task that a name belongs to, noted before anything is stored under the name. */
const Claim = z.object({ taskId: z.string() });

function claimOf(name: string): string {
  return `.rivya/names/${name}.json`;
}
