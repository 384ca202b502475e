import { z } from 'zod';
import { safeName } from './names.js';
import { StoreUnavailable } from './store.js';
import type { Texts } from './timely.js';

const SUBMIT = 'submit.json';
export const VERSION = 1;
// What a Date can hold.
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
  /** ISO 8601, on the Worker's clock: of the submit, or when the API first answered. */
  at: z.string(),
});
const Submit = Head.extend({
  /** A POST whose answer is not known, or null. */
  unanswered: z
    .object({
      firstPostedAt: time,
      lastPostedAt: time.exactOptional(),
      fingerprint: z.string(),
      errorRequestId: z.string().exactOptional(),
    })
    .nullable(),
  /** Why a person had it posted again although it might have been paid, or null. */
  riskReason: z.string().nullable(),
});

/** What was paid for under a key. */
export type AnswerReceipt = Readonly<Omit<z.infer<typeof Head>, 'version'>>;

/** What every receipt says about the paid call that it belongs to. */
export type ReceiptHead = Omit<AnswerReceipt, 'at'>;

/** Where the submit of a generation stands: written before each POST, and after a refusal. */
export type SubmitReceipt = Readonly<Omit<z.infer<typeof Submit>, 'version'>>;

/** All receipts of one generation. */
export interface KeyFolder<Receipt> {
  /** The last submit. */
  readonly submit: SubmitReceipt | null;
  /** Oldest first. More than one under a key: paid more than once. */
  readonly answers: readonly Receipt[];
}

/** A file that stands for a receipt and is none. */
export class BrokenReceipt extends StoreUnavailable {}

/** The receipts of one kind of paid call, a folder for each generation by its base key: what was sent and what came of it. */
export class KeyFolders<Receipt extends AnswerReceipt> {
  readonly #store: Texts;
  readonly #root: string;
  readonly #prefix: string;
  readonly #schema: z.ZodType<Receipt>;

  /** @param prefix - How the names of answers begin. */
  constructor(store: Texts, root: string, prefix: string, schema: z.ZodType<Receipt>) {
    this.#store = store;
    this.#root = root;
    this.#prefix = prefix;
    this.#schema = schema;
  }

  /** @throws StoreUnavailable where the store cannot be read, BrokenReceipt where a receipt in it is none. */
  async find(baseKey: string): Promise<KeyFolder<Receipt>> {
    return this.#read(this.#folder(baseKey));
  }

  /** Every generation at this API, and what is broken in its folder. */
  async *all(): AsyncGenerator<KeyFolder<Receipt> & { readonly broken: readonly BrokenReceipt[] }> {
    for (const folder of await this.#store.list(this.#root)) {
      // What a file manager leaves behind.
      if (folder.startsWith('.')) continue;
      const broken: BrokenReceipt[] = [];
      yield { ...(await this.#read(`${this.#root}/${folder}`, broken)), broken };
    }
  }

  /** Notes where the submit of a key stands. */
  async noteSubmit(head: ReceiptHead, standing: Pick<SubmitReceipt, 'unanswered' | 'riskReason'>): Promise<void> {
    await this.#write(Submit, SUBMIT, { ...head, ...standing, at: new Date().toISOString() });
  }

  /** @param id - Tells the answers under one key apart. */
  async note(id: string, receipt: Receipt): Promise<void> {
    await this.#write(this.#schema, `${this.#prefix}${safeName(id)}.json`, receipt);
  }

  #folder(baseKey: string): string {
    return `${this.#root}/${safeName(baseKey)}`;
  }

  /** Only what the schema names is written: a head may be a larger object. */
  async #write(schema: z.ZodType, name: string, receipt: SubmitReceipt | AnswerReceipt): Promise<void> {
    const text = JSON.stringify(schema.parse({ version: VERSION, ...receipt }), null, 2);
    await this.#store.write(`${this.#folder(receipt.baseKey)}/${name}`, `${text}\n`);
  }

  /** @param broken - Takes what is broken; without it, that is thrown. */
  async #read(folder: string, broken?: BrokenReceipt[]): Promise<KeyFolder<Receipt>> {
    let submit: SubmitReceipt | null = null;
    const answers: Receipt[] = [];
    for (const name of await this.#store.list(folder)) {
      const file = `${folder}/${name}`;
      try {
        if (name === SUBMIT) submit = await readReceipt(this.#store, file, Submit);
        else if (name.startsWith(this.#prefix)) {
          const answer = await readReceipt(this.#store, file, this.#schema);
          if (answer !== null) answers.push(answer);
        }
      } catch (error) {
        if (broken === undefined || !(error instanceof BrokenReceipt)) throw error;
        broken.push(error);
      }
    }
    // What was paid for is the answer.
    const number = submit?.keyNumber;
    if (submit !== null && answers.some(({ keyNumber }) => keyNumber === number))
      submit = { ...submit, unanswered: null };
    return { submit, answers: answers.toSorted((a, b) => a.at.localeCompare(b.at)) };
  }
}

/** @throws BrokenReceipt where the file is no such receipt. */
export async function readReceipt<T>(store: Texts, file: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await store.read(file);
  if (text === null) return null;
  const receipt = parsed(schema, text);
  if (receipt !== null) return receipt;
  // Passing it over could pay for what it knows.
  throw new BrokenReceipt(
    `The receipt ${file} in ${store.address} cannot be read. Mend it or take it away; until then nothing is submitted under its key.`,
  );
}

/** What a text says, or null where it is no JSON that the schema takes. */
export function parsed<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
