import { readSettings, SettingsError, type Settings, type WorkerRole } from '../config.js';
import { parsePolicy, type SpendingRules } from '../spending-policy.js';
import type { Store } from '../storage/index.js';

/**
 * Settings in code. What is left out comes from the environment (`RIVYA_*`), with the defaults of the README, so a key can
 * stay out of the code.
 */
export interface RivyaOptions {
  /** Workflows and results; calls to the API run on `<taskQueue>-api`. One account, one queue. */
  readonly taskQueue?: string;
  /** The API key. It never enters a Workflow, a history or a log. */
  readonly apiKey?: string;
  /** A file with the key, read again each minute and after a 401, so that a key is changed without a restart. */
  readonly keyFile?: string;
  /** Where the API is: HTTPS, or HTTP to this machine. */
  readonly baseUrl?: string;
  /** Calls a minute for this key, over all Workers of the queue: 1 to 100,000. */
  readonly rateLimitPerMinute?: number;
  /** Where results and receipts are kept, for example `file:/data/rivya`, or a store of your own; null: results stay links. */
  readonly store?: string | Store | null;
  /** What this process runs; only `api` needs the key. */
  readonly roles?: readonly WorkerRole[];
  /** What may be paid for, whatever an input says. */
  readonly policy?: SpendingRules | null;
}

/** What can stand in a variable as well. */
type TextOptions = Omit<RivyaOptions, 'store'> & { readonly store?: string | null };

/** The variable that each option stands in for. */
const VARIABLES = {
  taskQueue: 'RIVYA_TASK_QUEUE',
  apiKey: 'RIVYA_API_KEY',
  keyFile: 'RIVYA_API_KEY_FILE',
  baseUrl: 'RIVYA_BASE_URL',
  rateLimitPerMinute: 'RIVYA_RATE_LIMIT_PER_MINUTE',
  store: 'RIVYA_STORE',
  roles: 'RIVYA_WORKER_ROLES',
} as const satisfies { [Option in Exclude<keyof RivyaOptions, 'policy'>]: string };

/** The rest of some options: what belongs to somebody else. */
export function withoutRivyaOptions<T extends RivyaOptions>(options: T): Omit<T, keyof RivyaOptions> {
  const ours = new Set([...Object.keys(VARIABLES), 'policy']);
  return Object.fromEntries(Object.entries(options).filter(([name]) => !ours.has(name))) as Omit<T, keyof RivyaOptions>;
}

/**
 * The settings of the environment with these options over them.
 * @throws SettingsError that names each wrong option or variable.
 */
export function settingsOf({ store, ...others }: RivyaOptions, environment = process.env): Settings {
  if (typeof store !== 'object' || store === null) {
    return read({ ...others, ...(store !== undefined && { store }) }, environment);
  }
  // It is open already: there is no address to read.
  return { ...read({ ...others, store: null }, environment), store };
}

function read(options: TextOptions, environment: NodeJS.ProcessEnv): Settings {
  const env = { ...environment };
  // One of the two options replaces both variables.
  if (options.apiKey !== undefined || options.keyFile !== undefined) {
    delete env[VARIABLES.apiKey];
    delete env[VARIABLES.keyFile];
  }
  if (options.policy !== undefined) delete env['RIVYA_POLICY_FILE'];
  const given = Object.entries(VARIABLES).filter(([option]) => options[option as keyof typeof VARIABLES] !== undefined);
  for (const [option, variable] of given) env[variable] = asText(options[option as keyof typeof VARIABLES], option);
  const settings = named(given, () => readSettings(env));
  if (options.policy == null) return settings;
  const { policy } = options;
  return named([], () => ({ ...settings, policy: parsePolicy(policy, 'the option "policy"') }));
}

function asText(value: TextOptions[keyof typeof VARIABLES], option: string): string {
  const text = value === null ? '' : String(value);
  // An empty variable counts as not set, and an option that is empty by mistake must not fall back on a default.
  if (text.trim() === '' && !(option === 'store' && value === null)) throw new SettingsError(`${option}: is empty`);
  return text;
}

/** Whoever gave an option looks for its name in the error, not for that of a variable. */
function named<T>(given: readonly (readonly [option: string, variable: string])[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    const names = new Map(given.map(([option, variable]) => [variable, option]));
    const message = error instanceof Error ? error.message : String(error);
    throw new SettingsError(message.replace(/^RIVYA_[A-Z_]+/gm, (variable) => names.get(variable) ?? variable));
  }
}
