import type { MediaKind } from '../contract/index.js';
import type { TaskShape } from './faults.js';
import type { EmulatorKey, EmulatorSwitches } from './types.js';

export const DEFAULT_ACCOUNT = 'acct_emulator';

/** One request to the API, apart from HTTP. */
export interface Call {
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly idempotencyKey: string | null;
  readonly body: Buffer;
  readonly shape: TaskShape;
  /** Where the caller reached this server; media links begin with it. */
  readonly baseUrl: string;
  /** Milliseconds since the epoch; moves on where the call had to wait. */
  now: number;
  readonly refreshNow: () => Promise<void>;
  /** Waits, where a fault says that the work is done late. */
  readonly before: () => Promise<void>;
  /** Set by a create that other POSTs with its key may be waiting for; to be called when its reply has been sent. */
  finished?: () => void;
  /** True once this call has made a task. */
  created?: boolean;
}

/** The key of a call, and whose tasks and credits it is for. */
export interface Holder {
  readonly key: string;
  readonly account: string;
}

export function holderOf({ key, account = DEFAULT_ACCOUNT }: EmulatorKey): Holder {
  return { key, account };
}

export interface ApiSettings {
  keys: readonly EmulatorKey[];
  switches: EmulatorSwitches;
  readonly speed: number;
  readonly durations: Readonly<Record<MediaKind, number>>;
  readonly rateLimitPerMinute: number;
}
