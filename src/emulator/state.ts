import { createHash } from 'node:crypto';
import { Journal, type Put } from './journal.js';
import { finalCredits, statusAt, type Task } from './tasks.js';
import type { Ledger, LedgerChat, LedgerFile, LedgerKey, LedgerTask } from './types.js';

/** A message that was answered, and paid for. */
export interface ChatRecord extends LedgerChat {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A file that was uploaded. Its bytes are kept in memory alone. */
export interface UploadedFile extends LedgerFile {
  readonly id: string;
  readonly mimeType: string;
  /** For video and audio. */
  readonly durationToken: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The answer that an idempotency key was given, kept for its replays. */
export interface StoredReply {
  /** Digest of the request's bytes. */
  readonly digest: string;
  /** Digest of the API key, which itself is not written to the state file. */
  readonly apiKey: string;
  readonly account: string;
  readonly status: number;
  readonly body: string;
  /** Null where a refusal or a server error was stored. */
  readonly taskId: string | null;
  readonly at: number;
}

interface Posts {
  posts: number;
  faulted: number;
  readonly bodies: string[];
}

/** Tasks, stored replies, credits and what arrived, in memory and, if asked for, in a file. */
export class State {
  readonly #tasks = new Map<string, Task>();
  /** By idempotency key; one entry for each API key or account that used it. */
  readonly #replies = new Map<string, readonly StoredReply[]>();
  readonly #posts = new Map<string, Posts>();
  readonly #credits = new Map<string, number>();
  readonly #files = new Map<string, UploadedFile>();
  readonly #chats = new Map<string, ChatRecord>();
  readonly #uses = new Map<string, number>();
  readonly #tables: Readonly<Record<string, Map<string, unknown>>> = {
    tasks: this.#tasks,
    replies: this.#replies,
    posts: this.#posts,
    credits: this.#credits,
    files: this.#files,
    chats: this.#chats,
    uses: this.#uses,
  };
  /** Tasks that will fail and are not refunded yet. */
  readonly #toRefund = new Set<Task>();
  readonly #journal: Journal | null;
  readonly #creditsAtStart: number;

