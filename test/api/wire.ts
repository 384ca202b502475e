import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { inspect } from 'node:util';
import {
  createRivyaClient,
  RivyaApiError,
  staticKey,
  type RivyaClient,
  type RivyaClientOptions,
} from '../../src/api/index.js';
import { expect } from 'vitest';
import { TEST_CERT, TEST_KEY } from './certificate.js';

export const API_KEY = 'rvya_sk_test.Zm9v+bar/0123456789=';
export const BODY = '{"model":"z-image","prompt":"a red fox"}';

/** Limits that no reply of a test server comes near, even on a busy machine. */
export const PATIENT = { connect: 8_000, post: 9_000, get: 9_000, body: 8_000 };

export interface Seen {
  /** Request line and headers. */
  readonly head: string;
  readonly body: string;
}

export interface Wire {
  readonly port: number;
  readonly url: string;
  /** Every request that arrived whole. */
  readonly requests: Seen[];
  /** Connections that were made. */
  connections: number;
  close(): Promise<void>;
}

/** A server that reads whole requests off a socket and lets the test answer with any bytes. */
export async function serve(
  answer: (socket: Socket, request: Seen) => void,
  { tls = false, onConnection = () => {} }: { tls?: boolean; onConnection?: (socket: Socket) => void } = {},
): Promise<Wire> {
  const sockets = new Set<Socket>();
  const accept = (socket: Socket) => {
    wire.connections += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    onConnection(socket);
    let pending = '';
    socket.on('data', (chunk) => {
      pending += chunk.toString('latin1');
      for (;;) {
        const end = pending.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = pending.slice(0, end);
        const total = end + 4 + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
        if (pending.length < total) return;
        const request = { head, body: Buffer.from(pending.slice(end + 4, total), 'latin1').toString('utf8') };
        pending = pending.slice(total);
        wire.requests.push(request);
        answer(socket, request);
      }
    });
  };
  const server: Server = tls ? createTlsServer({ cert: TEST_CERT, key: TEST_KEY }, accept) : createServer(accept);
  server.on('tlsClientError', () => {});
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const wire: Wire = {
    port,
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests: [],
    connections: 0,
    close: () =>
      new Promise((done) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => done());
      }),
  };
  return wire;
}

/** The bytes of a reply with its right length. */
export function reply(status: number, body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const bytes = Buffer.from(body as string);
  const lines = Object.entries({ 'Content-Length': String(bytes.length), ...headers }).map(
    ([k, v]) => `${k}: ${v}\r\n`,
  );
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n`), bytes]);
}

export function json(status: number, value: unknown, headers: Record<string, string> = {}): Buffer {
  return reply(status, JSON.stringify(value), { 'Content-Type': 'application/json', ...headers });
}

export function envelope(code: string, message = 'No.', requestId = 'req_1'): object {
  return { error: { code, message, requestId } };
}

/** A client for the server, closed by the caller. */
export function clientFor(url: string, options: Partial<RivyaClientOptions> = {}): RivyaClient {
  return createRivyaClient({ baseUrl: url, keys: staticKey(API_KEY), timeouts: PATIENT, env: {}, ...options });
}

/** The error of a call that must fail, checked for the key in every form in which an error is shown. */
export async function failure(call: Promise<unknown>, key = API_KEY): Promise<RivyaApiError> {
  const error: unknown = await call.then(
    (value) => {
      throw new Error(`the call answered ${JSON.stringify(value)}`);
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof RivyaApiError)) throw error;
  const shown = [
    String(error),
    JSON.stringify(error),
    inspect(error, { depth: 10, showHidden: true }),
    error.stack,
  ].join();
  if (shown.includes(key) || shown.includes(encodeURIComponent(key))) expect.fail('the error shows the key');
  if (error.cause !== undefined) throw new Error('the error carries a cause');
  return error;
}
