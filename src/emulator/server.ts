import { setMaxListeners } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIMULATED_HEADER } from '../contract/index.js';
import { admin, type AdminCalls } from './admin.js';
import type { Api } from './api.js';
import type { Call } from './call.js';
import type { FaultAction, Faults, PickedFault } from './faults.js';
import { json, Refusal, refusalReply, text, type Reply } from './replies.js';
import { routeOf, type Route } from './routes.js';
import type { State } from './state.js';
import type { RecordedRequest } from './types.js';
import { promptOf } from './validate.js';

/** `Retry-After` of a 503, where the switch asks for one: short, so that nobody waits long for a simulated outage. */
const OUTAGE_RETRY_MS = 5000;
/** Requests that are remembered: more than any test makes, and a few megabytes. */
const MAX_REQUESTS = 10_000;
/** Only faults break connections here: an idle one is kept longer than any client's pause between calls. */
const KEEP_ALIVE_MS = 65_000;

type Clock = () => number | Promise<number>;
type Recorded = { -readonly [Name in keyof RecordedRequest]: RecordedRequest[Name] };

/** The HTTP side: reads a request, picks its faults, sends the reply or breaks it. */
export function openServer(api: Api, state: State, faults: Faults, calls: AdminCalls, clock: Clock) {
  /** The latest ones. */
  const requests: Recorded[] = [];
  const closing = new AbortController();
  // All answers that are delayed listen; beyond ten Node would print a warning of a leak.
  setMaxListeners(0, closing.signal);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    // What fails here is a sender that went away, or a delay that close() ended: nobody is left to be told.
    handle(request, response).catch(() => response.destroy());
  });

  async function close(): Promise<void> {
    closing.abort();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const now = await clock();
    const { method = '', url = '/', headers, socket } = request;
    const path = url.split('?')[0] ?? '/';
    const body = await buffer(request);
    if (path.startsWith('/__admin/')) {
      return send(response, await admin(calls, method, path, body.toString(), socket.remoteAddress), now);
    }
    const route = routeOf(method, path);
    const uploaded = route?.on === 'upload';
    const idempotencyKey = headers['idempotency-key']?.toString() ?? null;
    // The bytes of a file are no text, and there are many of them.
    const bodyText = uploaded ? fileNameOf(body) : body.toString();
    const record: Recorded = { method, path, idempotencyKey, body: bodyText, at: now, status: null };
    requests.push(record);
    if (requests.length > MAX_REQUESTS) requests.shift();
    const task = state.tasks.get(route?.taskId ?? '');
    const prompt = uploaded ? bodyText : (task?.prompt ?? promptOf(bodyText));
    const subject = { prompt, key: task?.key ?? idempotencyKey, id: task?.id ?? idempotencyKey ?? prompt };
    const fault = route === null ? { shape: {}, action: null } : faults.pick(route.on, subject);
    if (pays(route) && idempotencyKey !== null) state.countPost(idempotencyKey, bodyText, fault.action !== null);
    if (route?.on === 'status' && task !== undefined) state.countCheck(task, now);
    // At once, so that the ledger has a request whose work a kill cuts off.
    state.journal.save();
    const call = callOf(request, body, record, fault);
    try {
      await exchange(response, record, route, call);
    } finally {
      call.finished?.();
    }
  }

  function callOf({ headers }: IncomingMessage, body: Buffer, record: Recorded, fault: PickedFault): Call {
    const call: Call = {
      authorization: headers.authorization,
      contentType: headers['content-type'],
      idempotencyKey: record.idempotencyKey,
      body,
      fault,
      baseUrl: `http://${headers.host ?? 'localhost'}`,
      now: record.at,
      refreshNow: async () => {
        call.now = await clock();
      },
      before: async () => {
        if (fault.action?.kind === 'delayBefore') await delay(fault.action.ms, call);
      },
    };
    return call;
  }

  async function exchange(response: ServerResponse, record: Recorded, route: Route | null, call: Call): Promise<void> {
    const { action } = call.fault;
    if (action?.kind === 'hang') return; // It keeps its connection until close().
    if (action?.kind === 'dropBefore') return void response.destroy();
    const reply = await replyTo(route, call);
    state.journal.save();
    if (action?.kind === 'delayAfter') await delay(action.ms, call);
    if (action?.kind === 'dropAfter') return void response.destroy();
    const cutAfter = action?.kind === 'truncateAfter' ? action.bytes : Infinity;
    if (cutAfter === Infinity) record.status = reply.status;
    await send(response, reply, call.now, cutAfter);
  }

  /** Does the work, unless a fault says otherwise; the reply is that of the work or of the fault. */
  async function replyTo(route: Route | null, call: Call): Promise<Reply> {
    const { action } = call.fault;
    if (action?.kind === 'redirect') return text(307, '', { location: action.location });
    if (action?.kind === 'error') return refusal(action, route, call);
    if (action?.kind === 'reply') return rawReply(action);
    const reply = await work(route, call, action?.kind === 'status' ? action.status : null);
    if (action?.kind === 'errorAfter') return refusal(action, route, call);
    return action?.kind === 'replyAfter' ? rawReply(action) : reply;
  }

  function refusal(fault: Omit<FaultAction & { kind: 'error' }, 'kind'>, route: Route | null, call: Call): Reply {
    const { code, message, retryAfter } = fault;
    const throttled = code === 'public_api_disabled' || code === 'rate_limited';
    const wait = throttled ? api.retryAfter(call.now, OUTAGE_RETRY_MS) : undefined;
    const reply = refusalReply(new Refusal(code, message, retryAfter ?? wait));
    if (pays(route)) api.idempotency.storeRefusal(call, reply);
    return reply;
  }

  async function work(route: Route | null, call: Call, statusWord: string | null): Promise<Reply> {
    try {
      if (route === null) throw new Refusal('not_found', 'There is no such endpoint.');
      return await api.answer(route, call, statusWord);
    } catch (error) {
      if (error instanceof Refusal) return refusalReply(error);
      if (closing.signal.aborted) throw error;
      process.emitWarning(error instanceof Error ? error : String(error)); // An error of the emulator itself.
      const problem = { code: 'internal_error', message: 'The emulator failed.', requestId: 'req_emulator' };
      return json(500, { error: problem });
    }
  }

  async function delay(ms: number, call: Call): Promise<void> {
    await sleep(ms, undefined, { signal: closing.signal });
    await call.refreshNow();
  }

  /** Sends a reply, or its head and so many bytes of its body. */
  async function send(response: ServerResponse, reply: Reply, now: number, cutAfter = Infinity): Promise<void> {
    const { status, headers, body } = reply;
    response.sendDate = false; // Ours follows the emulator's clock.
    response.writeHead(status, {
      'content-length': body.length,
      [SIMULATED_HEADER]: '1',
      date: new Date(now + state.settings.switches.clockOffsetMs).toUTCString(),
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    });
    if (cutAfter === Infinity) return void response.end(body);
    response.flushHeaders();
    const part = body.subarray(0, cutAfter);
    if (part.length > 0) await new Promise((resolve) => response.write(part, resolve));
    // An orderly end of the connection, so that the part arrives before it; a reset could overtake it.
    response.socket?.end();
  }

  return { requests, server, close };
}

/** The name under which a file is sent, which stands within the first lines of the body. */
function fileNameOf(body: Buffer): string {
  return /filename="([^"]*)"/.exec(body.subarray(0, 4_096).toString('latin1'))?.[1] ?? '';
}

function rawReply({ status, body, encoding, headers = {} }: FaultAction & { kind: 'reply' | 'replyAfter' }): Reply {
  return { status, headers, body: Buffer.from(body, encoding) };
}

function pays(route: Route | null): boolean {
  return route?.on === 'create' || route?.on === 'chat';
}
