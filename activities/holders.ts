import { AsyncResource } from 'node:async_hooks';
import type { Client } from '@temporalio/client';
import { earlierIn, MEMO_FIELD, taskIn, WORKFLOW_TYPE, type GenerationMemo } from '../src/contract/index.js';
import { decode, rawRuns } from './history.js';

/** A generation that has a task, as far as its memo tells. */
export interface Holder {
  readonly workflowId: string;
  /** First key of the attempt that made it; null where an earlier version did not note it. */
  readonly firstKey: string | null;
}
/** By task ID. */
export type Holders = ReadonlyMap<string, readonly Holder[]>;

// Memos cannot be searched, so they are read: a thousand in about a second where the Service is not busy.
const RUNS = 10_000;
// Far more than people resume within the three minutes of a claim; each is a line of text.
const ASKERS = 10_000;
// What is done in it ends neither with the Activity that happened to ask first, nor with a time limit of that one.
const detached = new AsyncResource('rivyaHolders');

/**
 * Looks through the memos of a namespace. Thirty people who resume thirty generations at once would each read all of
 * them, which keeps a Service busy until nobody comes to an end; so one look serves all who asked before it began.
 */
class Looks {
  readonly #client: Client;
  /** How often somebody has asked for the first time: clocks of two machines cannot tell what came first. */
  #asked = 0;
  /** What the count was when they did, oldest first. */
  readonly #askers = new Map<string, number>();
  /** The last one that was begun, and how many had asked by then. */
  #last: { readonly asked: number; readonly holders: Promise<Holders> } | null = null;
  #next: Promise<Holders> | null = null;

  constructor(client: Client) {
    this.#client = client;
  }

  /** What is read after this asker has asked for the first time. */
  for(asker: string): Promise<Holders> {
    const asked = this.#firstAsked(asker);
    if (this.#last !== null && this.#last.asked >= asked) return this.#last.holders;
    this.#next ??= this.#begin();
    return this.#next;
  }

  #firstAsked(asker: string): number {
    const known = this.#askers.get(asker);
    if (known !== undefined) return known;
    const [oldest] = this.#askers.keys();
    // Whoever is forgotten asks as if for the first time, and waits for a later look.
    if (oldest !== undefined && this.#askers.size >= ASKERS) this.#askers.delete(oldest);
    this.#askers.set(asker, ++this.#asked);
    return this.#asked;
  }

  async #begin(): Promise<Holders> {
    await this.#last?.holders.catch(() => undefined);
    const look = { asked: this.#asked, holders: detached.runInAsyncScope(() => readHolders(this.#client)) };
    this.#last = look;
    this.#next = null;
    // One that failed is no answer to anybody else.
    look.holders.catch(() => {
      if (this.#last === look) this.#last = null;
    });
    return look.holders;
  }
}

const looks = new WeakMap<Client, Looks>();

/**
 * Which generations of the client's namespace have which task, read after this asker has asked for the first time. It may
 * take longer than an Activity may: each attempt of it is the same asker, and gets the same answer.
 */
export function holdersFor(client: Client, asker: string): Promise<Holders> {
  const own = looks.get(client) ?? new Looks(client);
  looks.set(client, own);
  return own.for(asker);
}

async function readHolders(client: Client): Promise<Holders> {
  const holders = new Map<string, Holder[]>();
  let seen = 0;
  for await (const { workflowId, open, memo } of generations(client)) {
    for (const { taskId, firstKey } of tasksIn(memo, open)) {
      const others = holders.get(taskId) ?? [];
      holders.set(taskId, [...others, { workflowId, firstKey }]);
    }
    seen += 1;
    if (seen === RUNS) break;
  }
  return holders;
}

/** The generations of a namespace with their memos; null where it cannot be read, as with the codec of others. */
async function* generations(
  client: Client,
): AsyncGenerator<{ workflowId: string; open: boolean; memo: Partial<GenerationMemo> | null }> {
  const { namespace, loadedDataConverter: converter } = client.options;
  for await (const { execution, closeTime, memo } of rawRuns(client, `WorkflowType = '${WORKFLOW_TYPE}'`)) {
    const workflowId = execution?.workflowId ?? '';
    const payload = memo?.fields?.[MEMO_FIELD];
    const context = { type: 'workflow', namespace, workflowId } as const;
    const read = payload && decode<Partial<GenerationMemo>>({ converter, context }, [payload]).catch(() => null);
    yield { workflowId, open: closeTime == null, memo: (await read) ?? null };
  }
}

/** Whoever waits for a task without a key has only been told its ID. */
function tasksIn(memo: Partial<GenerationMemo> | null, open: boolean): { taskId: string; firstKey: string | null }[] {
  const { firstKey = null, taskId: named = null } = memo ?? {};
  // A run that has ended takes nothing up any more, so what it was only told goes to whoever it belongs to.
  const taskId = open ? named : taskIn(memo ?? {});
  const earlier = earlierIn(memo ?? {});
  const now = taskId === null || firstKey === null ? [] : [{ taskId, firstKey }];
  return [...now, ...earlier.map((task) => ({ taskId: task.taskId, firstKey: task.firstKey ?? null }))];
}
