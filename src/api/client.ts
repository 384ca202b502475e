import type { Dispatcher } from 'undici';
import type { z } from 'zod';
import { DEFAULT_BASE_URL, type MediaKind } from '../contract/index.js';
import { parseBaseUrl } from './address.js';
import { chatSchema, MAX_CHAT_BYTES, toPostedChat, type PostedChat } from './chat.js';
import { InvalidRequest, RivyaApiError } from './errors.js';
import type { KeySource } from './key-source.js';
import { aboutMoney, readReply, requestIdOf, type Answer, type Reply } from './reply.js';
import { multipart, type FilePart } from './multipart.js';
import { openPools } from './pools.js';
import { creditsSchema, fileSchema, isTaskId, modelListSchema, taskSchema, type ModelInfo } from './schemas.js';
import type { Secret } from './secret.js';
import { toTaskAnswer, type TaskAnswer } from './task-answer.js';
import { exchange, HTTP_TIMEOUTS, NoReply, type HttpRequest, type HttpTimeouts } from './transport.js';

export interface RivyaClientOptions {
  /** Default `https://rivya.ai`. HTTPS, or HTTP to this machine. */
  readonly baseUrl?: string;
  readonly keys: KeySource;
  /** Default {@link HTTP_TIMEOUTS}. */
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Used for every request instead of the client's own pools. It must not retry, and `close` leaves it open. */
  readonly dispatcher?: Dispatcher;
  /** Where HTTPS_PROXY and NO_PROXY are read from. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface CreateGenerationInput {
  /** 1 to 255 visible ASCII characters. */
  readonly idempotencyKey: string;
  /** The request body as JSON text. These very bytes are sent, and nothing in them is checked here: `readInput` does that. */
  readonly body: string;
  /** The key whose fingerprint the caller has recorded. Default: the current key. */
  readonly key?: Secret;
  readonly signal?: AbortSignal;
  /** Asked when a connection is ready, right before the first byte; where it says no, nothing is sent. */
  readonly maySend?: () => boolean;
}

export interface UploadFileInput extends FilePart, Pick<CreateGenerationInput, 'signal'> {
  readonly kind: MediaKind;
  /** Has the API check the file against this model. */
  readonly model?: string;
  /** At most 128 characters. */
  readonly clientRequestId?: string;
  /** Default: the current key. */
  readonly key?: Secret;
}

/** An upload as the API describes it. What it left out is null. */
export interface FileAnswer {
  readonly fileId: string | null;
  readonly url: string | null;
  readonly durationToken: string | null;
  readonly durationSeconds: number | null;
  readonly mimeType: string | null;
  readonly simulated: boolean;
}

export interface CreditsAnswer {
  /** Null where the reply did not tell. */
  readonly currentCredits: number | null;
  readonly serverTime: number | null;
  readonly simulated: boolean;
}

export interface ModelsAnswer {
  readonly models: readonly ModelInfo[];
  readonly serverTime: number | null;
  readonly simulated: boolean;
}

/**
 * The Rivya API over HTTP. Each method sends at most one request and repeats nothing. Calls reject with InvalidRequest
 * (an ID that cannot stand in a path; nothing sent) or RivyaApiError (which says whether the API may have acted).
 */
export interface RivyaClient {
  /** Of the API, without a slash at the end. */
  readonly baseUrl: string;
  /** Submits a generation, for money. */
  createGeneration(input: CreateGenerationInput): Promise<TaskAnswer>;
  /** Sends one message to a chat model, for money. The answer is that of the whole call. */
  createChat(input: CreateGenerationInput): Promise<PostedChat>;
  /** @param maySend - As of `createGeneration`. */
  retrieveGeneration(taskId: string, maySend?: () => boolean): Promise<TaskAnswer>;
  /** Uploads a file, which costs nothing. The stream is read once. */
  uploadFile(input: UploadFileInput): Promise<FileAnswer>;
  retrieveFile(fileId: string, key?: Secret): Promise<FileAnswer>;
  /** The public list of models; sends no key. */
  listModels(): Promise<ModelsAnswer>;
  getCredits(): Promise<CreditsAnswer>;
  /** Lets calls under way end, then closes the connections. */
  close(): Promise<void>;
}

function segment(field: string, id: string): string {
  if (isTaskId(id)) return encodeURIComponent(id);
  throw new InvalidRequest(field, 'must be 1 to 256 characters that can stand in a path');
}

function toFileAnswer({ value, simulated }: Answer<z.output<typeof fileSchema>>): FileAnswer {
  const { id, url, duration_token: durationToken, duration_seconds: durationSeconds, mime_type: mimeType } = value;
  return { fileId: id, url, durationToken, durationSeconds, mimeType, simulated };
}

