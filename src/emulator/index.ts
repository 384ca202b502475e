import type { AddressInfo } from 'node:net';
import type { AdminCalls } from './admin.js';
import { Api } from './api.js';
import { DEFAULT_ACCOUNT, type ApiSettings } from './call.js';
import { findModel } from './catalogue.js';
import { Faults } from './faults.js';
import { HttpServer } from './server.js';
import { State } from './state.js';
import { DEFAULT_SWITCHES, withSwitches } from './switches.js';
import type { Task } from './tasks.js';
import { ALL_SCOPES, type EmulatorKey, type EmulatorOptions, type SeedTask } from './types.js';

export type * from './types.js';
export { ALL_SCOPES, DEFAULT_SWITCHES };
export { SWITCH_VALUES } from './switches.js';

export interface Emulator extends AdminCalls {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  /** The first key, or an empty text where there is none. */
  readonly apiKey: string;
  /** Stops listening and ends every connection, also those that hang. */
  close(): Promise<void>;
}

export const EMULATOR_API_KEY = 'rvya_sk_emulator';
const DEFAULT_KEYS: readonly EmulatorKey[] = [{ key: EMULATOR_API_KEY, account: DEFAULT_ACCOUNT, scopes: ALL_SCOPES }];
/** Far above the cheapest batch that a person tries, and below what a runaway loop spends unnoticed. */
const DEFAULT_CREDITS = 1000;
/** Short enough to watch, long enough for three or four status checks at the documented pace. Milliseconds. */
const DEFAULT_DURATIONS = { image: 4000, audio: 6000, video: 9000 };
/** Out of the way unless a test lowers it; the limit of the live API is not published. */
const DEFAULT_RATE_LIMIT = 600;

function seededTask(seed: SeedTask, account: string): Task {
  const endsAt = Date.parse(seed.updatedAt);
  return {
    id: seed.id,
    account: seed.account ?? account,
    model: seed.model,
    prompt: seed.prompt ?? null,
    params: {},
    key: null,
    reserved: findModel(seed.model)?.credits ?? 0,
    createdAt: Date.parse(seed.createdAt),
    startsAt: Date.parse(seed.createdAt),
    endsAt,
    outcome: seed.status,
    urls: seed.urls ?? null,
    charged: false,
    checks: [],
    refunded: false,
  };
}

/**
 * Starts the Rivya API as a local server over real HTTP. Nothing it does costs money and none of its media is real;
 * every reply says so in the header `x-rivya-simulated`.
 * @throws TypeError for a fault or switch that does not exist; Error for a state file that cannot be read or a port in use.
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { clock = Date.now, speed = 1, keys = DEFAULT_KEYS, host = '127.0.0.1' } = options;
  if (!(speed > 0)) throw new TypeError(`"speed" must be above 0, not ${speed}.`);
  const atStart = withSwitches(DEFAULT_SWITCHES, options.switches ?? {});
  const settings: ApiSettings = {
    keys,
    switches: atStart,
    speed,
    durations: { ...DEFAULT_DURATIONS, ...options.durations },
    rateLimitPerMinute: options.rateLimitPerMinute ?? DEFAULT_RATE_LIMIT,
  };
  const state = new State(options.credits ?? DEFAULT_CREDITS, options.stateFile);
  const faults = new Faults((fault) => state.countUse(fault));
  const api = new Api(state, settings);
  const accountOf = (key: EmulatorKey | undefined): string => key?.account ?? DEFAULT_ACCOUNT;

  const begin = (): void => {
    faults.set(options.faults ?? []);
    for (const seed of options.seedTasks ?? []) {
      if (state.task(seed.id) === undefined) state.addTask(seededTask(seed, accountOf(keys[0])));
    }
  };
  begin();
  state.save();

  const calls: AdminCalls = {
    ledger: async () => state.ledger(settings.keys.map(accountOf), await clock()),
    requests: () => http.requests.map((request) => ({ ...request })),
    setFaults: (next) => {
      faults.set(next);
      state.forgetUses();
    },
    setSwitches: (changes) => {
      settings.switches = withSwitches(settings.switches, changes);
    },
    setKeys: (next) => {
      if (!next.every((key) => typeof key?.key === 'string')) throw new TypeError('Each key needs a text "key".');
      settings.keys = next;
    },
    setCredits: async (account, credits) => {
      state.setCredits(account ?? accountOf(settings.keys[0]), credits, await clock());
      state.save();
    },
    reset: () => {
      state.clear();
      api.clear();
      http.requests.length = 0;
      settings.keys = keys;
      settings.switches = atStart;
      begin();
      state.save();
    },
  };
  const http = new HttpServer({ api, state, faults, clock, admin: calls, switches: () => settings.switches });

  await new Promise<void>((resolve, reject) => {
    http.server.once('error', reject);
    http.server.listen(options.port ?? 0, host, resolve);
  }).catch((error: unknown) => {
    state.close();
    throw error;
  });
  const { port } = http.server.address() as AddressInfo;
  // A wildcard address is for listening; callers on this machine use loopback.
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const close = async (): Promise<void> => {
    await http.close();
    state.close();
  };
  return { ...calls, url: `http://${reachable}:${port}`, apiKey: keys[0]?.key ?? '', close };
}
