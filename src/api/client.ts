/**
 * The Rivya API over HTTP. Each method sends at most one request, repeats nothing, and says of every failure whether the API
 * may have acted. The Activities call it; it knows nothing of Temporal.
 */
import type { Dispatcher } from 'undici';
import type { z } from 'zod';
import { DEFAULT_BASE_URL, type MediaKind } from '../contract/index.js';
import { parseBaseUrl } from '../http/address.js';
import * as answers from './answers.js';
import { InvalidRequest, RivyaApiError } from './errors.js';
import type { KeySource } from './key-source.js';
import { multipart, type FilePart } from './multipart.js';
import { openPools } from './pools.js';
import { aboutMoney, readReply, requestIdOf, type Answer, type Call } from './reply.js';
import { chatSchema, creditsSchema, fileSchema, isTaskId, modelListSchema, taskSchema } from './schemas.js';
import type { Secret } from './secret.js';
import { exchange, HTTP_TIMEOUTS, NoReply, type HttpRequest, type HttpTimeouts } from './transport.js';

/** Largest answer of a chat: a hundred times 100,000 tokens of English. A longer one would be paid for and lost. */
const MAX_CHAT_BYTES = 8 * 1024 * 1024;

export interface RivyaClientOptions {
  /** Default `https://rivya.ai`. HTTPS, or HTTP to this machine. */
  readonly baseUrl?: string;
  readonly keys: KeySource;
  /** Default {@link HTTP_TIMEOUTS}. */
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Sends every request instead of the client's own pools. It must not retry; `close` does not close it. */
  readonly dispatcher?: Dispatcher;
  /** Environment with HTTPS_PROXY and NO_PROXY. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface CreateGenerationInput {
  /** 1 to 255 visible ASCII characters. */
  readonly idempotencyKey: string;
  /** The request body as JSON text, sent byte for byte and not checked here: `readInput` does that. */
  readonly body: string;
  /** The API key, where the caller has recorded its fingerprint. Default: the current key. */
  readonly key?: Secret;
  readonly signal?: AbortSignal;
  /** Called when a connection is ready, right before the first byte; where it returns false, nothing is sent. */
  readonly maySend?: () => boolean;
}

export interface UploadFileInput extends FilePart, Pick<CreateGenerationInput, 'key' | 'signal'> {
  readonly kind: MediaKind;
  /** Has the API check the file against this model. */
  readonly model?: string;
  /** At most 128 characters. */
  readonly clientRequestId?: string;
}

/** Calls reject with InvalidRequest (an ID that cannot stand in a path; nothing was sent) or RivyaApiError. */
export interface RivyaClient {
  /** Of the API, without a slash at the end. */
  readonly baseUrl: string;
  /** Submits a generation, for money. */
  createGeneration(input: CreateGenerationInput): Promise<answers.TaskAnswer>;
  /** Sends one message to a chat model, for money, and waits for the whole answer. */
  createChat(input: CreateGenerationInput): Promise<answers.PostedChat>;
  /** @param maySend - As of `createGeneration`. */
  retrieveGeneration(taskId: string, maySend?: () => boolean): Promise<answers.TaskAnswer>;
  /** Uploads a file, which costs nothing. The stream is read once. */
  uploadFile(input: UploadFileInput): Promise<answers.FileAnswer>;
  retrieveFile(fileId: string, key?: Secret): Promise<answers.FileAnswer>;
  /** The public list of models; sends no key. */
  listModels(): Promise<answers.ModelsAnswer>;
  getCredits(): Promise<answers.CreditsAnswer>;
  /** Lets calls under way end, then closes the connections. */
  close(): Promise<void>;
}

/** A request, and what it costs. One with a body is a POST. */
interface Outgoing extends Partial<Pick<HttpRequest, 'maxBytes' | 'signal' | 'maySend'>> {
  /** Default: reading. */
  readonly purpose?: Call['purpose'];
  /** Default: the current key. Null sends none. */
  readonly key?: Secret | null | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | AsyncIterable<Uint8Array>;
}

function pathSegment(field: string, id: string): string {
  if (isTaskId(id)) return encodeURIComponent(id);
  throw new InvalidRequest(field, 'must be 1 to 256 characters that can stand in a path');
}