/** @throws InvalidAddress for a base URL or a proxy address that cannot be used. */
export function createRivyaClient(options: RivyaClientOptions): RivyaClient {
  const baseUrl = parseBaseUrl(options.baseUrl ?? DEFAULT_BASE_URL);
  const timeouts = { ...HTTP_TIMEOUTS, ...options.timeouts };
  const own =
    options.dispatcher === undefined ? openPools(baseUrl, timeouts.connect, options.env ?? process.env) : null;
  let closing: Promise<void> | null = null;
  const prefix = `${baseUrl.pathname.replace(/\/+$/, '')}/api/v1`;

  interface Outgoing extends Partial<Pick<HttpRequest, 'maxBytes' | 'signal' | 'maySend'>> {
    readonly key: Secret | null;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string | AsyncIterable<Uint8Array>;
    /** True for a POST that costs nothing. */
    readonly free?: boolean;
    readonly makes?: 'task' | 'answer';
  }

  async function call<T>(
    method: 'GET' | 'POST',
    resource: string,
    schema: z.ZodType<T>,
    out: Outgoing,
  ): Promise<Answer<T>> {
    const path = `${prefix}${resource}`;
    const { free = false, makes = 'task' } = out;
    const streams = typeof out.body === 'object';
    let head: Pick<Reply, 'httpStatus' | 'headers'> | null = null;
    try {
      const reply = await exchange(own?.[method === 'POST' ? 'post' : 'get'] ?? (options.dispatcher as Dispatcher), {
        method,
        origin: baseUrl.origin,
        path,
        headers: {
          accept: 'application/json',
          // A body that is not packed cannot unpack to more than its size.
          'accept-encoding': 'identity',
          'user-agent': 'rivya-temporal',
          ...(out.key === null ? {} : { authorization: `Bearer ${out.key.reveal()}` }),
          ...out.headers,
        },
        body: out.body ?? null,
        limitMs: streams ? timeouts.upload : method === 'POST' ? timeouts.post : timeouts.get,
        bodyLimitMs: timeouts.body,
        signal: out.signal,
        maySend: out.maySend,
        maxBytes: out.maxBytes,
      });
      head = reply;
      return readReply(reply, { method, path, free, makes, key: out.key }, schema);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      head = error.head;
      const outcome = error.sent ? 'unknown' : 'refused';
      throw new RivyaApiError(`${method} ${path}: ${error.message}. ${aboutMoney({ method, free, makes }, outcome)}`, {
        outcome,
        httpStatus: head?.httpStatus ?? null,
        requestId: head === null ? null : requestIdOf(head, out.key),
      });
    } finally {
      // The next call should find a rotated key; this one is not repeated.
      if (head?.httpStatus === 401 && out.key !== null) await options.keys.refresh().catch(() => null);
    }
  }

  async function currentKey(method: 'GET' | 'POST'): Promise<Secret> {
    const key = await options.keys.current();
    if (key !== null) return key;
    throw new RivyaApiError(`There is no API key, so no request was sent. ${aboutMoney({ method }, 'refused')}`, {
      outcome: 'refused',
      code: 'api_key_missing',
    });
  }

  /** A call that costs money. */
  async function post<T>(
    resource: string,
    schema: z.ZodType<T>,
    { idempotencyKey, key, ...sent }: CreateGenerationInput,
    about: Pick<Outgoing, 'makes' | 'maxBytes'> = {},
  ): Promise<Answer<T>> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
    return call('POST', resource, schema, { ...sent, ...about, headers, key: key ?? (await currentKey('POST')) });
  }

  return {
    baseUrl: baseUrl.href.replace(/\/+$/, ''),

    async createGeneration(input) {
      return toTaskAnswer(await post('/generations', taskSchema, input));
    },

    async createChat(input) {
      const about = { makes: 'answer', maxBytes: MAX_CHAT_BYTES } as const;
      return toPostedChat(await post('/chat/completions', chatSchema, input, about));
    },

    async retrieveGeneration(taskId, maySend) {
      // A reply about another task, from a cache on the way, must not end the wait for this one.
      const sameTask = taskSchema.refine((task) => task.id === taskId);
      const resource = `/generations/${segment('taskId', taskId)}`;
      return toTaskAnswer(await call('GET', resource, sameTask, { key: await currentKey('GET'), maySend }));
    },

    async uploadFile({ kind, model, clientRequestId, key, signal, ...file }) {
      const { contentType, bytes, body } = multipart({ kind, model, client_request_id: clientRequestId }, file);
      const headers = { 'content-type': contentType, 'content-length': String(bytes) };
      const used = key ?? (await currentKey('POST'));
      return toFileAnswer(await call('POST', '/files', fileSchema, { key: used, headers, body, free: true, signal }));
    },

    async retrieveFile(fileId, key) {
      const resource = `/files/${segment('fileId', fileId)}`;
      return toFileAnswer(await call('GET', resource, fileSchema, { key: key ?? (await currentKey('GET')) }));
    },

    async listModels() {
      const { value, serverTime, simulated } = await call('GET', '/models', modelListSchema, { key: null });
      return { models: value, serverTime, simulated };
    },

    async getCredits() {
      const key = await currentKey('GET');
      const { value, serverTime, simulated } = await call('GET', '/credits', creditsSchema, { key });
      return { currentCredits: value.current_credits, serverTime, simulated };
    },

    close() {
      closing ??= Promise.all([own?.get.close(), own?.post.close()]).then(() => {});
      return closing;
    },
  };
}
