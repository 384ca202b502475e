import { createHash } from 'node:crypto';
import type { StoredFile } from '../contract/index.js';
import { openResult } from './download.js';
import { reason } from './reason.js';
import { ResultError, StoreUnavailable, type Store } from './store.js';

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
const PROGRESS_MS = 1_000;

export interface KeepOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes so far, at least once a second while bytes arrive. */
  readonly onProgress?: (bytes: number) => void;
}

/** Moves results from their links into a store. */
export class Results {
  readonly #store: Store;
  readonly #trustedHosts: ReadonlySet<string>;

  constructor(store: Store, { trustedHosts }: { readonly trustedHosts: ReadonlySet<string> }) {
    this.#store = store;
    this.#trustedHosts = trustedHosts;
  }

  /** @throws ResultError */
  async keep(url: string, name: string, { signal, onProgress }: KeepOptions = {}): Promise<StoredFile> {
    const { body, headers } = await openResult(url, this.#trustedHosts, signal);
    const contentType = headers['content-type']?.toString().split(';')[0]?.trim().toLowerCase() ?? null;
    // Error pages come with status 200 too. No model makes text.
    if (contentType !== null && /^text\/|[/+](json|xml|html)$/.test(contentType)) {
      await body.dump();
      throw new ResultError(`A result link gave ${contentType} instead of media.`, { retryable: false });
    }
    const hash = createHash('sha256');
    let bytes = 0;
    let reportedAt = 0;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        if (bytes === 0 && /^\s*[<{]/.test(chunk.subarray(0, 64).toString('latin1'))) {
          throw new ResultError('A result link gave a page or a message instead of media.', { retryable: false });
        }
        bytes += chunk.length;
        hash.update(chunk);
        if (Date.now() - reportedAt >= PROGRESS_MS) {
          reportedAt = Date.now();
          onProgress?.(bytes);
        }
        yield chunk;
      }
      const expected = Number(headers['content-length'] ?? Number.NaN);
      if (bytes === 0 || (!Number.isNaN(expected) && expected !== bytes)) {
        throw new ResultError(`A result arrived with ${bytes} of ${expected || 'some'} bytes.`, { retryable: true });
      }
    }
    try {
      const options = { contentType, ...(signal && { signal }) };
      const { uri } = await this.#store.put(`${name}.${ending(contentType, url)}`, counted(), options);
      return { uri, bytes, sha256: hash.digest('hex'), contentType, sourceUrl: withoutQuery(url) };
    } catch (error) {
      body.destroy();
      if (error instanceof ResultError || signal?.aborted) throw error;
      if (error instanceof StoreUnavailable) throw new ResultError(error.message, { retryable: error.retryable });
      throw new ResultError(`A result broke off while it was stored (${reason(error)}).`, { retryable: true });
    }
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
