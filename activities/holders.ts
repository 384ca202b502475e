import { AsyncResource } from 'node:async_hooks';
import type { Client } from '@temporalio/client';
import { earlierIn, MEMO_FIELD, taskIn, WORKFLOW_TYPE, type GenerationMemo } from '../src/contract/index.js';
import { decode, rawRuns, readRun } from './history.js';
import { READABLE_EVENTS, refusalOfService } from './recall.js';

/** A generation that has a task, as far as its memo or its history tells. */
export interface Holder {
  readonly workflowId: string;
  /** First key of the attempt that made it; null where an earlier version did not note it. */
  readonly firstKey: string | null;
}
type Task = Pick<Holder, 'firstKey'> & { readonly taskId: string };
/** A run of a generation. */
interface Run {
  readonly workflowId: string;
  readonly runId: string;
  readonly open: boolean;
  /** It did not see its end coming. */
  readonly cutOff: boolean;
  readonly events: number;
  readonly memo: Partial<GenerationMemo>;
}
/** By task ID. */
export type Holders = ReadonlyMap<string, readonly Holder[]>;

// Memos cannot be searched, so they are read: a thousand in about a second where the Service is not busy.
const RUNS = 10_000;
// Far more than people resume within the three minutes of a claim; each is a line of text.
const ASKERS = 10_000;
// Of `WorkflowExecutionStatus`, as a list gives it.
const CUT_OFF_CODES = new Set<unknown>([5 /* TERMINATED */, 7 /* TIMED_OUT */]);
// Histories that are read in one look, newest first: 300 in two seconds, on a busy machine with two cores.
const HISTORIES = 2_000;
// So many at once.
const LANES = 10;
// gRPC: deleted since it was listed; a key that may list but not read.
const CANNOT_READ = new Set([5 /* NOT_FOUND */, 7 /* PERMISSION_DENIED */]);
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
  /** Tasks by run ID. A closed run does not change any more. */
  readonly #histories = new Map<string, readonly Task[]>();

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
    const look = { asked: this.#asked, holders: detached.runInAsyncScope(() => this.#read()) };
    this.#last = look;
    this.#next = null;
    // One that failed is no answer to anybody else.
    look.holders.catch(() => {
      if (this.#last === look) this.#last = null;
    });
    return look.holders;
  }

  async #read(): Promise<Holders> {
    const holders = new Map<string, Holder[]>();
    const add = ({ workflowId }: Run, tasks: readonly Task[]): void => {
      for (const { taskId, firstKey } of tasks) {
        holders.set(taskId, [...(holders.get(taskId) ?? []), { workflowId, firstKey }]);
      }
    };
    const untold: Run[] = [];
    let seen = 0;
    for await (const run of generations(this.#client)) {
      add(run, tasksIn(run));
      if (untold.length < HISTORIES && mayTellMore(run)) untold.push(run);
      seen += 1;
      if (seen === RUNS) break;
    }
    const waiting = untold.values();
    const lane = async (): Promise<void> => {
      for (const run of waiting) add(run, await this.#history(run));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return holders;
  }

  async #history(run: Run): Promise<readonly Task[]> {
    const tasks = this.#histories.get(run.runId) ?? (await tasksInHistory(this.#client, run));
    if (this.#histories.size >= RUNS) this.#histories.clear();
    this.#histories.set(run.runId, tasks);
    return tasks;
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

/** The generations of a namespace with their memos; empty where one cannot be read, as with the codec of others. */
async function* generations(client: Client): AsyncGenerator<Run> {
  const { namespace, loadedDataConverter: converter } = client.options;
  for await (const raw of rawRuns(client, `WorkflowType = '${WORKFLOW_TYPE}'`)) {
    const { workflowId = '', runId = '' } = raw.execution ?? {};
    const payload = raw.memo?.fields?.[MEMO_FIELD];
    const context = { type: 'workflow', namespace, workflowId: workflowId ?? '' } as const;
    const read = payload && decode<Partial<GenerationMemo>>({ converter, context }, [payload]).catch(() => null);
    yield {
      workflowId: workflowId ?? '',
      runId: runId ?? '',
      open: raw.closeTime == null,
      cutOff: CUT_OFF_CODES.has(raw.status),
      events: Number(raw.historyLength ?? 0),
      memo: (await read) ?? {},
    };
  }
}

/** What the memo tells. Whoever waits for a task without a key has only been told its ID. */
function tasksIn({ memo, open }: Run): Task[] {
  const { firstKey = null, taskId: named = null } = memo;
  // A run that has ended takes nothing up any more, so what it was only told goes to whoever it belongs to.
  const taskId = open ? named : taskIn(memo);
  const now = taskId === null || firstKey === null ? [] : [{ taskId, firstKey }];
  return [...now, ...earlierIn(memo).map((task) => ({ taskId: task.taskId, firstKey: task.firstKey ?? null }))];
}

/** Whether the history may tell of a task that the memo does not: the Workflow never came to read the answer. */
function mayTellMore({ cutOff, events, memo }: Run): boolean {
  // While one is held, nothing is under way.
  const waits = taskIn(memo) === null && memo.hold == null;
  return cutOff && waits && events <= READABLE_EVENTS;
}

/** What the history tells; nothing where it is gone, or cannot be read here. */
async function tasksInHistory(client: Client, run: Run): Promise<Task[]> {
  try {
    const { submits } = await readRun(client, run);
    return submits.flatMap(({ result, firstKey }) =>
      result?.task === undefined ? [] : [{ taskId: result.task.taskId, firstKey }],
    );
  } catch (error) {
    const refusal = refusalOfService(error);
    // A Service that does not answer may answer the next look.
    if (refusal !== null && !CANNOT_READ.has(refusal.code)) throw error;
    return [];
  }
}
