/** The settings of the environment: every `RIVYA_*` variable, read once. A wrong value is an error at start, by its name. */
import { isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
// Not by the index of a folder where that loads an HTTP client: commands read settings before they need one.
import { keyFile, staticKey, type KeySource } from './api/key-source.js';
import { parseEncryptionKeys, type EncryptionKeys } from './codec/keys.js';
import { DEFAULT_BASE_URL, DEFAULT_TASK_QUEUE } from './contract/index.js';
import { parseBaseUrl, proxyOf } from './http/address.js';
import { openStore } from './storage/open.js';
import type { SidecarPrompts } from './storage/sidecar.js';
import { MAX_RESULT_BYTES, type Store } from './storage/store.js';
import type { SpendingPolicy } from './policy/index.js';
import { nearest } from './policy/nearest.js';
import { readPolicyFile, readSettingFile } from './spending-policy.js';

const PREFIX = 'RIVYA_';

export const WORKER_ROLES = ['workflows', 'results', 'api'] as const;
export type WorkerRole = (typeof WORKER_ROLES)[number];

export interface Settings {
  /** Null where neither `RIVYA_API_KEY` nor `RIVYA_API_KEY_FILE` is set. */
  readonly keys: KeySource | null;
  readonly baseUrl: string;
  /** Calls a minute for this key, over all Workers. 1 to 100,000. */
  readonly rateLimitPerMinute: number;
  readonly taskQueue: string;
  readonly roles: ReadonlySet<WorkerRole>;
  /** Null: results stay links. */
  readonly store: Store | null;
  readonly trustedResultHosts: ReadonlySet<string>;
  /** Largest result in bytes. */
  readonly maxResultBytes: number;
  readonly sidecarPrompts: SidecarPrompts;
  /** Null: no rules. */
  readonly policy: SpendingPolicy | null;
  /** Directories below which references may be read; none: local files are refused. */
  readonly referenceRoots: readonly string[];
  /** Base of the links into the Temporal UI, without a slash at the end, or null. */
  readonly uiUrl: string | null;
  /** Null: payloads are not encrypted. */
  readonly encryption: EncryptionKeys | null;
  /** Of the codec server; null: it makes one. */
  readonly codecToken: string | null;
  /** The version of a Worker Deployment that this process is; null: none. */
  readonly deployment: { readonly deploymentName: string; readonly buildId: string } | null;
  /** Seconds of delay that one status call is worth; 0: the fixed schedule. */
  readonly patience: number;
  /** Where metrics are served for Prometheus; null: nowhere. */
  readonly metricsAddress: ListenAddress | null;
  /** Where metrics are sent to by OTLP over gRPC; null: nowhere. */
  readonly otlpUrl: string | null;
  /** Where `/healthz` and `/readyz` are served; null: nowhere. */
  readonly healthAddress: ListenAddress | null;
}

/** An IP address and a port of this machine. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Wrong settings. The message names each wrong variable. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

const list = z.string().transform((text) => text.split(',').flatMap((item) => item.trim() || []));
const queueName = z.string().trim().min(1, 'is empty').max(200, 'must be at most 200 characters');

/** A setting that a function reads; the message of its error is the problem. */
function readWith<T>(read: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return read(text);
    } catch (error) {
      context.addIssue(error instanceof Error ? error.message : String(error));
      return z.NEVER;
    }
  });
}

// The Service joins the two by a dot or a colon.
const versionPart = z.string().regex(/^[\w-]{1,100}$/, 'must be 1 to 100 characters of A-Z a-z 0-9 _ -');
const listenAddress = readWith((value): ListenAddress => {
  const [, host = '', port] = /^\[?([\da-fA-F.:]+?)\]?:(\d{1,5})$/.exec(value) ?? [];
  if (isIP(host) === 0 || Number(port) > 65_535)
    throw new Error('must be an IP address and a port, as in 127.0.0.1:9464 or 0.0.0.0:9464');
  return { host, port: Number(port) };
});
const resultHost = z
  .string()
  .toLowerCase()
  .regex(/^[^\s/@]+$/, 'must be host[:port], comma separated');
const referenceRoot = z
  .string()
  .refine((root) => path.isAbsolute(root), 'must be absolute directories, comma separated');
