import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Reply } from './reply.js';

/** Time limits in milliseconds. */
export const HTTP_TIMEOUTS = {
  /**
   * A connection with its TLS handshake; through a proxy, each of its steps. Three lost SYN packets are made up for after
   * 7 s. A host that needs longer is not there.
   */
  connect: 10_000,
  /** A whole POST, from the call to the last byte of the reply. A create may wait for the provider; its Activity has 75 s. */
  post: 60_000,
  /** A whole GET. It only reads, so it may give up early; its Activity has 30 s. */
  get: 20_000,
  /** Silence inside the body of a reply. Bodies are about 1 kB: one that stands still for so long does not come. */
  body: 10_000,
  /**
   * Silence of an upload: no byte goes out, or no reply comes after the last one, for which the API looks at the whole
   * file. How long the file takes to get there is nobody's fault.
   */
  upload: 60_000,
};

export type HttpTimeouts = Readonly<typeof HTTP_TIMEOUTS>;

/** Largest JSON body that is read. A task is about 1 kB, the list of all models about 100 kB. */
export const MAX_BODY_BYTES = 1024 * 1024;

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
  /** Largest reply that is read. Default {@link MAX_BODY_BYTES}. */
  readonly maxBytes?: number | undefined;
  /** Asked right before the first byte is sent; where it says no, nothing is sent. */
  readonly maySend?: (() => boolean) | undefined;
}

/** No whole reply. Made of our own words and an error code, because errors of the HTTP library can hold the request. */
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

/**
 * Sends a request once and reads its reply.
 * @throws NoReply where the reply did not come whole, in time and within 1 MiB.
 */
export function exchange(dispatcher: Dispatcher, request: HttpRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | null = null;
    let head: NoReply['head'] = null;
    let settled = false;
    let length = 0;
    const chunks: Buffer[] = [];

    const timer = setTimeout(() => fail(`no whole reply within ${request.limitMs} ms`), request.limitMs);
    const onAbort = () => fail('the call was cancelled');

    function settle(): boolean {
      if (settled) return false;
      settled = true;
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
      return true;
    }
    function fail(what: string): void {
      if (!settle()) return;
      reject(new NoReply(what, controller !== null, head));
      controller?.abort(new Error(what));
    }

    if (request.signal?.aborted === true) return onAbort();
    request.signal?.addEventListener('abort', onAbort, { once: true });

    const handler: Dispatcher.DispatchHandler = {
      // Called when a connection is ready, right before the first byte is written. Until then nothing was sent, and a
      // call that has given up by then, or that was written once before, is stopped here.
      onRequestStart(started) {
        if (settled || controller !== null) return started.abort(new Error('not sent again'));
        if (request.maySend?.() === false) {
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
        const { maxBytes = MAX_BODY_BYTES } = request;
        if (length > maxBytes) return fail(`a body of more than ${maxBytes} bytes`);
        chunks.push(chunk);
      },
      onResponseEnd() {
        if (head === null) return fail('a reply without a status');
        if (settle()) resolve({ ...head, body: Buffer.concat(chunks) });
      },
      onResponseError(_, error) {
        fail(describe(error, controller !== null));
      },
    };
    const { method, origin, path, headers, limitMs, bodyLimitMs } = request;
    const streams = typeof request.body === 'object' && request.body !== null;
    const body = streams ? Readable.from(telling(request.body, () => timer.refresh())) : request.body;
    // The library counts from the first byte of a request; a long one has only ours.
    const headersTimeout = streams ? 0 : limitMs;
    try {
      dispatcher.dispatch(
        { method, origin, path, headers: { ...headers }, body, headersTimeout, bodyTimeout: bodyLimitMs },
        handler,
      );
    } catch (error) {
      fail(describe(error, controller !== null));
    }
  });
}

/** Passes a stream on, and tells of every chunk that is taken from it. */
async function* telling(body: AsyncIterable<Uint8Array>, tell: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    tell();
    yield chunk;
  }
}

/** Codes of Node and undici are fixed words; their messages are not, and can quote what was sent. */
function describe(error: unknown, sent: boolean): string {
  const code = (error as { code?: unknown } | null)?.code;
  const reason = typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? ` (${code})` : '';
  return sent ? `the connection broke before the whole reply was there${reason}` : `no connection${reason}`;
}
