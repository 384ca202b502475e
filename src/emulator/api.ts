import { randomBytes } from 'node:crypto';
import type { MediaKind } from '../contract/index.js';
import { holderOf, type ApiSettings, type Call, type Holder } from './call.js';
import { modelList } from './catalogue.js';
import { Chats } from './chats.js';
import { Files } from './files.js';
import { Idempotency } from './idempotency.js';
import { json, Refusal, type Reply } from './replies.js';
import type { State } from './state.js';
import { shortBody, statusAt, taskBody, type Task } from './tasks.js';
import type { Scope } from './types.js';
import { findKey, validateCreate } from './validate.js';

/** The window of the rate limit: the documentation names the limit per minute. */
const WINDOW_MS = 60_000;

/** The documented calls, apart from HTTP and from faults. */
export class Api {
  readonly idempotency: Idempotency;
  readonly #files: Files;
  readonly #chats: Chats;
  readonly #state: State;
  readonly #settings: ApiSettings;
  readonly #windows = new Map<string, { window: number; calls: number }>();

  constructor(state: State, settings: ApiSettings) {
    this.idempotency = new Idempotency(state, settings);
    this.#files = new Files(state, settings);
    this.#chats = new Chats(state, settings, this.idempotency);
    this.#state = state;
    this.#settings = settings;
  }

  /** Forgets what the state does not hold. */
  clear(): void {
    this.#windows.clear();
    this.#files.clear();
  }

  models(): Reply {
    return json(200, modelList());
  }

  credits(call: Call): Reply {
    const { account } = this.#authorize(call, 'credits:read');
    return json(200, { current_credits: this.#state.credits(account, call.now) });
  }

  /** The task as it is; `statusWord`, if given, is shown instead of its own status. */
  status(call: Call, taskId: string, statusWord: string | null): Reply {
    const { account } = this.#authorize(call, 'generations:read');
    const task = this.#state.task(taskId);
    if (task === undefined || task.account !== account) throw new Refusal('not_found');
    const body = taskBody(task, call.now, this.#settings.switches, call.baseUrl);
    return json(200, statusWord === null ? body : { ...body, status: statusWord, result: null, error: null });
  }

  upload(call: Call): Reply {
    return this.#files.upload(call, this.#authorize(call, 'files:create'));
  }

  file(call: Call, fileId: string): Reply {
    return this.#files.retrieve(call, this.#authorize(call, 'files:read'), fileId);
  }

  fileContent(call: Call, fileId: string): Reply {
    return this.#files.content(call, fileId);
  }

  async chat(call: Call): Promise<Reply> {
    return this.#chats.complete(call, this.#authorize(call, 'chat:create'));
  }

  async create(call: Call): Promise<Reply> {
    const holder = this.#authorize(call, 'generations:create');
    const { createStatus, replay } = this.#settings.switches;
    const make = async (): Promise<{ reply: Reply; taskId: string }> => {
      await call.before();
      const task = this.#makeTask(call, holder);
      return { reply: json(createStatus, this.#createBody(task, call)), taskId: task.id };
    };
    return this.idempotency.once(call, holder, make, ({ status, body, taskId }) => {
      const task = taskId === null ? undefined : this.#state.task(taskId);
      const asItIs = replay === 'current' && task !== undefined;
      return json(status, asItIs ? this.#createBody(task, call) : JSON.parse(body));
    });
  }

  /** Checks, then charges: everything that can be refused comes before the first change. */
  #makeTask(call: Call, holder: Holder): Task {
    const { model, prompt, params } = validateCreate(call.body.toString(), call.contentType);
    this.#files.checkReferences(call, holder, model, params);
    const { account } = holder;
    const credits = this.#state.credits(account, call.now);
    if (credits < model.credits) throw new Refusal('insufficient_credits');
    const { speed, durations } = this.#settings;
    const { outcome, durationMs = durations[model.category as MediaKind], id } = call.shape;
    const duration = durationMs / speed;
    const task: Task = {
      // Two tasks under one ID would look like one in the ledger.
      id: id === undefined || this.#state.task(id) !== undefined ? `task_${randomBytes(10).toString('hex')}` : id,
      account,
      model: model.id,
      prompt,
      params,
      key: call.idempotencyKey,
      reserved: model.credits,
      createdAt: call.now,
      startsAt: call.now + Math.round(duration / 4), // The first quarter is "queued".
      endsAt: outcome === 'stuck' ? null : call.now + Math.round(duration),
      outcome: outcome === 'failed' ? 'failed' : 'succeeded',
      urls: null,
      charged: true,
      checks: [],
      refunded: false,
    };
    this.#state.setCredits(account, credits - model.credits, call.now);
    this.#state.addTask(task);
    call.created = true;
    return task;
  }

  #createBody(task: Task, call: Call): object {
    const { switches } = this.#settings;
    const body = taskBody(task, call.now, switches, call.baseUrl);
    return switches.createBody === 'short' ? shortBody(body) : body;
  }

  /** Key, then rate, then scope. A call that is refused for its rate is not counted. */
  #authorize(call: Call, scope: Scope): Holder {
    const key = findKey(call.authorization, this.#settings.keys);
    const window = Math.floor(call.now / WINDOW_MS);
    const known = this.#windows.get(key.key);
    const calls = known?.window === window ? known.calls : 0;
    if (calls >= this.#settings.rateLimitPerMinute) {
      throw new Refusal('rate_limited', undefined, this.retryAfter(call.now, (window + 1) * WINDOW_MS - call.now));
    }
    this.#windows.set(key.key, { window, calls: calls + 1 });
    if (key.scopes !== undefined && !key.scopes.includes(scope)) {
      throw new Refusal('api_scope_denied', `The API key does not have the scope ${scope}.`);
    }
    return holderOf(key);
  }

  /** Value of `Retry-After` in the form that the switch asks for. */
  retryAfter(now: number, waitMs: number): string | undefined {
    const { retryAfter, clockOffsetMs } = this.#settings.switches;
    if (retryAfter === 'none') return undefined;
    if (retryAfter === 'seconds') return String(Math.ceil(waitMs / 1000));
    // A date has whole seconds: rounded up, or the caller would come too early.
    return new Date(Math.ceil((now + clockOffsetMs + waitMs) / 1000) * 1000).toUTCString();
  }

  /** The task whose media may be fetched now. */
  finishedTask(taskId: string, now: number): Task {
    const task = this.#state.task(taskId);
    if (task === undefined || statusAt(task, now) !== 'succeeded') throw new Refusal('not_found');
    return task;
  }
}
