import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIMULATED_HEADER } from '../contract/index.js';
import { admin, type AdminCalls } from './admin.js';
import type { Api } from './api.js';
import type { Call } from './call.js';
import type { Faults, FaultSubject, PickedFault } from './faults.js';
import { mediaReply } from './media.js';
import { json, rawReply, Refusal, refusalReply, text, type Reply } from './replies.js';
import { routeOf, type Route } from './routes.js';
import type { State } from './state.js';
import type { EmulatorSwitches, RecordedRequest } from './types.js';
import { promptOf } from './validate.js';

interface ServerParts {
  readonly api: Api;
  readonly state: State;
  readonly faults: Faults;
  readonly admin: AdminCalls;
  readonly clock: () => number | Promise<number>;
  readonly switches: () => EmulatorSwitches;
}

/** `Retry-After` of a 503, where the switch asks for one: short, so that nobody waits long for a simulated outage. */
const OUTAGE_RETRY_MS = 5000;
/** Largest request body. The API's own limit is not published; its longest prompt has 20,000 characters. */
const MAX_BODY_BYTES = 1_048_576;
/** The same for an upload: above the 95 MB that one model takes. */
const MAX_UPLOAD_BYTES = 128 * 1_048_576;
/** So many requests are remembered: more than any test makes, and a few megabytes. */
const MAX_REQUESTS = 10_000;
/** Only faults break connections here: an idle one is kept longer than any client's pause between calls. */
const KEEP_ALIVE_MS = 65_000;

async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= limit) chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

type Recorded = { -readonly [Name in keyof RecordedRequest]: RecordedRequest[Name] };

/** The HTTP side: reads a request, picks its faults, sends the reply or breaks it. */
export class HttpServer {
  /** The latest ones. */
  readonly requests: Recorded[] = [];
  readonly server: Server;
  readonly #parts: ServerParts;
  readonly #closing = new AbortController();

  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      // What fails here is a sender that went away, or a delay that close() ended: nobody is left to be told.
      this.#handle(request, response).catch(() => response.destroy());
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { state, clock } = this.#parts;
    const now = await clock();
    const method = request.method ?? '';
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const route = routeOf(method, path);
    const uploaded = route?.on === 'upload';
    const body = await readBody(request, uploaded ? MAX_UPLOAD_BYTES : MAX_BODY_BYTES);
    if (path.startsWith('/__admin/')) {
      const reply = await admin(this.#parts.admin, method, path, body.toString(), request.socket.remoteAddress);
      this.#send(response, reply, now);
      return;
    }
    const idempotencyKey = request.headers['idempotency-key']?.toString() ?? null;
    // The bytes of a file are no text, and there are many of them.
    const bodyText = uploaded ? fileNameOf(body) : body.toString();
    const record: Recorded = { method, path, idempotencyKey, body: bodyText, at: now, status: null };
    this.requests.push(record);
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    const task = route?.taskId === undefined ? undefined : state.task(route.taskId);
    const prompt = uploaded ? bodyText : (task?.prompt ?? promptOf(bodyText));
    const subject: FaultSubject = {
      prompt,
      key: task?.key ?? idempotencyKey,
      id: task?.id ?? idempotencyKey ?? prompt,
    };
    const fault = route === null ? { shape: {}, action: null } : this.#parts.faults.pick(route.on, subject);
    if (pays(route) && idempotencyKey !== null) {
      state.countPost(idempotencyKey, record.body, fault.action !== null);
    }
    if (route?.on === 'status' && task !== undefined) state.countCheck(task, now);
    // At once, so that the ledger knows of a request whose work a kill cuts off.
    state.save();
    const call = this.#call(request, body, idempotencyKey, now, fault);
    try {
      await this.#exchange(response, record, route, call, fault);
    } finally {
      call.finished?.();
    }
  }

