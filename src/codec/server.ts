/**
 * A codec server for the Temporal UI and the `temporal` CLI: it decrypts and encrypts payloads for whoever has its token, by
 * Temporal's protocol for remote codecs (`POST /decode`, `POST /encode`).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Payload } from '@temporalio/common';
import type { EncryptionCodec } from './codec.js';

// The Service takes messages of 4 MB, and Base64 makes them larger by a third; the UI sends some at once.
const MAX_BODY_BYTES = 16 * 2 ** 20;
const REQUEST_TIMEOUT_MS = 30_000;
const PREFLIGHT_SECONDS = 600;

export interface CodecServerOptions {
  readonly codec: EncryptionCodec;
  /** Whoever has it reads everything. */
  readonly token: string;
  /** Origins of pages that may ask, such as `http://localhost:8233`. */
  readonly origins: ReadonlySet<string>;
  /** Called with the reason where a payload stays encrypted, or a page may not ask. */
  readonly warn?: (message: string) => void;
}

/** The server, which does not listen yet. */
export function createCodecServer(options: CodecServerOptions): Server {
  const server = createServer((request, response) => {
    answer(request, options)
      .then(({ status, headers, body }) => {
        response.writeHead(status, { ...headers, ...SAFE });
        response.end(body === null ? undefined : JSON.stringify(body));
        // A body that was refused is not read to its end.
        if (status === 413) response.once('finish', () => request.destroy());
      })
      // Whoever asked has gone before the end of the body.
      .catch(() => response.destroy());
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  return server;
}

const SAFE = { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object | null;
}

async function answer(request: IncomingMessage, options: CodecServerOptions): Promise<Answer> {
  const { origin } = request.headers;
  const isKnown = origin !== undefined && options.origins.has(origin);
  const cors = { vary: 'origin', ...(isKnown && { 'access-control-allow-origin': origin, ...CORS }) };
  const refuse = (status: number, message: string, headers = {}): Answer => {
    return { status, headers: { ...cors, ...headers }, body: { message } };
  };
  if (origin !== undefined && !isKnown) {
    const message = `The origin ${origin} may not ask here. Start the codec server with --origin ${origin}`;
    // Its browser shows no body of a refused request.
    options.warn?.(message);
    return refuse(403, message);
  }
  // A browser asks before it sends, and without the token.
  if (request.method === 'OPTIONS') return { status: 204, headers: cors, body: null };
  const path = (request.url ?? '/').replace(/[?#].*$/, '').split('/');
  const work = path.pop();
  const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  // The UI can send a header only where people sign in to it, so the token may be in the address too.
  if (![bearer, path.at(-1)].some((given) => isSame(given, options.token))) {
    return refuse(401, 'The token is missing or wrong.', { 'www-authenticate': 'Bearer' });
  }
  if (work !== 'encode' && work !== 'decode') return refuse(404, 'There are POST /decode and POST /encode.');
  if (request.method !== 'POST') return refuse(405, 'Use POST.', { allow: 'POST, OPTIONS' });
  const text = await bodyOf(request);
  if (text === null) return refuse(413, `The body has more than ${MAX_BODY_BYTES} bytes.`);
  const payloads = readPayloads(text);
  if (payloads === null) return refuse(400, 'The body must be {"payloads": [{"metadata": {}, "data": "…"}]}.');
  const done = work === 'encode' ? await options.codec.encode(payloads) : await decoded(payloads, options);
  return { status: 200, headers: cors, body: { payloads: done.map(asJson) } };
}

const CORS = {
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': 'authorization, content-type, x-namespace, caller-type',
  'access-control-allow-credentials': 'true',
  // Chromium asks for it before a page may reach this machine.
  'access-control-allow-private-network': 'true',
  'access-control-max-age': String(PREFLIGHT_SECONDS),
};

/** One that cannot be decrypted stays as it is, so that the others can be read. */
function decoded(payloads: readonly Payload[], { codec, warn }: CodecServerOptions): Promise<Payload[]> {
  return Promise.all(
    payloads.map(async (payload) => {
      const [plain = payload] = await codec.decode([payload]).catch((error: unknown) => {
        warn?.((error as Error).message);
        return [payload];
      });
      return plain;
    }),
  );
}

function isSame(given: string | undefined, token: string): boolean {
  // Digests have one length, as the comparison needs it.
  const [one, other] = [given ?? '', token].map((text) => createHash('sha256').update(text).digest());
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}

/** Null where it is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return null;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The payloads of a body; null where it has none. */
function readPayloads(text: string): Payload[] | null {
  try {
    const { payloads } = JSON.parse(text) as { payloads: { metadata?: Record<string, string>; data?: string }[] };
    return payloads.map(({ metadata = {}, data = '' }) => ({
      metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, bytesOf(value)])),
      data: bytesOf(data),
    }));
  } catch {
    return null;
  }
}

const bytesOf = (base64: string): Buffer => Buffer.from(base64, 'base64');
const base64Of = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('base64');

function asJson({ metadata, data }: Payload): object {
  const named = Object.entries(metadata ?? {}).map(([name, value]) => [name, base64Of(value)]);
  return { metadata: Object.fromEntries(named) as object, data: base64Of(data) };
}
