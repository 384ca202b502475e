import type { MediaKind } from '../contract/index.js';
import type { Call, Holder } from './call.js';
import { modelList } from './catalogue.js';
import { openChats } from './chats.js';
import { openFiles } from './files.js';
import { openIdempotency } from './idempotency.js';
import { newId } from './ids.js';
import { mediaReply } from './media.js';
import { json, Refusal, text, type Reply } from './replies.js';
import type { Route } from './routes.js';
import type { State } from './state.js';
import { newTask, shortBody, statusAt, taskBody, type Task } from './tasks.js';
import type { Scope } from './types.js';
import { createBodyOf, keyOf } from './validate.js';

/** The window of the rate limit: the documentation names the limit per minute. */
const WINDOW_MS = 60_000;

/** The scope that each call needs. */
const SCOPES = {
  create: 'generations:create',
  status: 'generations:read',
  chat: 'chat:create',
  upload: 'files:create',
  file: 'files:read',
  credits: 'credits:read',
} as const satisfies Partial<Record<Route['on'], Scope>>;

/** The documented calls, apart from HTTP and from faults. */
export function openApi(state: State) {
  const idempotency = openIdempotency(state);
  const files = openFiles(state);
  const chats = openChats(state, idempotency);
  const windows = new Map<string, { window: number; calls: number }>();

  /** Forgets what the state does not hold. */
  function clear(): void {
    windows.clear();
    files.clear();
  }

  /** The reply to a call. A task is shown with `statusWord`, if given, in place of its own status. @throws Refusal */
  async function answer({ on, taskId, fileId = '' }: Route, call: Call, statusWord: string | null): Promise<Reply> {
    if (on !== 'create' && on !== 'chat') await call.before();
    if (on === 'models') return json(200, modelList(state.settings.switches));
    if (on === 'media') {
      if (taskId === undefined) return files.content(call, fileId);
      const task = state.tasks.get(taskId);
      if (task === undefined || statusAt(task, call.now) !== 'succeeded') throw new Refusal('not_found');
      const { linkLifetimeMs } = state.settings.switches;
      if (call.now > (task.checks.at(-1) ?? call.now) + linkLifetimeMs) return text(403, 'The link has expired.');
      return mediaReply(task);
    }
    const holder = authorize(call, SCOPES[on]);
    if (on === 'create') return create(call, holder);
    if (on === 'chat') return chats.complete(call, holder);
    if (on === 'upload') return files.upload(call, holder);
    if (on === 'file') return files.retrieve(call, holder, fileId);
    const { account } = holder;
    if (on === 'credits') return json(200, { current_credits: state.credits(account, call.now) });
    const task = state.tasks.get(taskId ?? '');
    if (task === undefined || task.account !== account) throw new Refusal('not_found');
    const body = taskBody(task, call.now, state.settings.switches, call.baseUrl);
    return json(200, statusWord === null ? body : { ...body, status: statusWord, result: null, error: null });
  }

  async function create(call: Call, holder: Holder): Promise<Reply> {
    const { createStatus, replay } = state.settings.switches;
    const make = async (): Promise<{ reply: Reply; taskId: string }> => {
      await call.before();
      const task = makeTask(call, holder);
      return { reply: json(createStatus, createBody(task, call)), taskId: task.id };
    };
    return idempotency.once(call, holder, make, ({ status, body, taskId }) => {
      const task = replay === 'current' ? state.tasks.get(taskId ?? '') : undefined;
      return json(status, task === undefined ? JSON.parse(body) : createBody(task, call));
    });
  }

  /** Checks, then charges: everything that can be refused comes before the first change. */
  function makeTask(call: Call, holder: Holder): Task {
    const { model, prompt, params } = createBodyOf(call);
    files.checkReferences(call, holder, model, params);
    const { account } = holder;
    const credits = state.credits(account, call.now);
    if (credits < model.credits) throw new Refusal('insufficient_credits');
    const { speed, durations } = state.settings;
    const { outcome, durationMs = durations[model.category as MediaKind], id } = call.fault.shape;
    const duration = durationMs / speed;
    const task = newTask({
      // Two tasks under one ID would look like one in the ledger.
      id: id === undefined || state.tasks.has(id) ? newId('task') : id,
      account,
      model: model.id,
      prompt,
      params,
      key: call.idempotencyKey,
      createdAt: call.now,
      startsAt: call.now + Math.round(duration / 4), // The first quarter is "queued".
      endsAt: outcome === 'stuck' ? null : call.now + Math.round(duration),
      outcome: outcome === 'failed' ? 'failed' : 'succeeded',
      charged: true,
    });
    state.setCredits(account, credits - model.credits, call.now);
    state.tasks.set(task.id, task);
    call.created = true;
    return task;
  }

  function createBody(task: Task, call: Call): object {
    const { switches } = state.settings;
    const body = taskBody(task, call.now, switches, call.baseUrl);
    return switches.createBody === 'short' ? shortBody(body) : body;
  }

  /** Key, then rate, then scope. A call that is refused for its rate is not counted. */
  function authorize(call: Call, scope: Scope): Holder {
    const key = keyOf(call, state.settings.keys);
    const window = Math.floor(call.now / WINDOW_MS);
    const known = windows.get(key.key);
    const calls = known?.window === window ? known.calls : 0;
    if (calls >= state.settings.rateLimitPerMinute) {
      throw new Refusal('rate_limited', undefined, retryAfter(call.now, (window + 1) * WINDOW_MS - call.now));
    }
    windows.set(key.key, { window, calls: calls + 1 });
    if (key.scopes !== undefined && !key.scopes.includes(scope)) {
      throw new Refusal('api_scope_denied', `The API key does not have the scope ${scope}.`);
    }
    return key;
  }

  /** Value of `Retry-After` in the form that the switch asks for. */
  function retryAfter(now: number, waitMs: number): string | undefined {
    const { retryAfter: form, clockOffsetMs } = state.settings.switches;
    if (form === 'none') return undefined;
    if (form === 'seconds') return String(Math.ceil(waitMs / 1000));
    // A date has whole seconds: rounded up, or the caller would come too early.
    return new Date(Math.ceil((now + clockOffsetMs + waitMs) / 1000) * 1000).toUTCString();
  }

  return { idempotency, answer, retryAfter, clear };
}

export type Api = ReturnType<typeof openApi>;
