import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import type { AdminCalls } from './admin.js';
import { openApi } from './api.js';
import type { ApiSettings, Holder } from './call.js';
import { openFaults } from './faults.js';
import { openServer } from './server.js';
import { openState } from './state.js';
import { DEFAULT_SWITCHES, SWITCH_VALUES, withSwitches } from './switches.js';
import { newTask, type Task } from './tasks.js';
import { ALL_SCOPES, type EmulatorKey, type EmulatorOptions, type SeedTask } from './types.js';
import { checked } from './validate.js';

export type { Fault, FaultAction, FaultTarget } from './faults.js';
export type { EmulatorSwitches } from './switches.js';
export type * from './types.js';
export { ALL_SCOPES, DEFAULT_SWITCHES, SWITCH_VALUES };

/** A running emulator. */
export interface Emulator extends AdminCalls {
  /** Address of the API: `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  /** The first API key, or an empty text where there is none. */
  readonly apiKey: string;
  /** Stops listening and ends every connection, also those that hang. */
  close(): Promise<void>;
}

export const EMULATOR_API_KEY = 'rvya_sk_emulator';
const DEFAULT_ACCOUNT = 'acct_emulator';
/** Far above the cheapest batch that a person tries, and below what a runaway loop spends unnoticed. */
const DEFAULT_CREDITS = 1000;
/** Short enough to watch, long enough for three or four status checks at the documented pace. Milliseconds. */
const DEFAULT_DURATIONS = { image: 4000, audio: 6000, video: 9000 };
/** Out of the way unless a test lowers it; the limit of the live API is not published. */
const DEFAULT_RATE_LIMIT = 600;

const KEYS = z.array(z.looseObject({ key: z.string() }));

function holdersOf(keys: readonly EmulatorKey[]): Holder[] {
  checked(KEYS, keys, 'Not API keys');
  return keys.map((key) => ({ ...key, account: key.account ?? DEFAULT_ACCOUNT }));
}

function seededTask({ status, createdAt, updatedAt, ...seed }: SeedTask, account: string): Task {
  const began = Date.parse(createdAt);
  const times = { createdAt: began, startsAt: began, endsAt: Date.parse(updatedAt) };
  return newTask({ account, ...seed, ...times, outcome: status });
}

/**
 * Starts the Rivya API as a local server over real HTTP. Nothing it does costs money and none of its media is real;
 * every reply says so in the header `x-rivya-simulated`.
 * @throws TypeError for a fault or switch that does not exist; Error for a state file that cannot be read or a port in use.
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { clock = Date.now, speed = 1, host = '127.0.0.1' } = options;
  if (!(speed > 0)) throw new TypeError(`"speed" must be above 0, not ${speed}.`);
  const atStart = withSwitches(DEFAULT_SWITCHES, options.switches ?? {});
  const keys = holdersOf(options.keys ?? [{ key: EMULATOR_API_KEY }]);
  const { rateLimitPerMinute = DEFAULT_RATE_LIMIT } = options;
  const settings: ApiSettings = {
    keys,
    switches: atStart,
    speed,
    durations: { ...DEFAULT_DURATIONS, ...options.durations },
    rateLimitPerMinute,
  };
  const state = openState(settings, options.credits ?? DEFAULT_CREDITS, options.stateFile);
  const faults = openFaults(state.countUse);
  const api = openApi(state);

  const begin = (): void => {
    faults.set(options.faults ?? []);
    for (const seed of options.seedTasks ?? []) {
      if (state.tasks.has(seed.id)) continue;
      state.tasks.set(seed.id, seededTask(seed, keys[0]?.account ?? DEFAULT_ACCOUNT));
    }
    state.journal.save();
  };
  begin();

  const calls: AdminCalls = {
    ledger: async () => state.ledger(await clock()),
    requests: () => http.requests.map((request) => ({ ...request })),
    setFaults: (next) => {
      faults.set(next);
      state.forgetUses();
    },
    setSwitches: (changes) => void (settings.switches = withSwitches(settings.switches, changes)),
    setKeys: (next) => void (settings.keys = holdersOf(next)),
    setCredits: async (account = settings.keys[0]?.account ?? DEFAULT_ACCOUNT, credits) => {
      state.setCredits(account, credits, await clock());
      state.journal.save();
    },
    setRateLimit: (perMinute) => {
      if (!(perMinute >= 1)) throw new TypeError(`A rate limit is 1 call a minute or more, not ${perMinute}.`);
      settings.rateLimitPerMinute = perMinute;
    },
    endTasks: async (prompt = '') => {
      state.endTasks(prompt, await clock());
      state.journal.save();
    },
    reset: () => {
      state.journal.clear();
      api.clear();
      http.requests.length = 0;
      settings.keys = keys;
      settings.switches = atStart;
      settings.rateLimitPerMinute = rateLimitPerMinute;
      begin();
    },
  };
  const http = openServer(api, state, faults, calls, clock);

  await new Promise<void>((resolve, reject) => {
    http.server.once('error', reject);
    http.server.listen(options.port ?? 0, host, resolve);
  }).catch((error: unknown) => {
    state.journal.close();
    throw error;
  });
  const { port } = http.server.address() as AddressInfo;
  // A wildcard address is for listening; callers on this machine use loopback.
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const close = async (): Promise<void> => {
    await http.close();
    state.journal.close();
  };
  return { ...calls, url: `http://${reachable}:${port}`, apiKey: keys[0]?.key ?? '', close };
}