const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** Every setting: how it is read, and its default. */
export const Environment = z.object({
  RIVYA_API_KEY: readWith(staticKey).optional(),
  RIVYA_API_KEY_FILE: readWith(keyFileOf).optional(),
  RIVYA_BASE_URL: readWith((value) => withoutSlash(parseBaseUrl(value).href)).prefault(DEFAULT_BASE_URL),
  RIVYA_RATE_LIMIT_PER_MINUTE: z.coerce
    .number('must be a number of calls a minute')
    .min(1, 'must be at least 1')
    .max(100_000, 'must be at most 100000')
    .default(60),
  RIVYA_TASK_QUEUE: queueName.default(DEFAULT_TASK_QUEUE),
  RIVYA_WORKER_ROLES: list
    .pipe(z.array(z.enum(WORKER_ROLES, `must be some of ${WORKER_ROLES.join(',')}`)).min(1, 'names no role'))
    .default([...WORKER_ROLES]),
  // Only checked here: `readSettings` opens it with the settings of S3.
  RIVYA_STORE: readWith((address) => openStore(address).address).optional(),
  // The message does not repeat the value: people put credentials there.
  RIVYA_S3_ENDPOINT: z
    .string()
    .regex(/^https?:\/\/[^\s/@?#]+\/?$/, 'must be the URL of a service, http(s)://host[:port], without credentials')
    .optional(),
  RIVYA_S3_PATH_STYLE: z.enum(['0', '1'], 'must be 1 or 0').default('0'),
  RIVYA_TRUSTED_RESULT_HOSTS: list.pipe(z.array(resultHost)).default([]),
  RIVYA_MAX_RESULT_BYTES: z.coerce
    .number('must be a number of bytes')
    .int('must be a whole number of bytes')
    .min(1, 'must be at least 1')
    .default(MAX_RESULT_BYTES),
  RIVYA_SIDECAR_PROMPTS: z.enum(['full', 'digest'], 'must be full or digest').default('full'),
  // `userMetadata` reads it.
  RIVYA_SUMMARY_PROMPTS: z.enum(['0', '1'], 'must be 1 or 0').default('1'),
  RIVYA_POLICY_FILE: readWith(readPolicyFile).optional(),
  RIVYA_REFERENCE_ROOTS: list.pipe(z.array(referenceRoot)).default([]),
  RIVYA_UI_URL: z.url('must be a URL').transform(withoutSlash).optional(),
  RIVYA_ENCRYPTION_KEYS: readWith(parseEncryptionKeys).optional(),
  RIVYA_ENCRYPTION_KEYS_FILE: readWith(encryptionKeysFile).optional(),
  // It stands in an address, and opens all payloads.
  RIVYA_CODEC_TOKEN: z
    .string()
    .regex(/^[\w.~-]{16,256}$/, 'must be 16 to 256 characters of A-Z a-z 0-9 . _ ~ -')
    .optional(),
  RIVYA_PATIENCE: z
    .string()
    .regex(/^\d{1,4}(\.\d{1,2})?$/, 'must be a number of seconds like 1 or 0.25')
    .transform(Number)
    .pipe(z.number().max(3_600, 'must be at most 3600'))
    .default(1),
  RIVYA_DEPLOYMENT_NAME: versionPart.optional(),
  RIVYA_BUILD_ID: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'must be 1 to 100 characters of A-Z a-z 0-9 _ . -')
    .optional(),
  RIVYA_METRICS_ADDRESS: listenAddress.optional(),
  RIVYA_OTLP_URL: z
    .url({ protocol: /^https?$/, error: 'must be the URL of a collector, as in http://127.0.0.1:4317' })
    .optional(),
  RIVYA_HEALTH_ADDRESS: listenAddress.optional(),
});

/** Settings of which one stands in for the other. */
const ONLY_ONE = [
  ['RIVYA_API_KEY', 'RIVYA_API_KEY_FILE'],
  ['RIVYA_ENCRYPTION_KEYS', 'RIVYA_ENCRYPTION_KEYS_FILE'],
  // The SDK has one exporter.
  ['RIVYA_METRICS_ADDRESS', 'RIVYA_OTLP_URL'],
] as const;

/** Settings that go together. */
const TOGETHER = [
  ['RIVYA_DEPLOYMENT_NAME', 'RIVYA_BUILD_ID'],
  ['RIVYA_BUILD_ID', 'RIVYA_DEPLOYMENT_NAME'],
] as const;

/**
 * Reads the settings. An empty variable counts as not set.
 * @throws SettingsError that names each wrong variable.
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const { values, problems } = valuesOf(Environment, env);
  try {
    proxyOf(env);
  } catch (wrong) {
    problems.push((wrong as Error).message);
  }
  if (values === undefined || problems.length > 0) throw new SettingsError([...new Set(problems)].join('\n'));
  const { RIVYA_STORE: address, RIVYA_S3_ENDPOINT: endpoint } = values;
  const { RIVYA_DEPLOYMENT_NAME: deploymentName, RIVYA_BUILD_ID: buildId } = values;
  return {
    keys: values.RIVYA_API_KEY ?? values.RIVYA_API_KEY_FILE ?? null,
    baseUrl: values.RIVYA_BASE_URL,
    rateLimitPerMinute: values.RIVYA_RATE_LIMIT_PER_MINUTE,
    taskQueue: values.RIVYA_TASK_QUEUE,
    roles: new Set(values.RIVYA_WORKER_ROLES),
    store:
      address === undefined ? null : openStore(address, { endpoint, pathStyle: values.RIVYA_S3_PATH_STYLE === '1' }),
    trustedResultHosts: new Set(values.RIVYA_TRUSTED_RESULT_HOSTS),
    maxResultBytes: values.RIVYA_MAX_RESULT_BYTES,
    sidecarPrompts: values.RIVYA_SIDECAR_PROMPTS,
    policy: values.RIVYA_POLICY_FILE ?? null,
    referenceRoots: values.RIVYA_REFERENCE_ROOTS,
    uiUrl: values.RIVYA_UI_URL ?? null,
    encryption: encryptionIn(values),
    codecToken: values.RIVYA_CODEC_TOKEN ?? null,
    deployment: deploymentName && buildId ? { deploymentName, buildId } : null,
    patience: values.RIVYA_PATIENCE,
    metricsAddress: values.RIVYA_METRICS_ADDRESS ?? null,
    otlpUrl: values.RIVYA_OTLP_URL ?? null,
    healthAddress: values.RIVYA_HEALTH_ADDRESS ?? null,
  };
}

/** The keys that encrypt payloads alone, for what needs no other setting; null where none are set. @throws SettingsError */
export function encryptionOf(env: NodeJS.ProcessEnv = process.env): EncryptionKeys | null {
  const settings = Environment.pick({ RIVYA_ENCRYPTION_KEYS: true, RIVYA_ENCRYPTION_KEYS_FILE: true });
  const { values, problems } = valuesOf(settings, env);
  if (values === undefined || problems.length > 0) throw new SettingsError(problems.join('\n'));
  return encryptionIn(values);
}

type EncryptionValues = Pick<z.infer<typeof Environment>, 'RIVYA_ENCRYPTION_KEYS' | 'RIVYA_ENCRYPTION_KEYS_FILE'>;

function encryptionIn({ RIVYA_ENCRYPTION_KEYS, RIVYA_ENCRYPTION_KEYS_FILE }: EncryptionValues): EncryptionKeys | null {
  return RIVYA_ENCRYPTION_KEYS ?? RIVYA_ENCRYPTION_KEYS_FILE ?? null;
}

/** What variables say, and each problem by its variable. */
function valuesOf<T extends z.ZodType>(settings: T, env: NodeJS.ProcessEnv) {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const { data: values, error } = settings.safeParse(set);
  const problems = error?.issues.map(({ path: [name], message }) => `${String(name)}: ${message}`) ?? [];
  for (const [one, other] of ONLY_ONE) {
    if (set[one] !== undefined && set[other] !== undefined)
      problems.push(`${other}: set only one of ${one} and ${other}`);
  }
  for (const [one, other] of TOGETHER) {
    if (set[one] !== undefined && set[other] === undefined) problems.push(`${other}: is needed beside ${one}`);
  }
  return { values, problems };
}

// Read where they are needed; any value will do.
const SWITCHES = ['RIVYA_NO_DOWNLOAD', 'RIVYA_DEBUG'];

/** A sentence for each variable that is named like a setting and is none: a misspelt setting has no effect. */
export function unknownSettings(env: NodeJS.ProcessEnv = process.env): string[] {
  const known = [...Object.keys(Environment.shape), ...SWITCHES];
  const set = Object.keys(env).filter((name) => name.startsWith(PREFIX) && env[name] !== '');
  return set
    .filter((name) => !known.includes(name))
    .map((name) => {
      const meant = nearest(
        name.slice(PREFIX.length),
        known.map((one) => one.slice(PREFIX.length)),
      );
      const question = meant === null ? '' : ` Did you mean ${PREFIX}${meant}?`;
      return `Warning: ${name} is no setting, so it has no effect.${question}`;
    });
}

function keyFileOf(file: string): KeySource {
  // The message must not repeat a key that was put here by mistake.
  const named = file.trim().startsWith('rvya_sk_') ? '(a key, which belongs into RIVYA_API_KEY)' : file;
  if (readSettingFile(file, named).trim() === '') throw new Error(`the file ${named} is empty`);
  return keyFile(file);
}

function encryptionKeysFile(file: string): EncryptionKeys {
  // The message must not repeat keys that were put here by mistake.
  const named = /:[\w+/=-]{43,}/.test(file) ? '(keys, which belong into RIVYA_ENCRYPTION_KEYS)' : file;
  const text = readSettingFile(file, named);
  try {
    return parseEncryptionKeys(text);
  } catch (error) {
    throw new Error(`the file ${named}: ${(error as Error).message}`, { cause: error });
  }
}

/** True where a key for the real API is set. */
export function hasKey(env: NodeJS.ProcessEnv = process.env): boolean {
  return Boolean(env['RIVYA_API_KEY'] || env['RIVYA_API_KEY_FILE']);
}
