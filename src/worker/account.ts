/**
 * The link of a Worker process to the account: it tells of refusals that all calls share, reads the switchboard, and
 * holds this Worker's own calls back accordingly. It guarantees that an account which cannot be reached stops nothing:
 * the last known state counts. It costs an idle account no event.
 */
import { Runtime } from '@temporalio/worker';
import type { Client } from '@temporalio/client';
import { RivyaApiError, type KeySource } from '../api/index.js';
import {
  ACCOUNT_MEMO_FIELD,
  ACCOUNT_REPORT,
  ACCOUNT_WORKFLOW_TYPE,
  accountWorkflowId,
  isOpen,
  SHARED_CODES,
  type AccountInput,
  type AccountState,
  type WorkerReport,
} from '../contract/index.js';
import { readAccountMemo } from '../policy/account-memo.js';
import { Gate, type ClosedBy } from '../policy/gate.js';
import { CallHealth, RecentCalls, Reports } from '../policy/reports.js';
import { askAccount } from '../temporal/account-look.js';
import { describeRun } from '../temporal/runs.js';

// The stop switch holds within 15 s.
const READ_EVERY_MS = 10_000;
// After news the account acts within seconds; and a payment that meets a closed gate looks whether it is open again.
const READ_SOON_MS = 2_000;
const SOON_FOR_MS = 30_000;
const REQUEST_MS = 5_000;
const QUERY_MS = 4_000;
// Worth a wait inside the Activity: a retry costs an event in Pending Activities and a place in the queue.
const SHORT_PAUSE_MS = 3_000;

interface LinkOptions {
  readonly taskQueue: string;
  readonly keys: KeySource;
  /** Calls a minute that this Worker was told. */
  readonly perMinute: number;
}

/** Where the link stands at the Service. */
interface Place {
  readonly client: Client;
  /** Of the Worker, as its polls carry it. */
  readonly identity: string;
}

export class AccountLink {
  readonly #options: LinkOptions;
  readonly #gate = new Gate();
  readonly #reports = new Reports();
  readonly #calls = new RecentCalls();
  readonly #health = new CallHealth();
  readonly #ending = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #reading: Promise<void> | null = null;
  #readAt = -Infinity;
  #readSoonUntil = -Infinity;
  #wake = (): void => undefined;
  /** When to tell of this Worker itself; infinity where the account knows it as it is. */
  #introduceAt = -Infinity;
  /** The fingerprint that the account knows, and its first run: another one knows nothing of this Worker. */
  #known: { readonly fingerprint: string | null; firstRunId: string | null } | null = null;
  #warned = false;
  #place: Place | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Begins to read and to tell. */
  start(place: Place): void {
    this.#place = place;
    this.#ended = this.#run();
  }

