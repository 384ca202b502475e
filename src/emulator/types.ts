import type { ErrorCode, MediaKind } from '../contract/index.js';

/** The nine scopes of an API key, from the page "API Authentication". */
export const ALL_SCOPES = [
  'models:read',
  'generations:create',
  'generations:read',
  'files:create',
  'files:read',
  'credits:read',
  'webhooks:manage',
  'chat:create',
  'chat:read',
] as const;

export type Scope = (typeof ALL_SCOPES)[number];

export interface EmulatorKey {
  readonly key: string;
  /** Default `acct_emulator`. Tasks and credits belong to the account, the rate limit to the key. */
  readonly account?: string;
  /** Default all nine. */
  readonly scopes?: readonly Scope[];
  /** Default `active`. */
  readonly state?: 'active' | 'revoked' | 'expired';
}

/** What the documentation leaves open. A client must work with every setting. */
export interface EmulatorSwitches {
  /** HTTP status of an accepted create. Default 201. */
  readonly createStatus: 200 | 201 | 202;
  /** Whether a create is answered with the whole task, or as on the developers' page: no `final_credits`, no times. */
  readonly createBody: 'full' | 'short';
  /** Whether a repeated create gets the body that was stored, or the task as it is now. */
  readonly replay: 'stored' | 'current';
  /** Whether a refusal of body or credits is stored under its idempotency key and given again, with its `requestId`. */
  readonly storeRefusals: boolean;
  /** The same for HTTP 500. */
  readonly storeServerErrors: boolean;
  /** What a POST gets while the first one with its key still runs: 409, the first one's answer when it is there, or at once. */
  readonly concurrentPost: 'conflict' | 'wait' | 'replay';
  /** Whether idempotency keys are known per API key or per account. */
  readonly keyScope: 'apiKey' | 'account';
  /** How long an idempotency key is remembered, in milliseconds of the emulator's clock. Default for ever. */
  readonly keyLifetimeMs: number;
  /** Whether a result has all links, `primary_url` alone, or a null `primary_url` with an empty list. */
  readonly urls: 'present' | 'missing' | 'none';
  /** A failed task "may" carry an error object. */
  readonly errorOnFailed: 'present' | 'null';
  /** For so long after its end a succeeded task shows no result. Milliseconds, default 0. */
  readonly resultLagMs: number;
  /** Error of the API's clock: moves the `Date` header and all times of tasks, not their ageing. Milliseconds. */
  readonly clockOffsetMs: number;
  /** What a chat in a session that does not exist is refused with. */
  readonly unknownSession: 'notFound' | 'conflict';
  /** Whether a chat session belongs to the model that it began with. */
  readonly otherModelInSession: 'conflict' | 'allow';
  /** Whether a chat session takes a message while it answers another. */
  readonly busySession: 'conflict' | 'allow';
  /** Whether an attachment of a chat has to be a file that was uploaded here. */
  readonly chatFiles: 'any' | 'known';
  /** Form of `Retry-After` on 429 and 503. Default `none`: the documentation does not mention the header. */
  readonly retryAfter: 'none' | 'seconds' | 'date';
  /** HTTP status of an upload. Default 201. */
  readonly fileStatus: 200 | 201;
  /** Whether an upload is answered with all that is known of the file, or with `url` and `duration_token` alone. */
  readonly fileBody: 'full' | 'short';
  /** What the same bytes get when they are uploaded again: another address, or the first one. */
  readonly fileAgain: 'new' | 'same';
  /** How long an upload can be referred to, in milliseconds of the emulator's clock. Default for ever. */
  readonly fileLifetimeMs: number;
  /** Whether a reference to a video or a tune must carry its `durationToken`. A wrong one is refused in any case. */
  readonly durationToken: 'optional' | 'required';
}

export const FAULT_TARGETS = ['create', 'chat', 'status', 'models', 'credits', 'media', 'upload', 'file'] as const;

export type FaultTarget = (typeof FAULT_TARGETS)[number];

export interface RawReply {
  readonly status: number;
  readonly body: string;
  /** `base64` for bytes that no text can hold. Default: the body is text, sent as UTF-8. */
  readonly encoding?: 'utf8' | 'base64';
  readonly headers?: Readonly<Record<string, string>>;
}