  constructor(creditsAtStart: number, file: string | undefined) {
    this.#creditsAtStart = creditsAtStart;
    this.#journal = file === undefined ? null : new Journal(file);
    for (const [table, key, value] of this.#journal?.read() ?? []) this.#tables[table]?.set(key, value);
    for (const task of this.#tasks.values()) this.#expectRefund(task);
    this.#compact();
  }

  /** Writes what has changed; to be called before the reply that tells of it leaves. */
  save(): void {
    this.#journal?.save();
  }

  close(): void {
    this.#journal?.close();
  }

  #compact(): void {
    const puts = Object.entries(this.#tables).flatMap(([table, rows]) =>
      [...rows].map(([key, value]): Put => [table, key, value]),
    );
    this.#journal?.rewrite(puts);
  }

  clear(): void {
    for (const table of Object.values(this.#tables)) table.clear();
    this.#toRefund.clear();
    this.#compact();
  }

  task(id: string): Task | undefined {
    return this.#tasks.get(id);
  }

  addTask(task: Task): void {
    this.#tasks.set(task.id, task);
    this.#journal?.put('tasks', task.id, task);
    this.#expectRefund(task);
  }

  #expectRefund(task: Task): void {
    if (task.charged && task.outcome === 'failed' && !task.refunded) this.#toRefund.add(task);
  }

  file(id: string): UploadedFile | undefined {
    return this.#files.get(id);
  }

  files(): readonly UploadedFile[] {
    return [...this.#files.values()];
  }

  addFile(file: UploadedFile): void {
    this.#files.set(file.id, file);
    this.#journal?.put('files', file.id, file);
  }

  chats(): readonly ChatRecord[] {
    return [...this.#chats.values()];
  }

  addChat(chat: ChatRecord): void {
    this.#chats.set(chat.id, chat);
    this.#journal?.put('chats', chat.id, chat);
  }

  replies(key: string): readonly StoredReply[] {
    return this.#replies.get(key) ?? [];
  }

  setReplies(key: string, replies: readonly StoredReply[]): void {
    this.#replies.set(key, replies);
    this.#journal?.put('replies', key, replies);
  }

  /** Counts a POST that arrived, whatever becomes of it. */
  countPost(key: string, body: string, faulted: boolean): void {
    const posts = this.#posts.get(key) ?? { posts: 0, faulted: 0, bodies: [] };
    posts.posts += 1;
    if (faulted) posts.faulted += 1;
    if (!posts.bodies.includes(body)) posts.bodies.push(body);
    this.#posts.set(key, posts);
    this.#journal?.put('posts', key, posts);
  }

  /** Counts a GET of a task that arrived, whatever becomes of it. */
  countCheck(task: Task, now: number): void {
    task.checks.push(now);
    this.#journal?.put('tasks', task.id, task);
  }

  /** Counts the use of a fault and returns how often it was used before. */
  countUse(fault: string): number {
    const used = this.#uses.get(fault) ?? 0;
    this.#uses.set(fault, used + 1);
    this.#journal?.put('uses', fault, used + 1);
    return used;
  }

  forgetUses(): void {
    this.#uses.clear();
    this.#compact();
  }

  /** Balance of an account, after the refunds that are due. */
  credits(account: string, now: number): number {
    for (const task of this.#toRefund) {
      if (statusAt(task, now) !== 'failed') continue;
      this.#toRefund.delete(task);
      task.refunded = true;
      this.#journal?.put('tasks', task.id, task);
      this.#setBalance(task.account, this.#balance(task.account) + task.reserved);
    }
    return this.#balance(account);
  }

  #balance(account: string): number {
    return this.#credits.get(account) ?? this.#creditsAtStart;
  }

  #setBalance(account: string, credits: number): void {
    this.#credits.set(account, credits);
    this.#journal?.put('credits', account, credits);
  }

  setCredits(account: string, credits: number, now: number): void {
    this.credits(account, now); // Refunds that are due belong to the old balance.
    this.#setBalance(account, credits);
  }

  ledger(accounts: readonly string[], now: number): Ledger {
    const tasks: Record<string, LedgerTask> = {};
    const paid = [...this.#tasks.values()].filter((task) => task.charged);
    for (const task of this.#tasks.values()) {
      const { account, model, prompt, key, reserved, checks } = task;
      const shown = { status: statusAt(task, now), account, model, prompt, key, reserved };
      tasks[task.id] = { ...shown, final: finalCredits(task, now), checks: [...checks] };
    }
    const paidBy = new Map<string | null, (Task | ChatRecord)[]>();
    for (const task of [...paid, ...this.chats()]) paidBy.set(task.key, [...(paidBy.get(task.key) ?? []), task]);
    const keys = [...this.#posts].map(([key, { posts, faulted, bodies }]): [string, LedgerKey] => {
      const own = paidBy.get(key) ?? [];
      const charged = own.reduce((sum, task) => sum + task.reserved, 0);
      return [key, { tasks: own.map((task) => task.id), posts, faulted, bodies: [...bodies], charged }];
    });
    const files = this.files().map(({ id, account, kind, name, bytes, sha256: digest }): [string, LedgerFile] => [
      id,
      { account, kind, name, bytes, sha256: digest },
    ]);
    const chats = this.chats().map(({ id, createdAt: _, ...chat }): [string, LedgerChat] => [id, chat]);
    const known = new Set([...accounts, ...this.#credits.keys()]);
    return {
      paidTasks: paid.length,
      chats: Object.fromEntries(chats),
      keys: Object.fromEntries(keys),
      withoutKey: paid.filter((task) => task.key === null).map((task) => task.id),
      tasks,
      files: Object.fromEntries(files),
      credits: Object.fromEntries([...known].map((account) => [account, this.credits(account, now)])),
    };
  }
}
