import type { ApiSettings } from './call.js';
import { openJournal } from './journal.js';
import { finalCredits, statusAt, type Task } from './tasks.js';
import type { Ledger, LedgerChat, LedgerFile, LedgerKey, LedgerTask } from './types.js';

/** The answer to a paid call, kept for repeated calls with its idempotency key. */
export interface StoredReply {
  /** Digest of the request's bytes. */
  readonly digest: string;
  readonly status: number;
  readonly body: string;
  /** Null where a refusal or a server error was stored. */
  readonly taskId: string | null;
  readonly at: number;
}

type Posts = { readonly posts: number; readonly faulted: number; readonly bodies: readonly string[] };

export type State = ReturnType<typeof openState>;

/** Settings; and tasks, chats, files, stored replies, credits and counts, in memory and, if asked for, in a file. */
export function openState(settings: ApiSettings, creditsAtStart: number, file: string | undefined) {
  const journal = openJournal(file);
  const tasks = journal.table<Task>('tasks');
  /** By idempotency key and its owner. */
  const replies = journal.table<StoredReply>('replies');
  const postsOf = journal.table<Posts>('posts');
  const balances = journal.table<number>('credits');
  const files = journal.table<LedgerFile>('files');
  const chats = journal.table<LedgerChat>('chats');
  /** Uses of faults. */
  const uses = journal.table<number>('uses');
  journal.open();

  /** Counts a POST that arrived, whatever becomes of it. */
  function countPost(key: string, body: string, faulted: boolean): void {
    const before = postsOf.get(key) ?? { posts: 0, faulted: 0, bodies: [] };
    const bodies = before.bodies.includes(body) ? before.bodies : [...before.bodies, body];
    postsOf.set(key, { posts: before.posts + 1, faulted: before.faulted + Number(faulted), bodies });
  }

  /** Counts a GET of a task that arrived, whatever becomes of it. */
  function countCheck(task: Task, now: number): void {
    task.checks.push(now);
    tasks.set(task.id, task);
  }

  function endTasks(prompt: string, now: number): void {
    for (const task of tasks.values()) {
      const hasEnded = task.endsAt !== null && task.endsAt <= now;
      if (hasEnded || !(task.prompt ?? '').includes(prompt)) continue;
      tasks.set(task.id, { ...task, startsAt: Math.min(task.startsAt, now), endsAt: now });
    }
  }

  /** Counts the use of a fault and returns how often it was used before. */
  function countUse(fault: string): number {
    const used = uses.get(fault) ?? 0;
    uses.set(fault, used + 1);
    return used;
  }

  function forgetUses(): void {
    uses.clear();
    journal.rewrite();
  }

  /** Balance of an account, after the refunds that are due. */
  function credits(account: string, now: number): number {
    const balance = (of: string): number => balances.get(of) ?? creditsAtStart;
    for (const task of tasks.values()) {
      if (!task.charged || task.refunded || statusAt(task, now) !== 'failed') continue;
      balances.set(task.account, balance(task.account) + task.reserved);
      task.refunded = true;
      tasks.set(task.id, task);
    }
    return balance(account);
  }

  function setCredits(account: string, balance: number, now: number): void {
    credits(account, now); // Refunds that are due belong to the old balance.
    balances.set(account, balance);
  }

  function ledger(now: number): Ledger {
    const known = new Set([...settings.keys.map(({ account }) => account), ...balances.keys()]);
    const creditsOf = Object.fromEntries([...known].map((account) => [account, credits(account, now)]));
    const all = [...tasks.values()];
    const tasksById = all.map((task): [string, LedgerTask] => {
      const { id, account, model, prompt, key, reserved, checks } = task;
      const [status, final] = [statusAt(task, now), finalCredits(task, now)];
      return [id, { status, account, model, prompt, key, reserved, final, checks: [...checks] }];
    });
    const paid = all.filter((task) => task.charged);
    const paidBy = new Map<string | null, (Task | LedgerChat)[]>();
    for (const each of [...paid, ...chats.values()]) {
      const sameKey = paidBy.get(each.key) ?? [];
      sameKey.push(each);
      paidBy.set(each.key, sameKey);
    }
    const keys = [...postsOf].map(([key, posts]): [string, LedgerKey] => {
      const own = paidBy.get(key) ?? [];
      const charged = own.reduce((sum, { reserved }) => sum + reserved, 0);
      return [key, { tasks: own.map(({ id }) => id), ...posts, charged }];
    });
    return {
      paidTasks: paid.length,
      chats: Object.fromEntries(chats),
      keys: Object.fromEntries(keys),
      withoutKey: paid.filter((task) => task.key === null).map((task) => task.id),
      tasks: Object.fromEntries(tasksById),
      files: Object.fromEntries(files),
      credits: creditsOf,
    };
  }

  const tables = { tasks, chats, files, replies };
  const counts = { countPost, countCheck, countUse, forgetUses };
  return { settings, journal, ...tables, ...counts, endTasks, credits, setCredits, ledger };
}
