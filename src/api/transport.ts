/** One HTTP exchange: sends a request at most once, and says of every failure whether a byte of it was sent. */
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Reply } from './reply.js';

/** Time limits in milliseconds. */
export const HTTP_TIMEOUTS = {
  /** A connection with its TLS handshake; through a proxy, each of its steps. TCP makes up for three lost SYNs within 7 s. */
  connect: 10_000,
  /** A whole POST, from the call to the last byte of the reply. It may wait for the provider; its Activity has 75 s. */
  post: 60_000,
  /** A whole GET. Its Activity has 30 s. */
  get: 20_000,
  /** Silence inside the body of a reply, which has about 1 kB. */
  body: 10_000,
  /** Silence of an upload: no byte goes out, or no reply comes after the last one. The whole upload has no limit. */
  upload: 60_000,
};

export type HttpTimeouts = Readonly<typeof HTTP_TIMEOUTS>;

/** Largest JSON body. A task has about 1 kB, the list of all models about 100 kB. */
const MAX_BODY_BYTES = 1024 * 1024;

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly origin: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A text, or a stream whose every chunk starts the time limit anew. */
  readonly body: string | AsyncIterable<Uint8Array> | null;
  readonly limitMs: number;
  readonly bodyLimitMs: number;
  readonly signal: AbortSignal | undefined;
  /** Largest reply. Default {@link MAX_BODY_BYTES}. */
  readonly maxBytes: number | undefined;
  /** Called right before the first byte is sent; where it returns false, nothing is sent. */
  readonly maySend: (() => boolean) | undefined;
}

/** No whole reply came. The message has our own words and an error code: errors of the HTTP library can hold the request. */
export class NoReply extends Error {
  /** False: not a byte of the request was sent. True: all or part of it may have arrived. */
  readonly sent: boolean;
  /** Status and headers, where they came before the reply broke off. */
  readonly head: Pick<Reply, 'httpStatus' | 'headers'> | null;

  constructor(message: string, sent: boolean, head: NoReply['head']) {
    super(message);
    this.sent = sent;
    this.head = head;
  }
}

/** @throws NoReply where the reply did not come whole, in time and within `maxBytes`. */
export function exchange(dispatcher: Dispatcher, request: HttpRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, limitMs, bodyLimitMs, maxBytes = MAX_BODY_BYTES, signal, maySend, ...about } = request;
    let controller: Dispatcher.DispatchController | null = null;
    let head: NoReply['head'] = null;
    let settled = false;
    let length = 0;
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => fail(`no whole reply within ${limitMs} ms`), limitMs);
    const onAbort = () => fail('the call was cancelled');

    function settle(): boolean {
      if (settled) return false;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      return true;
    }
    function fail(what: string): void {
      if (!settle()) return;
      reject(new NoReply(what, controller !== null, head));
      controller?.abort(new Error(what));
    }

    if (signal?.aborted === true) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });

    const handler: Dispatcher.DispatchHandler = {
      // A connection is ready, and not a byte was written yet. A call that has failed by now (its time is up), or that was
      // written once before, stops here.
      onRequestStart(started) {
        if (settled || controller !== null) return started.abort(new Error('not sent again'));
        if (maySend?.() === false) {
          fail('it was too late to send it');
          return started.abort(new Error('not sent'));
        }
        controller = started;
      },
      onResponseStart(_, httpStatus, headers) {
        if (httpStatus >= 200) head = { httpStatus, headers };
      },
      onResponseData(_, chunk) {
        length += chunk.length;
        if (length > maxBytes) return fail(`a body of more than ${maxBytes} bytes`);
        chunks.push(chunk);
      },
      onResponseEnd() {
        if (head === null) return fail('a reply without a status');
        if (settle()) resolve({ ...head, body: Buffer.concat(chunks) });
      },
      onResponseError(_, error) {
        fail(wireProblem(error, controller !== null));
      },
    };
    async function* stream(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        timer.refresh();
        yield chunk;
      }
    }
    const timed = body !== null && typeof body === 'object' ? Readable.from(stream(body)) : body;
    // undici counts this time from the first byte of a request; a long upload has only our limit.
    const headersTimeout = timed === body ? limitMs : 0;
    try {
      const headers = { ...about.headers };
      dispatcher.dispatch({ ...about, headers, body: timed, headersTimeout, bodyTimeout: bodyLimitMs }, handler);
    } catch (error) {
      fail(wireProblem(error, controller !== null));
    }
  });
}

/** The failure in our own words. Codes of Node and undici are fixed words; their messages can quote the request. */
function wireProblem(error: unknown, sent: boolean): string {
  const code = (error as { code?: unknown } | null)?.code;
  const reason = typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? ` (${code})` : '';
  return sent ? `the connection broke before the whole reply was there${reason}` : `no connection${reason}`;
}