/** What goes wrong. Names that end in `After` do the work first: the task exists and is charged. */
export type FaultAction =
  /** The documented envelope; nothing is done. `retryAfter` is sent as it is. */
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly retryAfter?: string; readonly message?: string }
  | { readonly kind: 'errorAfter'; readonly code: ErrorCode }
  | ({ readonly kind: 'reply' } & RawReply)
  | ({ readonly kind: 'replyAfter' } & RawReply)
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'dropBefore' }
  | { readonly kind: 'dropAfter' }
  /** The request is worked on late, also when its sender has given up. Milliseconds of real time. */
  | { readonly kind: 'delayBefore'; readonly ms: number }
  /** The work is done at once, its reply is late. Milliseconds of real time. */
  | { readonly kind: 'delayAfter'; readonly ms: number }
  /** Right `Content-Length`, but the connection ends after so many bytes of the body. */
  | { readonly kind: 'truncateAfter'; readonly bytes: number }
  /** Nothing is done and no answer comes; the connection ends with `close()`. */
  | { readonly kind: 'hang' }
  /** `create`: the task will end `failed`. */
  | { readonly kind: 'fail' }
  /** `create`: the task never ends. */
  | { readonly kind: 'stuck' }
  /** `create`: the task takes so long, in milliseconds at speed 1. */
  | { readonly kind: 'duration'; readonly ms: number }
  /** `create`: the task gets this ID, unless another one has it. */
  | { readonly kind: 'id'; readonly id: string }
  /** `status`: the task is shown with this status word, without result and error. */
  | { readonly kind: 'status'; readonly status: string };

export interface Fault {
  readonly on: FaultTarget;
  /** Only where the task's prompt, or the name of an uploaded file, contains this. */
  readonly prompt?: string;
  /** Only where this is the task's idempotency key. */
  readonly key?: string;
  /** So many matching requests pass unharmed first. Default 0. */
  readonly skip?: number;
  /** Then so many are hit. Default all. */
  readonly times?: number;
  readonly do: FaultAction;
}

/** A task that exists from the start. It is in the ledger, but nobody paid for it. */
export interface SeedTask {
  readonly id: string;
  readonly model: string;
  readonly status: 'succeeded' | 'failed';
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601: when it ended. */
  readonly updatedAt: string;
  /** Default: that of the first key. */
  readonly account?: string;
  readonly prompt?: string;
  /** Default: the emulator's own media. */
  readonly urls?: readonly string[];
}

export interface EmulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Address to listen on. Default `127.0.0.1`; the admin paths answer to loopback only, whatever is set here. */
  readonly host?: string;
  /** Milliseconds since the epoch. Default `Date.now`; asked once for each request. */
  readonly clock?: () => number | Promise<number>;
  /** Tasks age this much faster. Above 0, default 1. */
  readonly speed?: number;
  /** Milliseconds from create to end at speed 1: image 4,000, audio 6,000, video 9,000. The first quarter is `queued`. */
  readonly durations?: Partial<Record<MediaKind, number>>;
  /** Default: `rvya_sk_emulator`. */
  readonly keys?: readonly EmulatorKey[];
  /** Credits of each account at the start. Default 1,000. */
  readonly credits?: number;
  /** Calls in each minute of the clock, per API key. Default 600. */
  readonly rateLimitPerMinute?: number;
  /** All but switches, keys and rate windows is kept in this file: written before each reply that tells of it, read at the start. */
  readonly stateFile?: string;
  readonly switches?: Partial<EmulatorSwitches>;
  readonly faults?: readonly Fault[];
  readonly seedTasks?: readonly SeedTask[];
}

/** A request that arrived, in order of arrival. The API key is not kept. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly idempotencyKey: string | null;
  /** Of an upload, the name of its file alone. */
  readonly body: string;
  /** Milliseconds since the epoch, on the emulator's clock. */
  readonly at: number;
  /** HTTP status of the reply; null where none was sent whole. */
  readonly status: number | null;
}

export interface LedgerKey {
  /** Tasks that were created, and chats that were answered, under this idempotency key; more than one is a double payment. */
  readonly tasks: readonly string[];
  /** POSTs that arrived with it, whatever became of them. */
  readonly posts: number;
  /** Those of them that a fault hit. */
  readonly faulted: number;
  /** The different bodies that came with it. */
  readonly bodies: readonly string[];
  /** Credits taken at first; what is given back is not subtracted. */
  readonly charged: number;
}

export interface LedgerTask {
  readonly status: string;
  readonly account: string;
  readonly model: string;
  readonly prompt: string | null;
  readonly key: string | null;
  readonly reserved: number;
  readonly final: number;
  /** Arrival of each GET of this task, on the emulator's clock. */
  readonly checks: readonly number[];
}

export interface LedgerChat {
  readonly account: string;
  readonly model: string;
  readonly sessionId: string;
  readonly message: string;
  readonly key: string | null;
  readonly reserved: number;
  readonly final: number;
}

export interface LedgerFile {
  readonly account: string;
  readonly kind: MediaKind;
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The judge of every test about money. A paid task is one that was created and charged, whatever it ended as. */
export interface Ledger {
  readonly paidTasks: number;
  /** Chats that were answered, by the ID of the answer; each was paid for. */
  readonly chats: Readonly<Record<string, LedgerChat>>;
  readonly keys: Readonly<Record<string, LedgerKey>>;
  /** Tasks that were created without an idempotency key. */
  readonly withoutKey: readonly string[];
  readonly tasks: Readonly<Record<string, LedgerTask>>;
  /** Files that were uploaded, by their ID. */
  readonly files: Readonly<Record<string, LedgerFile>>;
  /** Balance of each account. */
  readonly credits: Readonly<Record<string, number>>;
}
