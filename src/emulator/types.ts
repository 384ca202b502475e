import type { MediaKind } from '../contract/index.js';
import type { Fault } from './faults.js';
import type { EmulatorSwitches } from './switches.js';

/** The nine scopes of an API key, from the page "API Authentication". */
// prettier-ignore
export const ALL_SCOPES = [
  'models:read', 'generations:create', 'generations:read', 'files:create', 'files:read', 'credits:read',
  'webhooks:manage', 'chat:create', 'chat:read',
] as const;

export type Scope = (typeof ALL_SCOPES)[number];

/** An API key of the emulator. */
export interface EmulatorKey {
  readonly key: string;
  /** Default `acct_emulator`. Tasks and credits belong to the account, the rate limit to the key. */
  readonly account?: string;
  /** Default all nine. */
  readonly scopes?: readonly Scope[];
  /** Default `active`. */
  readonly state?: 'active' | 'revoked' | 'expired';
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

/** Options of `startEmulator`. */
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
  /** File that keeps all but switches, keys and rate windows: written before each reply about it, read at the start. */
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

/** Payments and POSTs of an idempotency key. */
export interface LedgerKey {
  /** Tasks that were created, and chats that were answered, under this idempotency key; more than one is a double payment. */
  readonly tasks: readonly string[];
  /** POSTs that arrived with it, answered or not. */
  readonly posts: number;
  /** Those of them that a fault hit. */
  readonly faulted: number;
  /** The different bodies that came with it. */
  readonly bodies: readonly string[];
  /** Credits taken at first; what is given back is not subtracted. */
  readonly charged: number;
}

/** A task, also one that nobody paid for. */
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

/** A chat that was answered. */
export interface LedgerChat {
  readonly id: string;
  readonly account: string;
  readonly model: string;
  readonly sessionId: string;
  readonly message: string;
  readonly key: string | null;
  readonly reserved: number;
  readonly final: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A file that was uploaded. Its bytes are kept in memory alone. */
export interface LedgerFile {
  readonly id: string;
  readonly account: string;
  readonly kind: MediaKind;
  readonly mimeType: string;
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** For video and audio. */
  readonly durationToken: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
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
