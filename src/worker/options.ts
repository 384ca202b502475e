import { readSettings, SettingsError, unknownSettings, type Settings, type WorkerRole } from '../config.js';
import { parsePolicy, type SpendingRules } from '../spending-policy.js';
import type { SidecarPrompts, Store } from '../storage/index.js';

/**
 * Settings in code. What is left out comes from the environment (`RIVYA_*`), with the defaults of docs/reference.md, so a key can
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
  /** Seconds of delay that one status call is worth: the more, the fewer calls. 0: a fixed schedule. Default 1. */
  readonly patience?: number;
  /** Where results and receipts are kept, for example `file:/data/rivya`, or a store of your own; null: results stay links. */
  readonly store?: string | Store | null;
  /** `http(s)://host[:port]` of a service that speaks the protocol of S3; default: as the AWS SDK is set. */
  readonly s3Endpoint?: string;
  /** True: `https://host/bucket`, as most services other than AWS want it. Default false. */
  readonly s3PathStyle?: boolean;
  /** `host[:port]` of result hosts that may be private or plain HTTP. Default none. */
  readonly trustedResultHosts?: readonly string[];
  /** Largest result that is stored, in bytes. Default 4 GB. */
  readonly maxResultBytes?: number;
  /** What the files beside results say of prompt and params. Default `full`. */
  readonly sidecarPrompts?: SidecarPrompts;
  /** Absolute directories below which `path` references may be read. Default none: they are refused. */
  readonly referenceRoots?: readonly string[];
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
  patience: 'RIVYA_PATIENCE',
  store: 'RIVYA_STORE',
  s3Endpoint: 'RIVYA_S3_ENDPOINT',
  s3PathStyle: 'RIVYA_S3_PATH_STYLE',
  trustedResultHosts: 'RIVYA_TRUSTED_RESULT_HOSTS',
  maxResultBytes: 'RIVYA_MAX_RESULT_BYTES',
  sidecarPrompts: 'RIVYA_SIDECAR_PROMPTS',
  referenceRoots: 'RIVYA_REFERENCE_ROOTS',
  roles: 'RIVYA_WORKER_ROLES',
} as const satisfies { [Option in Exclude<keyof RivyaOptions, 'policy'>]: string };

const OURS: ReadonlySet<string> = new Set([...Object.keys(VARIABLES), 'policy']);

/** Options of this package, and the rest, which belongs to Temporal. */
export function splitOptions<T extends RivyaOptions>(
  options: T,
): [ours: RivyaOptions, rest: Omit<T, keyof RivyaOptions>] {
  const part = (ours: boolean): object =>
    Object.fromEntries(Object.entries(options).filter(([name]) => OURS.has(name) === ours));
  return [part(true), part(false) as Omit<T, keyof RivyaOptions>];
}

const warned = new Set<string>();

/** The settings of the environment with these options over them. @throws SettingsError naming each wrong one. */
export function settingsOf({ store, ...others }: RivyaOptions, environment = process.env): Settings {
  for (const warning of unknownSettings(environment)) {
    if (!warned.has(warning)) process.emitWarning(warning.replace(/^Warning: /, ''));
    warned.add(warning);
  }
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
  // One that is misspelt is wrong too: a policy under another name would be no policy.
  const unknown = Object.keys(options).filter((name) => !OURS.has(name));
  const problems = unknown.length === 0 ? [] : [`${unknown.join(', ')}: no such option`];
  const orProblem = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  for (const [option, variable] of given) {
    env[variable] = orProblem(() => asText(options[option as keyof typeof VARIABLES], option)) ?? '';
  }
  const { policy = null } = options;
  const rules = policy === null ? null : orProblem(() => parsePolicy(policy, 'the option "policy"'));
  const settings = orProblem(() => readSettings(env));
  if (settings !== undefined && problems.length === 0) return { ...settings, ...(rules && { policy: rules }) };
  // Errors name the option that was given, not the variable that the option stands for.
  const names = new Map<string, string>(given.map(([option, variable]) => [variable, option]));
  const named = problems.join('\n').replace(/^RIVYA_[A-Z\d_]+/gm, (variable) => names.get(variable) ?? variable);
  throw new SettingsError(named);
}

function asText(value: TextOptions[keyof typeof VARIABLES], option: string): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  // The word for none. A Worker that has no role does nothing.
  if (value === null || (typeof value === 'object' && value.length === 0 && option !== 'roles')) return '';
  if (typeof value === 'object') {
    const split = value.find((entry) => entry.includes(','));
    if (split !== undefined) throw new SettingsError(`${option}: "${split}" must not hold a comma`);
  }
  const text = String(value);
  // An empty variable counts as not set, and an option that is empty by mistake must not fall back on a default.
  if (text.trim() === '') throw new SettingsError(`${option}: is empty`);
  return text;
}
