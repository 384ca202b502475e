import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { finalCredits, statusAt, type Task } from './tasks.js';
import type { Ledger, LedgerKey, LedgerTask } from './types.js';

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
  readonly bodies: string[];
}

interface StateFile {
  readonly version: 1;
  readonly tasks: readonly Task[];
  readonly replies: readonly (readonly [string, StoredReply[]])[];
  readonly posts: readonly (readonly [string, Posts])[];
  readonly credits: readonly (readonly [string, number])[];
}

/** Tasks, stored replies and credits, in memory and, if asked for, in a file. */
export class State {
  readonly tasks = new Map<string, Task>();
  /** By idempotency key; one entry for each API key or account that used it. */
  readonly replies = new Map<string, StoredReply[]>();
  readonly #posts = new Map<string, Posts>();
  readonly #credits = new Map<string, number>();
  /** Tasks that will fail and are not refunded yet. */
  readonly #toRefund = new Set<Task>();
  readonly #file: string | undefined;
  readonly #creditsAtStart: number;

  constructor(creditsAtStart: number, file: string | undefined) {
    this.#creditsAtStart = creditsAtStart;
    this.#file = file;
    if (file !== undefined && existsSync(file)) this.#load(file);
  }

  #load(file: string): void {
    let kept: StateFile;
    try {
      kept = JSON.parse(readFileSync(file, 'utf8')) as StateFile;
      if (kept.version !== 1) throw new Error('its version is not 1');
      for (const task of kept.tasks) this.addTask(task);
      for (const [key, replies] of kept.replies) this.replies.set(key, replies);
      for (const [key, posts] of kept.posts) this.#posts.set(key, posts);
      for (const [account, credits] of kept.credits) this.#credits.set(account, credits);
    } catch (cause) {
      // Starting empty would forget idempotency keys and so make tasks twice.
      throw new Error(`The emulator's state file ${file} cannot be read; delete it to start anew.`, { cause });
    }
  }

  /** Writes the file whole or not at all: a reader, or a start after a kill, never meets half of it. */
  save(): void {
    if (this.#file === undefined) return;
    const kept: StateFile = {
      version: 1,
      tasks: [...this.tasks.values()],
      replies: [...this.replies],
      posts: [...this.#posts],
      credits: [...this.#credits],
    };
    const temporary = `${this.#file}.tmp`;
    writeFileSync(temporary, JSON.stringify(kept));
    renameSync(temporary, this.#file);
  }

  clear(): void {
    for (const part of [this.tasks, this.replies, this.#posts, this.#credits, this.#toRefund]) part.clear();
  }

  addTask(task: Task): void {
    this.tasks.set(task.id, task);
    if (task.charged && task.outcome === 'failed' && !task.refunded) this.#toRefund.add(task);
  }

  /** Counts a POST that arrived, whatever becomes of it. */
  countPost(key: string, body: string): void {
    const posts = this.#posts.get(key) ?? { posts: 0, bodies: [] };
    posts.posts += 1;
    if (!posts.bodies.includes(body)) posts.bodies.push(body);
    this.#posts.set(key, posts);
  }

  /** Balance of an account, after the refunds that are due. */
  credits(account: string, now: number): number {
    for (const task of this.#toRefund) {
      if (statusAt(task, now) !== 'failed') continue;
      this.#toRefund.delete(task);
      task.refunded = true;
      this.#credits.set(task.account, this.#balance(task.account) + task.reserved);
    }
    return this.#balance(account);
  }

  #balance(account: string): number {
    return this.#credits.get(account) ?? this.#creditsAtStart;
  }

  setCredits(account: string, credits: number, now: number): void {
    this.credits(account, now); // Refunds that are due belong to the old balance.
    this.#credits.set(account, credits);
  }

  ledger(accounts: readonly string[], now: number): Ledger {
    const tasks: Record<string, LedgerTask> = {};
    const paid = [...this.tasks.values()].filter((task) => task.charged);
    for (const task of this.tasks.values()) {
      const { account, model, prompt, key, reserved, checks } = task;
      const shown = { status: statusAt(task, now), account, model, prompt, key, reserved };
      tasks[task.id] = { ...shown, final: finalCredits(task, now), checks: [...checks] };
    }
    const keys = [...this.#posts].map(([key, { posts, bodies }]): [string, LedgerKey] => {
      const own = paid.filter((task) => task.key === key);
      const charged = own.reduce((sum, task) => sum + task.reserved, 0);
      return [key, { tasks: own.map((task) => task.id), posts, bodies: [...bodies], charged }];
    });
    const known = new Set([...accounts, ...this.#credits.keys()]);
    return {
      paidTasks: paid.length,
      keys: Object.fromEntries(keys),
      withoutKey: paid.filter((task) => task.key === null).map((task) => task.id),
      tasks,
      credits: Object.fromEntries([...known].map((account) => [account, this.credits(account, now)])),
    };
  }
}