  /** Ends both. Resolves when no request is under way, within 10 s. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#wake();
    await this.#ended;
  }

  /** The cause for which nothing new may be paid, or null. A payment that would wait looks first whether it is over. */
  async closedBy(): Promise<ClosedBy | null> {
    // The first answer of the Service, or none within 5 s.
    if (this.#readAt === -Infinity) await this.#read();
    if (this.#gate.closedBy(Date.now()) === null) return null;
    if (Date.now() - this.#readAt >= READ_SOON_MS) await this.#read();
    return this.#gate.closedBy(Date.now());
  }

  /** Waits where the API has asked for a short pause. @throws RivyaApiError (`rate_limited`) where the pause is longer. */
  async beforeCall(): Promise<void> {
    const pauseMs = this.#gate.pauseMs(Date.now());
    if (pauseMs === 0) return;
    if (pauseMs > SHORT_PAUSE_MS) throw pausedFor(pauseMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  /** Takes the end of a call to the API: an answer (null) or a failure. */
  afterCall(failure: RivyaApiError | null): void {
    const now = Date.now();
    const { code = null, httpStatus = 200, retryAfterMs = null } = failure ?? {};
    if (code === 'rate_limited' || httpStatus === 429) {
      this.#gate.pause(retryAfterMs, now);
      this.#reports.noteRateLimited({ count: 1, retryAfterMs, callsBefore: this.#calls.count(now) });
      return this.#wake();
    }
    if (httpStatus !== null) this.#calls.add(now);
    // With a code and without a status nothing was sent: there is no key.
    if (httpStatus !== null || code === null) this.#health.add(httpStatus === null || httpStatus >= 500, now);
    if (this.#health.isNews(now)) {
      this.#introduceAt = Math.min(this.#introduceAt, now);
      this.#wake();
    }
    if (failure !== null && failure.outcome === 'refused') this.noteRefusal(failure);
  }

  /** Takes a refusal, also one without a call: where there is no key. */
  noteRefusal({ code, message, requestId }: RivyaApiError): void {
    if (code === null || !SHARED_CODES.includes(code) || this.#gate.isNamed(code)) return;
    this.#gate.close({ code, message, requestId }, Date.now());
    this.#reports.noteRefused({ code, message, requestId });
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      if (Date.now() >= this.#nextReadAt()) await this.#read();
      if (Date.now() >= this.#nextTellAt()) await this.#tell();
      if (!signal.aborted) await this.#sleep(Math.min(this.#nextReadAt(), this.#nextTellAt()) - Date.now());
    }
  }

  #nextReadAt(): number {
    return this.#readAt + (Date.now() < this.#readSoonUntil ? READ_SOON_MS : READ_EVERY_MS);
  }

  #nextTellAt(): number {
    return Math.min(this.#introduceAt, this.#reports.dueAt());
  }

  /** Sleeps until there is something to do. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(ms, 0));
      // The link alone keeps no process.
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reads the memo, once for all who ask at the same time. Never fails. */
  #read(): Promise<void> {
    this.#reading ??= this.#readMemo().finally(() => {
      this.#reading = null;
      this.#readAt = Date.now();
    });
    return this.#reading;
  }

  async #readMemo(): Promise<void> {
    await this.#atService('read', async ({ client }) => {
      const workflowId = accountWorkflowId(this.#options.taskQueue);
      const run = await describeRun(client, workflowId);
      const isAccount = run?.type === ACCOUNT_WORKFLOW_TYPE;
      // At first the account itself is asked: a stop that has waited for a Worker is in no memo yet.
      const isFirst = this.#readAt === -Infinity && isAccount && isOpen(run.status.name);
      const said = isFirst ? await askAccount(client, workflowId, QUERY_MS) : null;
      const memo = isAccount ? readAccountMemo(run.memo?.[ACCOUNT_MEMO_FIELD]) : null;
      const state = said !== null && isInformed(said) ? said : memo;
      if (state !== null) this.#gate.read(state);
      // Ended by mistake, or another one: it is told of this Worker, which starts it where it is not there.
      const firstRunId = run?.raw.workflowExecutionInfo?.firstRunId ?? null;
      if (this.#known !== null) this.#known.firstRunId ??= firstRunId;
      const isOurs = run !== null && isOpen(run.status.name) && this.#known?.firstRunId === firstRunId;
      const isKnown = isOurs && this.#known?.fingerprint === (await this.#fingerprint());
      if (!isKnown) this.#introduceAt = Math.min(this.#introduceAt, Date.now());
    });
  }

  /** Tells all that there is to tell, and starts the account where there is none. Never fails. */
  async #tell(): Promise<void> {
    const news = this.#reports.take(Date.now());
    const { taskQueue, perMinute } = this.#options;
    // What is noted meanwhile is told next.
    this.#introduceAt = Infinity;
    const fingerprint = await this.#fingerprint();
    const told = await this.#atService('told', async ({ client, identity }) => {
      const report: WorkerReport = {
        identity,
        fingerprint,
        perMinute,
        calls: this.#health.counts(Date.now()),
        ...news,
      };
      const input: AccountInput = { taskQueue };
      await client.workflow.signalWithStart(ACCOUNT_WORKFLOW_TYPE, {
        workflowId: accountWorkflowId(taskQueue),
        taskQueue,
        args: [input],
        signal: ACCOUNT_REPORT,
        signalArgs: [report],
      });
    });
    if (!told) {
      this.#introduceAt = Date.now() + READ_EVERY_MS;
      return this.#reports.takeBack(news);
    }
    this.#known = { fingerprint, firstRunId: null };
    if (Object.keys(news).length > 0) this.#readSoonUntil = Date.now() + SOON_FOR_MS;
  }

  /** Asks the Service within 5 s. False where that fails, of which the log says so once. */
  async #atService(what: 'read' | 'told', ask: (place: Place) => Promise<void>): Promise<boolean> {
    const place = this.#place;
    if (place === null) return false;
    const { client } = place;
    try {
      await client.withDeadline(Date.now() + REQUEST_MS, () => ask(place));
      this.#warned = false;
      return true;
    } catch (error) {
      if (this.#warned || this.#ending.signal.aborted) return false;
      this.#warned = true;
      const workflowId = accountWorkflowId(this.#options.taskQueue);
      const message = `The account cannot be ${what}; this Worker goes on with what it knows of it, and tries again`;
      Runtime.instance().logger.warn(message, { workflowId, error });
      return false;
    }
  }

  async #fingerprint(): Promise<string | null> {
    const key = await this.#options.keys.current().catch(() => null);
    return key?.fingerprint() ?? null;
  }
}

/** False before the first look of an account that has no cause yet: then it knows nothing of the run before. */
function isInformed({ look, causes }: AccountState): boolean {
  return look !== null || causes.length > 0;
}

function pausedFor(pauseMs: number): RivyaApiError {
  const until = new Date(Date.now() + pauseMs).toISOString();
  const message = `The API has asked for fewer calls, so this Worker makes none until ${until}. No request was sent and nothing was paid.`;
  return new RivyaApiError(message, { outcome: 'refused', code: 'rate_limited', retryAfterMs: pauseMs });
}
