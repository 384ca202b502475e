/**
 * The receipts of one API in a store. They outlive the histories of Temporal and what the API remembers of a key. The
 * Activities write them around each POST. They hold no prompt, no message of a chat and no API key.
 */
import { z } from 'zod';
import type { ChatAnswer, TaskSnapshot } from '../contract/index.js';
import { Head, KeyFolders, readReceipt, VERSION, type AnswerReceipt, type ReceiptHead } from './key-folders.js';
import { safeName } from './names.js';
import type { Store } from './store.js';
import { jsonText, timely, type Texts } from './texts.js';

const numberOrNull = z.number().nullable();
const textOrNull = z.string().nullable();
const Task = Head.extend({
  taskId: z.string(),
  status: z.string(),
  reservedCredits: numberOrNull,
  finalCredits: numberOrNull,
  createdAt: textOrNull,
  simulated: z.boolean(),
});
/** The generation that a task belongs to: a file for each task ID. */
const Owner = Head.pick({ version: true, baseKey: true, namespace: true, workflowId: true });

/** A task that was created under a key. */
export type TaskReceipt = Readonly<Omit<z.infer<typeof Task>, 'version'>>;

/** The receipts of generations. */
export class Receipts extends KeyFolders<TaskReceipt> {
  readonly chats: ChatReceipts;
  readonly #owners: string;

  /** @param baseUrl - Of the API, so that tasks of the emulator are never taken for real ones. */
  constructor(store: Store, baseUrl: string) {
    const texts = timely(store);
    const api = safeName(new URL(baseUrl).host);
    // Names of results never start with a dot, so no result can take these.
    super(texts, `.rivya/receipts/${api}`, 'task-', Task);
    this.chats = new ChatReceipts(texts, `.rivya/chats/${api}`);
    this.#owners = `.rivya/tasks/${api}`;
  }

  /**
   * Notes a task that was created under this head.
   * @param known - The receipt that the task has. Left out for a new task, whose owner is noted too.
   */
  async noteTask(head: ReceiptHead, task: TaskSnapshot, known?: TaskReceipt): Promise<void> {
    const { taskId, status, simulated } = task;
    await this.noteReceipt(taskId, {
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
    await this.texts.write(this.#ownerFile(taskId), jsonText(Owner.parse({ version: VERSION, ...head })));
  }

  /** Notes how a task ended, where the task has a receipt or the last submit has this key number. */
  async noteEnd(baseKey: string, keyNumber: number, task: TaskSnapshot): Promise<void> {
    const { submit, answers } = await this.find(baseKey);
    const known = answers.find(({ taskId }) => taskId === task.taskId);
    const head = known ?? (submit?.keyNumber === keyNumber ? submit : null);
    if (head !== null) await this.noteTask(head, task, known);
  }

  /** The generation that a task belongs to; null where no receipt names one. */
  async ownerOf(taskId: string): Promise<Pick<ReceiptHead, 'baseKey' | 'namespace' | 'workflowId'> | null> {
    return readReceipt(this.texts, this.#ownerFile(taskId), Owner);
  }

  #ownerFile(taskId: string): string {
    return `${this.#owners}/${safeName(taskId)}.json`;
  }
}

const Chat = Head.extend({
  answer: z.object({
    id: textOrNull,
    sessionId: textOrNull,
    messageId: textOrNull,
    content: z.string(),
    truncated: z.boolean(),
    model: textOrNull,
    usage: z.object({ inputTokens: numberOrNull, outputTokens: numberOrNull, totalTokens: numberOrNull }),
    reservedCredits: numberOrNull,
    finalCredits: numberOrNull,
    createdAt: textOrNull,
    simulated: z.boolean(),
  }),
});

/** A paid answer of a chat, whole: where the API has forgotten the key, asking again would pay again. */
export interface ChatReceipt extends AnswerReceipt {
  readonly answer: ChatAnswer;
}

export class ChatReceipts extends KeyFolders<ChatReceipt> {
  constructor(texts: Texts, root: string) {
    super(texts, root, 'answer-', Chat);
  }

  async noteAnswer(head: ReceiptHead, answer: ChatAnswer): Promise<void> {
    const { id, messageId, createdAt, content } = answer;
    // The API promises no ID; the content, too, tells two answers apart.
    const name = id ?? messageId ?? `${createdAt ?? 'answer'} ${content}`;
    await this.noteReceipt(name, { ...head, answer, at: new Date().toISOString() });
  }
}
