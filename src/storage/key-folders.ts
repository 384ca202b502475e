/**
 * The receipts of one kind of paid call: a folder for each base key (generation or chat), with `submit.json` and a file for
 * each answer. Recall reads them before the first POST, `charges` and `recover` afterwards. A receipt that cannot be read is
 * an error, never passed over: it may be all that is left of a paid task.
 */
import { z } from 'zod';
import { safeName } from './names.js';
import { BrokenReceipt } from './store.js';
import { jsonText, parseJson, type Texts } from './texts.js';

const SUBMIT = 'submit.json';
export const VERSION = 1;
// The latest time of a Date in milliseconds.
const time = z.number().max(8.64e15).nonnegative();

export const Head = z.object({
  version: z.literal(VERSION),
  idempotencyKey: z.string(),
  keyNumber: z.number(),
  attempt: z.number(),
  baseKey: z.string(),
  namespace: z.string(),
  workflowId: z.string(),
  model: z.string(),
  labels: z.record(z.string(), z.string()),
  /** Digest of the request body. */
  bodyDigest: z.string(),
  /** ISO 8601 by the Worker's clock: the time of the submit, or of the API's first answer. */
  at: z.string(),
});
const Submit = Head.extend({
  /** The unanswered POST of this key, or null. */
  unanswered: z
    .object({
      firstPostedAt: time,
      lastPostedAt: time.exactOptional(),
      fingerprint: z.string(),
      errorRequestId: z.string().exactOptional(),
    })
    .nullable(),
  /** The reason of a person who had a POST sent although a task might exist already, or null. */
  riskReason: z.string().nullable(),
});

/** The part that every receipt of an answer has. */
export type AnswerReceipt = Readonly<Omit<z.infer<typeof Head>, 'version'>>;

/** The paid call that a receipt belongs to. */
export type ReceiptHead = Omit<AnswerReceipt, 'at'>;

/** The state of the last submit of a generation: written before each POST, and after a refusal. */
export type SubmitReceipt = Readonly<Omit<z.infer<typeof Submit>, 'version'>>;

/** All receipts of one generation or chat. */
export interface KeyFolder<Receipt> {
  readonly submit: SubmitReceipt | null;
  /** Oldest first. More than one under a key: paid more than once. */
  readonly answers: readonly Receipt[];
}

/** The receipts of one kind of paid call. */
export class KeyFolders<Receipt extends AnswerReceipt> {
  protected readonly texts: Texts;
  readonly #root: string;
  readonly #prefix: string;
  readonly #schema: z.ZodType<Receipt>;

  /** @param prefix - Beginning of the file names of answers. */
  constructor(texts: Texts, root: string, prefix: string, schema: z.ZodType<Receipt>) {
    this.texts = texts;
    this.#root = root;
    this.#prefix = prefix;
    this.#schema = schema;
  }

  /** @throws StoreUnavailable where the store cannot be read, BrokenReceipt where a receipt in it cannot. */
  async find(baseKey: string): Promise<KeyFolder<Receipt>> {
    return this.#readFolder(this.#folderOf(baseKey));
  }

  /** Every folder at this API, each with its receipts that cannot be read. */
  async *all(): AsyncGenerator<KeyFolder<Receipt> & { readonly broken: readonly BrokenReceipt[] }> {
    for (const folder of await this.texts.list(this.#root)) {
      // File managers leave files such as `.DS_Store`.
      if (folder.startsWith('.')) continue;
      const broken: BrokenReceipt[] = [];
      yield { ...(await this.#readFolder(`${this.#root}/${folder}`, broken)), broken };
    }
  }

  async noteSubmit(head: ReceiptHead, state: Pick<SubmitReceipt, 'unanswered' | 'riskReason'>): Promise<void> {
    await this.#writeReceipt(Submit, SUBMIT, { ...head, ...state, at: new Date().toISOString() });
  }

  /** @param id - Of the answer: the same one again replaces its receipt, another one stands beside it. */
  protected async noteReceipt(id: string, receipt: Receipt): Promise<void> {
    await this.#writeReceipt(this.#schema, `${this.#prefix}${safeName(id)}.json`, receipt);
  }

  #folderOf(baseKey: string): string {
    return `${this.#root}/${safeName(baseKey)}`;
  }

  /** Writes the fields of the schema only: a head may be a larger object. */
  async #writeReceipt(schema: z.ZodType<object>, name: string, receipt: SubmitReceipt | AnswerReceipt): Promise<void> {
    const text = jsonText(schema.parse({ version: VERSION, ...receipt }));
    await this.texts.write(`${this.#folderOf(receipt.baseKey)}/${name}`, text);
  }

  /** @param broken - Collects the receipts that cannot be read; without it, the first of them is thrown. */
  async #readFolder(folder: string, broken?: BrokenReceipt[]): Promise<KeyFolder<Receipt>> {
    let submit: SubmitReceipt | null = null;
    const answers: Receipt[] = [];
    for (const name of await this.texts.list(folder)) {
      const file = `${folder}/${name}`;
      try {
        if (name === SUBMIT) submit = await readReceipt(this.texts, file, Submit);
        const answer = name.startsWith(this.#prefix) ? await readReceipt(this.texts, file, this.#schema) : null;
        if (answer !== null) answers.push(answer);
      } catch (error) {
        if (broken === undefined || !(error instanceof BrokenReceipt)) throw error;
        broken.push(error);
      }
    }
    // The POST of a key number that has an answer is not unanswered any more.
    const number = submit?.keyNumber;
    const answered = answers.some(({ keyNumber }) => keyNumber === number);
    if (submit !== null && answered) submit = { ...submit, unanswered: null };
    return { submit, answers: answers.toSorted((a, b) => a.at.localeCompare(b.at)) };
  }
}

/** One receipt; null where there is no such file. @throws BrokenReceipt */
export async function readReceipt<T>(texts: Texts, file: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await texts.read(file);
  if (text === null) return null;
  const receipt = parseJson(schema, text);
  if (receipt !== null) return receipt;
  throw new BrokenReceipt(
    `The receipt ${file} in ${texts.address} cannot be read. Mend it or take it away; until then nothing is submitted under its key.`,
  );
}