  #call(request: IncomingMessage, body: Buffer, idempotencyKey: string | null, now: number, fault: PickedFault): Call {
    const { action } = fault;
    const refreshNow = async (): Promise<void> => {
      call.now = await this.#parts.clock();
    };
    const call: Call = {
      authorization: request.headers.authorization,
      contentType: request.headers['content-type'],
      idempotencyKey,
      body,
      shape: fault.shape,
      baseUrl: `http://${request.headers.host ?? 'localhost'}`,
      now,
      refreshNow,
      before: async () => {
        if (action?.kind !== 'delayBefore') return;
        await this.#delay(action.ms);
        await refreshNow();
      },
    };
    return call;
  }

  async #exchange(
    response: ServerResponse,
    record: Recorded,
    route: Route | null,
    call: Call,
    { action }: PickedFault,
  ): Promise<void> {
    if (action?.kind === 'hang') return; // It keeps its connection until close().
    if (action?.kind === 'dropBefore') {
      response.destroy();
      return;
    }
    let reply: Reply;
    if (action?.kind === 'reply') reply = rawReply(action);
    else if (action?.kind === 'redirect') reply = text(307, '', { location: action.location });
    else if (action?.kind === 'error') reply = this.#faultReply(action, route, call);
    else {
      const word = action?.kind === 'status' ? action.status : null;
      reply = await this.#work(route, call, word);
      if (action?.kind === 'errorAfter') reply = this.#faultReply(action, route, call);
      if (action?.kind === 'replyAfter') reply = rawReply(action);
    }
    this.#parts.state.save();
    if (action?.kind === 'delayAfter') {
      await this.#delay(action.ms);
      await call.refreshNow();
    }
    if (action?.kind === 'dropAfter') response.destroy();
    else if (action?.kind === 'truncateAfter') await this.#sendCut(response, reply, call.now, action.bytes);
    else {
      record.status = reply.status;
      this.#send(response, reply, call.now);
    }
  }

  #faultReply(
    fault: { code: Refusal['code']; message?: string; retryAfter?: string },
    route: Route | null,
    call: Call,
  ): Reply {
    const { api } = this.#parts;
    const throttled = fault.code === 'public_api_disabled' || fault.code === 'rate_limited';
    const retryAfter = fault.retryAfter ?? (throttled ? api.retryAfter(call.now, OUTAGE_RETRY_MS) : undefined);
    const reply = refusalReply(new Refusal(fault.code, fault.message, retryAfter));
    if (pays(route)) api.idempotency.storeRefusal(call, reply);
    return reply;
  }

  async #work(route: Route | null, call: Call, statusWord: string | null): Promise<Reply> {
    const { api } = this.#parts;
    try {
      if (route === null) throw new Refusal('not_found', 'There is no such endpoint.');
      if (route.on === 'create') return await api.create(call);
      if (route.on === 'chat') return await api.chat(call);
      await call.before();
      if (route.on === 'models') return api.models();
      if (route.on === 'credits') return api.credits(call);
      if (route.on === 'upload') return api.upload(call);
      const { on, fileId = '', taskId } = route;
      if (on === 'file') return api.file(call, fileId);
      if (on === 'status') return api.status(call, taskId ?? '', statusWord);
      return taskId === undefined ? api.fileContent(call, fileId) : mediaReply(api.finishedTask(taskId, call.now));
    } catch (error) {
      if (error instanceof Refusal) return refusalReply(error);
      if (this.#closing.signal.aborted) throw error;
      process.emitWarning(error instanceof Error ? error : String(error)); // A fault of the emulator itself.
      return json(500, {
        error: { code: 'internal_error', message: 'The emulator failed.', requestId: 'req_emulator' },
      });
    }
  }

  async #delay(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal });
  }

  #writeHead(response: ServerResponse, reply: Reply, now: number): void {
    response.sendDate = false; // Ours follows the emulator's clock.
    response.writeHead(reply.status, {
      'content-length': reply.body.length,
      [SIMULATED_HEADER]: '1',
      date: new Date(now + this.#parts.switches().clockOffsetMs).toUTCString(),
      ...Object.fromEntries(Object.entries(reply.headers).map(([name, value]) => [name.toLowerCase(), value])),
    });
  }

  #send(response: ServerResponse, reply: Reply, now: number): void {
    this.#writeHead(response, reply, now);
    response.end(reply.body);
  }

  async #sendCut(response: ServerResponse, reply: Reply, now: number, bytes: number): Promise<void> {
    this.#writeHead(response, reply, now);
    response.flushHeaders();
    const part = reply.body.subarray(0, bytes);
    if (part.length > 0) await new Promise((resolve) => response.write(part, resolve));
    // An orderly end of the connection, so that the part arrives before it; a reset could overtake it.
    response.socket?.end();
  }
}

/** The name under which a file is sent, which stands within the first lines of the body. */
function fileNameOf(body: Buffer): string {
  return /filename="([^"]*)"/.exec(body.subarray(0, 4_096).toString('latin1'))?.[1] ?? '';
}

function pays(route: Route | null): boolean {
  return route?.on === 'create' || route?.on === 'chat';
}
