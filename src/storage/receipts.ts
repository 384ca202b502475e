import { z } from 'zod';
import type { Fence, GenerationIdentity, TaskSnapshot } from '../contract/index.js';
import { safeName } from './names.js';
import { StoreUnavailable, type Store } from './store.js';

// No result can take this name: names of results never start with a dot.
const ROOT = '.rivya/receipts';
// Which key a task belongs to, by its ID.
const OWNERS = '.rivya/tasks';
const SUBMIT = 'submit.json';
const VERSION = 1;

/** What every receipt says about the generation that it belongs to. */
export interface ReceiptHead extends GenerationIdentity {
  readonly idempotencyKey: string;
  readonly namespace: string;
  readonly workflowId: string;
  /** Digest of the request body. */
  readonly bodyDigest: string;
}

/** Where the submit of an attempt stands: written before each POST, and after a refusal. */
export interface SubmitReceipt extends ReceiptHead {
  /** A POST whose answer is not known, or null. */
  readonly unanswered: Fence | null;
  /** Why a person had it posted again although a task might exist, or null. */
  readonly riskReason: string | null;
  /** ISO 8601, on the Worker's clock. */
  readonly at: string;
}

/** A task that was created under a key. */
export interface TaskReceipt extends ReceiptHead {
  readonly taskId: string;
  readonly status: string;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  readonly createdAt: string | null;
  readonly simulated: boolean;
  /** ISO 8601, on the Worker's clock: when the API first answered with it. */
  readonly at: string;
}

/** All that the store knows of one attempt. */
export interface KeyReceipts {
  readonly submit: SubmitReceipt | null;
  /** Oldest first. More than one: paid more than once for this attempt. */
  readonly tasks: readonly TaskReceipt[];
}

const Head = z.object({
  version: z.literal(VERSION),
  idempotencyKey: z.string(),
  namespace: z.string(),
  workflowId: z.string(),
  step: z.string().nullable(),
  take: z.number(),
  attempt: z.number(),
  model: z.string(),
  labels: z.record(z.string(), z.string()),
  firstKey: z.string(),
  bodyDigest: z.string(),
  at: z.string(),
});
const ErrorSeen = z.object({ requestId: z.string(), times: z.number() });
const Submit = Head.extend({
  unanswered: z
    .object({
      firstPostedAt: z.number(),
      fingerprint: z.string(),
      idempotencyKey: z.string().exactOptional(),
      error: ErrorSeen.exactOptional(),
    })
    .nullable(),
  riskReason: z.string().nullable(),
});
const Owner = Head.pick({ version: true, firstKey: true, namespace: true, workflowId: true });
const Task = Head.extend({
  taskId: z.string(),
  status: z.string(),
  reservedCredits: z.number().nullable(),
  finalCredits: z.number().nullable(),
  createdAt: z.string().nullable(),
  simulated: z.boolean(),
});

/**
 * The receipts of one API in a store, a folder for each attempt by its first key: what was submitted and which tasks came of it.
 * They outlive the histories of Temporal and what the API remembers of a key. They hold no prompt and no API key.
 */
export class Receipts {
  readonly #store: Store;
  readonly #root: string;
  readonly #owners: string;

  /** @param baseUrl - Of the API, so that tasks of the emulator are never taken for real ones. */
  constructor(store: Store, baseUrl: string) {
    this.#store = store;
    const api = safeName(new URL(baseUrl).host);
    this.#root = `${ROOT}/${api}`;
    this.#owners = `${OWNERS}/${api}`;
  }

  /** @throws StoreUnavailable where the store cannot be read, or a receipt in it is none. */
  async find(firstKey: string): Promise<KeyReceipts> {
    return this.#read(this.#folder(firstKey));
  }

