/** An empty project into which the packed package is installed, as a user would. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
// 100 MB of packages and a slow line; everything else takes seconds on an idle machine.
const INSTALL_MS = 600_000;
const RUN_MS = 180_000;

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  /** Both outputs, for a person who looks for the cause. */
  readonly output: string;
}

/** Runs a program to its end, whatever its status. */
export async function exec(
  file: string,
  args: readonly string[],
  { cwd, env = {}, timeoutMs = RUN_MS }: { cwd: string; env?: NodeJS.ProcessEnv; timeoutMs?: number },
): Promise<Ran> {
  const options = { cwd, env: { ...process.env, ...env }, timeout: timeoutMs, killSignal: 'SIGKILL' as const };
  try {
    const { stdout, stderr } = await run(file, args, { ...options, maxBuffer: 64 << 20 });
    return { status: 0, stdout, output: stdout + stderr };
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { status: code, stdout, output: stdout + stderr };
  }
}

/** Runs a package manager. @throws Error with all that it printed. */
async function manage(file: string, args: readonly string[], cwd: string): Promise<string> {
  const { status, stdout, output } = await exec(file, args, { cwd, timeoutMs: INSTALL_MS });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${output}`);
  return stdout;
}

const npm = (args: readonly string[], cwd: string): Promise<string> => manage('npm', args, cwd);

export interface Tarball {
  readonly file: string;
  /** Bytes of the tarball, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
  /** Number of files. */
  readonly entryCount: number;
}

/** Packs what was built, as `npm publish` would. */
export async function pack(): Promise<Tarball> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-packed-'));
  // The build is done: running it again would take it from under tests that run at the same time.
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', directory];
  const [packed] = JSON.parse(await npm(args, ROOT)) as [Tarball & { readonly filename: string }];
  return { ...packed, file: path.join(directory, packed.filename) };
}

export interface Manifest {
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { optional?: boolean }>>;
}

export async function manifest(): Promise<Manifest> {
  return JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as Manifest;
}

/** The lowest and the newest `@temporalio/*` of the peer range; one version where they are the same. */
export async function temporalVersions(): Promise<readonly string[]> {
  const range = (await manifest()).peerDependencies['@temporalio/worker']!;
  const printed = JSON.parse(await npm(['view', `@temporalio/worker@${range}`, 'version', '--json'], ROOT)) as unknown;
  // npm prints a text where one version fits.
  const versions = [printed].flat() as string[];
  return [...new Set([versions[0]!, versions.at(-1)!])];
}

/** What the package.json of a user says: the tarball with these `@temporalio/*`, and what else is asked for. */
async function userManifest(tarball: Tarball, temporal: string, tools: Readonly<Record<string, string>> = {}) {
  const { peerDependencies, peerDependenciesMeta } = await manifest();
  const needed = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
  const peers = Object.fromEntries(needed.map((name) => [name, temporal]));
  const dependencies = { 'rivya-temporal': `file:${tarball.file}`, ...peers, ...tools };
  return JSON.stringify({ private: true, type: 'module', dependencies });
}

/** Installs the tarball with these `@temporalio/*` and what else is asked for. Returns the directory of the project. */
export async function install(
  tarball: Tarball,
  temporal: string,
  tools: Readonly<Record<string, string>>,
): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-project-'));
  await writeFile(path.join(directory, 'package.json'), await userManifest(tarball, temporal, tools));
  await npm(['install', '--no-audit', '--no-fund', '--loglevel=error'], directory);
  return directory;
}

/** Makes a pnpm workspace with the tarball in its one package. Returns the directories of both. */
export async function pnpmWorkspace(pnpm: string, tarball: Tarball, temporal: string) {
  const root = await mkdtemp(path.join(tmpdir(), 'rivya-workspace-'));
  const member = path.join(root, 'packages', 'films');
  await mkdir(member, { recursive: true });
  await writeFile(path.join(root, 'package.json'), JSON.stringify({ private: true }));
  await writeFile(path.join(root, 'pnpm-workspace.yaml'), 'packages: ["packages/*"]\n');
  await writeFile(path.join(member, 'package.json'), await userManifest(tarball, temporal));
  await manage(process.execPath, [pnpm, 'install', '--store-dir', path.join(root, '.store')], root);
  return { root, member };
}

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Names of all packages that come with ours, without its peers. */
export async function transitive(project: string): Promise<readonly string[]> {
  const file = path.join(project, 'node_modules', '.package-lock.json');
  const { packages } = JSON.parse(await readFile(file, 'utf8')) as { packages: Record<string, Locked> };
  const found = new Set<string>();
  const visit = (place: string): void => {
    for (const name of Object.keys(packages[place]!.dependencies ?? {})) {
      // Node looks in the folder of the package first, then further up.
      const up = place.split('/node_modules/').map((_, index, parts) => parts.slice(0, parts.length - index));
      const places = [
        ...up.map((parts) => `${parts.join('/node_modules/')}/node_modules/${name}`),
        `node_modules/${name}`,
      ];
      const at = places.find((candidate) => packages[candidate] !== undefined);
      if (at === undefined) throw new Error(`${name} is not in ${file}`);
      if (found.has(at)) continue;
      found.add(at);
      visit(at);
    }
  };
  visit('node_modules/rivya-temporal');
  return [...found];
}
