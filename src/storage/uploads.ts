import { z } from 'zod';
import type { UploadInput, UploadResult } from '../contract/index.js';
import { parsed } from './key-folders.js';
import { safeName } from './names.js';
import type { Store } from './store.js';
import { timely, type Texts } from './timely.js';

// No result can take this name: names of results never start with a dot.
const ROOT = '.rivya/uploads';
const VERSION = 1;

const Upload = z.object({
  version: z.literal(VERSION),
  sha256: z.string(),
  url: z.string(),
  durationToken: z.string().nullable(),
  durationSeconds: z.number().nullable(),
  fileId: z.string().nullable(),
  bytes: z.number(),
  mimeType: z.string(),
  fingerprint: z.string(),
  api: z.string(),
  simulated: z.boolean(),
});

export type UploadFacts = Omit<UploadResult, 'remembered'>;

/**
 * The uploads of one API in a store, by account and content: the same file is uploaded once, so a generation that starts
 * anew sends the same body. They hold the address that the API gave, and no API key.
 */
export class Uploads {
  readonly #store: Texts;
  readonly #root: string;

  /** @param baseUrl - Of the API, so that uploads to the emulator are never taken for real ones. */
  constructor(store: Store, baseUrl: string) {
    this.#store = timely(store);
    this.#root = `${ROOT}/${safeName(new URL(baseUrl).host)}`;
  }

  /** Null also for a note that cannot be read: it is uploaded again, which costs nothing. */
  async find(
    fingerprint: string,
    sha256: string,
    { kind, model }: Pick<UploadInput, 'kind' | 'model'>,
  ): Promise<UploadFacts | null> {
    const text = await this.#store.read(this.#name(fingerprint, sha256, kind, model));
    return text === null ? null : parsed(Upload, text);
  }

  async note(upload: UploadFacts, { kind, model }: Pick<UploadInput, 'kind' | 'model'>): Promise<void> {
    const facts = Upload.parse({ version: VERSION, ...upload });
    const text = JSON.stringify({ ...facts, at: new Date().toISOString() }, null, 2);
    await this.#store.write(this.#name(upload.fingerprint, upload.sha256, kind, model), `${text}\n`);
  }

  // The API checks a file against a model, so an upload for one model says nothing about another.
  #name(fingerprint: string, sha256: string, kind: string, model: string): string {
    return `${this.#root}/${safeName(fingerprint)}/${sha256}-${kind}-${safeName(model)}.json`;
  }
}