/** @throws InvalidAddress for a base URL or a proxy address that cannot be used. */
export function createRivyaClient(options: RivyaClientOptions): RivyaClient {
  const baseUrl = parseBaseUrl(options.baseUrl ?? DEFAULT_BASE_URL);
  const timeouts = { ...HTTP_TIMEOUTS, ...options.timeouts };
  const own =
    options.dispatcher === undefined ? openPools(baseUrl, timeouts.connect, options.env ?? process.env) : null;
  const prefix = `${baseUrl.pathname.replace(/\/+$/, '')}/api/v1`;
  let closing: Promise<void> | null = null;

  async function call<T>(resource: string, schema: z.ZodType<T>, out: Outgoing = {}): Promise<Answer<T>> {
    const { purpose = 'reading', body = null, headers, signal, maySend, maxBytes } = out;
    const key = out.key === undefined ? await currentKey(purpose) : out.key;
    const method = body === null ? 'GET' : 'POST';
    const path = `${prefix}${resource}`;
    let head: NoReply['head'] = null;
    try {
      const reply = await exchange(own?.[method === 'POST' ? 'post' : 'get'] ?? (options.dispatcher as Dispatcher), {
        method,
        origin: baseUrl.origin,
        path,
        headers: {
          accept: 'application/json',
          // An uncompressed body cannot unpack to more than its size.
          'accept-encoding': 'identity',
          'user-agent': 'rivya-temporal',
          ...(key !== null && { authorization: `Bearer ${key.reveal()}` }),
          ...headers,
        },
        body,
        limitMs: purpose === 'upload' ? timeouts.upload : method === 'POST' ? timeouts.post : timeouts.get,
        bodyLimitMs: timeouts.body,
        signal,
        maySend,
        maxBytes,
      });
      head = reply;
      return readReply(reply, { method, path, purpose, key }, schema);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      head = error.head;
      const outcome = error.sent ? 'unknown' : 'refused';
      const requestId = head === null ? null : requestIdOf(head, key);
      const message = `${method} ${path}: ${error.message}. ${aboutMoney(purpose, outcome)}`;
      throw new RivyaApiError(message, { outcome, httpStatus: head?.httpStatus ?? null, requestId });
    } finally {
      // The next call gets a rotated key; this one is not repeated.
      if (head?.httpStatus === 401 && key !== null) await options.keys.refresh().catch(() => null);
    }
  }

  async function currentKey(purpose: Call['purpose']): Promise<Secret> {
    const key = await options.keys.current();
    if (key !== null) return key;
    const message = `There is no API key, so no request was sent. ${aboutMoney(purpose, 'refused')}`;
    throw new RivyaApiError(message, { outcome: 'refused', code: 'api_key_missing' });
  }

  /** A request that costs money, without its purpose. */
  const payment = ({ idempotencyKey, ...sent }: CreateGenerationInput): Outgoing => ({
    ...sent,
    headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
  });

  return {
    baseUrl: baseUrl.href.replace(/\/+$/, ''),

    async createGeneration(input) {
      return answers.toTaskAnswer(await call('/generations', taskSchema, { ...payment(input), purpose: 'task' }));
    },

    async createChat(input) {
      const out: Outgoing = { ...payment(input), purpose: 'answer', maxBytes: MAX_CHAT_BYTES };
      return answers.toPostedChat(await call('/chat/completions', chatSchema, out));
    },

    async retrieveGeneration(taskId, maySend) {
      // A reply about another task, as from a cache on the way, must not end the wait for this one.
      const sameTask = taskSchema.refine((task) => task.id === taskId);
      const resource = `/generations/${pathSegment('taskId', taskId)}`;
      return answers.toTaskAnswer(await call(resource, sameTask, { maySend }));
    },

    async uploadFile({ kind, model, clientRequestId, key, signal, ...file }) {
      const { contentType, bytes, body } = multipart({ kind, model, client_request_id: clientRequestId }, file);
      const headers = { 'content-type': contentType, 'content-length': String(bytes) };
      return answers.toFileAnswer(await call('/files', fileSchema, { purpose: 'upload', key, headers, body, signal }));
    },

    async retrieveFile(fileId, key) {
      const resource = `/files/${pathSegment('fileId', fileId)}`;
      return answers.toFileAnswer(await call(resource, fileSchema, { key }));
    },

    async listModels() {
      const { value, serverTime, simulated } = await call('/models', modelListSchema, { key: null });
      return { ...value, serverTime, simulated };
    },

    async getCredits() {
      const { value, serverTime, simulated } = await call('/credits', creditsSchema);
      return { ...value, serverTime, simulated };
    },

    close() {
      closing ??= Promise.all([own?.get.close(), own?.post.close()]).then(() => {});
      return closing;
    },
  };
}
