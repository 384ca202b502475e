import { z } from 'zod';
import type { TaskSnapshot } from '../contract/index.js';
import { ChatReceipts } from './chat-receipts.js';
import {
  Head,
  KeyFolders,
  readReceipt,
  VERSION,
  type BrokenReceipt,
  type KeyFolder,
  type ReceiptHead,
  type SubmitReceipt,
} from './key-folders.js';
import { safeName } from './names.js';
import type { Store } from './store.js';
import { timely, type Texts } from './timely.js';

// No result can take this name: names of results never start with a dot.
const ROOT = '.rivya/receipts';
// Which key a task belongs to, by its ID.
const OWNERS = '.rivya/tasks';

/** All that the store knows of one generation. */
export interface KeyReceipts {
  readonly submit: SubmitReceipt | null;
  /** Oldest first. More than one under a key: paid more than once. */
  readonly tasks: readonly TaskReceipt[];
}

const Owner = Head.pick({ version: true, baseKey: true, namespace: true, workflowId: true });
const Task = Head.extend({
  taskId: z.string(),
  status: z.string(),
  reservedCredits: z.number().nullable(),
  finalCredits: z.number().nullable(),
  createdAt: z.string().nullable(),
  simulated: z.boolean(),
});

/** A task that was created under a key. */
export type TaskReceipt = Readonly<Omit<z.infer<typeof Task>, 'version'>>;

/**
 * The receipts of one API in a store: what was submitted and which tasks came of it. They outlive the histories of
 * Temporal and what the API remembers of a key. They hold no prompt and no API key.
 */
export class Receipts {
  /** Those of chats, which hold the answers. */
  readonly chats: ChatReceipts;
  readonly #store: Texts;
  readonly #folders: KeyFolders<TaskReceipt>;
  readonly #owners: string;

  /** @param baseUrl - Of the API, so that tasks of the emulator are never taken for real ones. */
  constructor(store: Store, baseUrl: string) {
    this.#store = timely(store);
    const api = safeName(new URL(baseUrl).host);
    this.chats = new ChatReceipts(this.#store, api);
    this.#folders = new KeyFolders(this.#store, `${ROOT}/${api}`, 'task-', Task);
    this.#owners = `${OWNERS}/${api}`;
  }

  /** @throws StoreUnavailable where the store cannot be read, BrokenReceipt where a receipt in it is none. */
  async find(baseKey: string): Promise<KeyReceipts> {
    return ofTasks(await this.#folders.find(baseKey));
  }

  /** Every generation at this API, and what is broken in its folder. */
  async *all(): AsyncGenerator<KeyReceipts & { readonly broken: readonly BrokenReceipt[] }> {
    for await (const { broken, ...folder } of this.#folders.all()) yield { ...ofTasks(folder), broken };
  }

  /** Notes where the submit of a key stands. */
  async noteSubmit(head: ReceiptHead, standing: Pick<SubmitReceipt, 'unanswered' | 'riskReason'>): Promise<void> {
    await this.#folders.noteSubmit(head, standing);
  }

  /**
   * Notes a task that was created under this head.
   * @param known - Its receipt so far. Without one, what is there is not looked at: the first answer is all that is known.
   */
  async noteTask(head: ReceiptHead, task: TaskSnapshot, known?: TaskReceipt): Promise<void> {
    const { taskId, status, simulated } = task;
    await this.#folders.note(taskId, {
      ...head,
      taskId,
      status,
      reservedCredits: task.reservedCredits ?? known?.reservedCredits ?? null,
      finalCredits: task.finalCredits ?? known?.finalCredits ?? null,
      createdAt: task.createdAt ?? known?.createdAt ?? null,
      simulated,
      at: known?.at ?? new Date().toISOString(),
    });
    if (known !== undefined) return;
    const owner = Owner.parse({ version: VERSION, ...head });
    await this.#store.write(this.#ownerFile(taskId), `${JSON.stringify(owner)}\n`);
  }

  /** Notes what became of a task, where its own receipt or the submit under this key number is known. */
  async noteEnd(baseKey: string, keyNumber: number, task: TaskSnapshot): Promise<void> {
    const { submit, tasks } = await this.find(baseKey);
    const known = tasks.find(({ taskId }) => taskId === task.taskId);
    const head = known ?? (submit?.keyNumber === keyNumber ? submit : null);
    if (head !== null) await this.noteTask(head, task, known);
  }

  /** The generation that a task belongs to, or null. */
  async ownerOf(taskId: string): Promise<Pick<ReceiptHead, 'baseKey' | 'namespace' | 'workflowId'> | null> {
    return readReceipt(this.#store, this.#ownerFile(taskId), Owner);
  }

  #ownerFile(taskId: string): string {
    return `${this.#owners}/${safeName(taskId)}.json`;
  }
}

function ofTasks({ submit, answers }: KeyFolder<TaskReceipt>): KeyReceipts {
  return { submit, tasks: answers };
}
