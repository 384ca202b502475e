import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { keyFile, parseBaseUrl, staticKey, type KeySource } from './api/index.js';
import { DEFAULT_BASE_URL, DEFAULT_TASK_QUEUE } from './contract/index.js';
import { MAX_RESULT_BYTES, openStore, type SidecarPrompts, type Store } from './storage/index.js';
import type { SpendingPolicy } from './policy/index.js';
import { readPolicyFile } from './spending-policy.js';

export const WORKER_ROLES = ['workflows', 'results', 'api'] as const;
export type WorkerRole = (typeof WORKER_ROLES)[number];

/** The settings, read once from the environment. */
export interface Settings {
  /** Null when neither `RIVYA_API_KEY` nor `RIVYA_API_KEY_FILE` is set. */
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
  /** What the files beside results say of the prompt. */
  readonly sidecarPrompts: SidecarPrompts;
  /** Null: no limits but those of the account. */
  readonly policy: SpendingPolicy | null;
  /** Directories below which references may be read; none: local files are refused. */
  readonly referenceRoots: readonly string[];
  /** Base of the links into the Temporal UI, without a slash at the end, or null. */
  readonly uiUrl: string | null;
}

/** A setting is wrong. The message names each wrong variable. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

const Environment = z.object({
  RIVYA_API_KEY: z.string().optional(),
  RIVYA_API_KEY_FILE: z.string().optional(),
  RIVYA_BASE_URL: z.string().default(DEFAULT_BASE_URL),
  RIVYA_RATE_LIMIT_PER_MINUTE: z.coerce
    .number('must be a number of calls a minute')
    .min(1, 'must be at least 1')
    .max(100_000, 'must be at most 100000')
    .default(60),
  RIVYA_TASK_QUEUE: z
    .string()
    .trim()
    .min(1, 'is empty')
    .max(200, 'must be at most 200 characters')
    .default(DEFAULT_TASK_QUEUE),
  RIVYA_WORKER_ROLES: list
    .pipe(z.array(z.enum(WORKER_ROLES, `must be some of ${WORKER_ROLES.join(',')}`)).min(1, 'names no role'))
    .default([...WORKER_ROLES]),
  RIVYA_STORE: z.string().optional(),
  // The message does not repeat it: people put credentials there.
  RIVYA_S3_ENDPOINT: z
    .string()
    .regex(/^https?:\/\/[^\s/@?#]+\/?$/, 'must be the URL of a service, http(s)://host[:port], without credentials')
    .optional(),
  RIVYA_S3_PATH_STYLE: z.enum(['0', '1'], 'must be 1 or 0').default('0'),
  RIVYA_TRUSTED_RESULT_HOSTS: list
    .pipe(z.array(z.string().regex(/^[^\s/@]+$/, 'must be host[:port], comma separated')))
    .default([]),
  RIVYA_MAX_RESULT_BYTES: z.coerce
    .number('must be a number of bytes')
    .int('must be a whole number of bytes')
    .min(1, 'must be at least 1')
    .default(MAX_RESULT_BYTES),
  RIVYA_SIDECAR_PROMPTS: z.enum(['full', 'digest'], 'must be full or digest').default('full'),
  RIVYA_POLICY_FILE: z.string().optional(),
  RIVYA_REFERENCE_ROOTS: list
    .pipe(z.array(z.string().refine((root) => path.isAbsolute(root), 'must be absolute directories, comma separated')))
    .default([]),
  RIVYA_UI_URL: z.url('must be a URL').optional(),
});

/**
 * Reads every `RIVYA_*` setting. An empty variable counts as not set.
 * @throws SettingsError that names each wrong variable.
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = Environment.safeParse(set);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);
  if (!parsed.success) throw new SettingsError(problems.join('\n'));
  const values = parsed.data;
  const attempt = <T>(name: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };

  const baseUrl = attempt('RIVYA_BASE_URL', () => parseBaseUrl(values.RIVYA_BASE_URL).href.replace(/\/+$/, ''));
  const trustedResultHosts = new Set(values.RIVYA_TRUSTED_RESULT_HOSTS.map((host) => host.toLowerCase()));
  const policyFile = values.RIVYA_POLICY_FILE;
  const policy = policyFile === undefined ? null : attempt('RIVYA_POLICY_FILE', () => readPolicyFile(policyFile));
  const { RIVYA_STORE: address, RIVYA_S3_ENDPOINT: endpoint } = values;
  const s3 = { endpoint, pathStyle: values.RIVYA_S3_PATH_STYLE === '1' };
  const store = address === undefined ? null : attempt('RIVYA_STORE', () => openStore(address, s3));
  const keyName = values.RIVYA_API_KEY_FILE === undefined ? 'RIVYA_API_KEY' : 'RIVYA_API_KEY_FILE';
  const keys = attempt(keyName, () => keySource(values.RIVYA_API_KEY, values.RIVYA_API_KEY_FILE));
  if (
    problems.length > 0 ||
    baseUrl === undefined ||
    store === undefined ||
    keys === undefined ||
    policy === undefined
  ) {
    throw new SettingsError(problems.join('\n'));
  }
  return {
    keys,
    baseUrl,
    rateLimitPerMinute: values.RIVYA_RATE_LIMIT_PER_MINUTE,
    taskQueue: values.RIVYA_TASK_QUEUE,
    roles: new Set(values.RIVYA_WORKER_ROLES),
    store,
    trustedResultHosts,
    maxResultBytes: values.RIVYA_MAX_RESULT_BYTES,
    sidecarPrompts: values.RIVYA_SIDECAR_PROMPTS,
    policy,
    referenceRoots: values.RIVYA_REFERENCE_ROOTS,
    uiUrl: values.RIVYA_UI_URL?.replace(/\/+$/, '') ?? null,
  };
}

function keySource(key: string | undefined, file: string | undefined): KeySource | null {
  if (key !== undefined && file !== undefined) {
    throw new Error('set only one of RIVYA_API_KEY and RIVYA_API_KEY_FILE, or nobody can tell which key is used');
  }
  if (file === undefined) return key === undefined ? null : staticKey(key);
  // Who puts the key itself there by mistake must not find it in a log.
  const named = file.trim().startsWith('rvya_sk_') ? '(a key, which belongs into RIVYA_API_KEY)' : file;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`the file ${named} cannot be read`, { cause: error });
  }
  if (text.trim() === '') throw new Error(`the file ${named} is empty`);
  return keyFile(file);
}

/** True where a key for the real API is set. */
export function hasKey(env: NodeJS.ProcessEnv = process.env): boolean {
  return Boolean(env['RIVYA_API_KEY'] || env['RIVYA_API_KEY_FILE']);
}