  /** Every attempt at this API. */
  async *all(): AsyncGenerator<KeyReceipts> {
    for (const folder of await this.#store.list(this.#root))
      // What a file manager leaves behind.
      if (!folder.startsWith('.')) yield await this.#read(`${this.#root}/${folder}`);
  }

  /** Notes where the submit of a key stands. */
  async noteSubmit(head: ReceiptHead, standing: Pick<SubmitReceipt, 'unanswered' | 'riskReason'>): Promise<void> {
    const receipt: SubmitReceipt = { ...headOf(head), ...standing, at: new Date().toISOString() };
    await this.#write(head.firstKey, SUBMIT, receipt);
  }

  /** Notes a task. What is known of it already stays where the new answer does not tell. */
  async noteTask(head: ReceiptHead, task: TaskSnapshot): Promise<void> {
    const { tasks } = await this.find(head.firstKey);
    await this.#noteTask(head, task, find(tasks, task));
  }

  /** Notes how a task ended, where there is a receipt under its key for its model: a person may have named a wrong one. */
  async noteEnd(firstKey: string, task: TaskSnapshot): Promise<void> {
    const { submit, tasks } = await this.find(firstKey);
    const known = find(tasks, task);
    const head = known ?? submit;
    if (head === null) return;
    if (known === undefined && task.model !== null && task.model !== head.model) return;
    await this.#noteTask(head, task, known);
  }

  async #noteTask(head: ReceiptHead, task: TaskSnapshot, known: TaskReceipt | undefined): Promise<void> {
    const { taskId, status, createdAt, simulated } = task;
    const receipt: TaskReceipt = {
      ...headOf(head),
      taskId,
      status,
      reservedCredits: task.reservedCredits ?? known?.reservedCredits ?? null,
      finalCredits: task.finalCredits ?? known?.finalCredits ?? null,
      createdAt: createdAt ?? known?.createdAt ?? null,
      simulated,
      at: known?.at ?? new Date().toISOString(),
    };
    await this.#write(head.firstKey, `task-${safeName(taskId)}.json`, receipt);
    if ((await this.ownerOf(taskId)) !== null) return;
    const { firstKey, namespace, workflowId } = head;
    const owner = { version: VERSION, firstKey, namespace, workflowId };
    await this.#store.write(this.#ownerFile(taskId), `${JSON.stringify(owner)}\n`);
  }

  /** The generation that a task belongs to, or null. */
  async ownerOf(taskId: string): Promise<Pick<ReceiptHead, 'firstKey' | 'namespace' | 'workflowId'> | null> {
    return this.#parse(this.#ownerFile(taskId), Owner);
  }

  #ownerFile(taskId: string): string {
    return `${this.#owners}/${safeName(taskId)}.json`;
  }

  #folder(firstKey: string): string {
    return `${this.#root}/${safeName(firstKey)}`;
  }

  async #write(firstKey: string, name: string, receipt: SubmitReceipt | TaskReceipt): Promise<void> {
    const text = JSON.stringify({ version: VERSION, ...receipt }, null, 2);
    await this.#store.write(`${this.#folder(firstKey)}/${name}`, `${text}\n`);
  }

  async #read(folder: string): Promise<KeyReceipts> {
    let submit: SubmitReceipt | null = null;
    const tasks: TaskReceipt[] = [];
    for (const name of await this.#store.list(folder)) {
      const file = `${folder}/${name}`;
      if (name === SUBMIT) submit = await this.#parse(file, Submit);
      else if (name.startsWith('task-')) {
        const task = await this.#parse(file, Task);
        if (task !== null) tasks.push(task);
      }
    }
    // A task is the answer.
    if (submit !== null && tasks.length > 0) submit = { ...submit, unanswered: null };
    return { submit, tasks: tasks.toSorted((a, b) => a.at.localeCompare(b.at)) };
  }

  async #parse<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
    const text = await this.#store.read(file);
    if (text === null) return null;
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      // Passing it over could pay for a task that it knows.
      throw new StoreUnavailable(
        `The receipt ${file} in ${this.#store.address} cannot be read. Mend it or take it away; until then nothing is submitted under its key.`,
      );
    }
  }
}

function find(tasks: readonly TaskReceipt[], { taskId }: TaskSnapshot): TaskReceipt | undefined {
  return tasks.find((receipt) => receipt.taskId === taskId);
}

function headOf(head: ReceiptHead): ReceiptHead {
  const { idempotencyKey, namespace, workflowId, step, take, attempt, model, labels, firstKey, bodyDigest } = head;
  return { idempotencyKey, namespace, workflowId, step, take, attempt, model, labels, firstKey, bodyDigest };
}
