import type { MediaKind } from '../contract/index.js';
import type { PickedFault } from './faults.js';
import type { EmulatorSwitches } from './switches.js';
import type { EmulatorKey } from './types.js';

/** One request to the API, apart from HTTP. */
export interface Call {
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly idempotencyKey: string | null;
  readonly body: Buffer;
  readonly fault: PickedFault;
  /** Address under which the caller reached this server; media links begin with it. */
  readonly baseUrl: string;
  /** Milliseconds since the epoch; moves on where the call had to wait. */
  now: number;
  readonly refreshNow: () => Promise<void>;
  /** Waits, where a fault says that the work is done late. */
  readonly before: () => Promise<void>;
  /** Ends the wait of other POSTs with this key. To be called when the reply has been sent. */
  finished?: () => void;
  /** True once this call has made a task. */
  created?: boolean;
}

/** An API key with its account, which tasks and credits are for. */
export type Holder = EmulatorKey & Required<Pick<EmulatorKey, 'account'>>;

/** Settings of a running emulator. */
export interface ApiSettings {
  keys: readonly Holder[];
  switches: EmulatorSwitches;
  readonly speed: number;
  readonly durations: Readonly<Record<MediaKind, number>>;
  rateLimitPerMinute: number;
}
