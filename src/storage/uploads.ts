/**
 * The uploads of one API in a store, by account and content: the same file is uploaded once, so a generation that starts
 * anew sends the same body. They hold the URL that the API gave, and no API key.
 */
import { z } from 'zod';
import type { UploadInput, UploadResult } from '../contract/index.js';
import { safeName } from './names.js';
import type { Store } from './store.js';
import { jsonText, parseJson, timely, type Texts } from './texts.js';

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

type UploadFacts = Omit<UploadResult, 'remembered'>;
/** The API checks a file against a model, so an upload for one model says nothing about another. */
type Purpose = Pick<UploadInput, 'kind' | 'model'>;

export class Uploads {
  readonly #texts: Texts;
  readonly #root: string;

  /** @param baseUrl - Of the API, so that uploads to the emulator are never taken for real ones. */
  constructor(store: Store, baseUrl: string) {
    this.#texts = timely(store);
    // Names of results never start with a dot, so no result can take this one.
    this.#root = `.rivya/uploads/${safeName(new URL(baseUrl).host)}`;
  }

  /** Null also for a note that cannot be read: the file is uploaded again, which costs nothing. */
  async findUpload(fingerprint: string, sha256: string, purpose: Purpose): Promise<UploadFacts | null> {
    const text = await this.#texts.read(this.#noteFile(fingerprint, sha256, purpose));
    return text === null ? null : parseJson(Upload, text);
  }

  async noteUpload(upload: UploadFacts, purpose: Purpose): Promise<void> {
    const facts = { ...Upload.parse({ version: VERSION, ...upload }), at: new Date().toISOString() };
    await this.#texts.write(this.#noteFile(upload.fingerprint, upload.sha256, purpose), jsonText(facts));
  }

  #noteFile(fingerprint: string, sha256: string, { kind, model }: Purpose): string {
    return `${this.#root}/${safeName(fingerprint)}/${sha256}-${kind}-${safeName(model)}.json`;
  }
}
