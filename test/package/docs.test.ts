/**
 * README and docs, as somebody follows them who has the published package and an empty folder: every code block is run as it
 * is pasted. A block that cannot be run here says why in a comment above it, and is counted below.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { blocksOf, brokenLinks, type Block } from '../support/markdown.js';
import { exec, manifest, pack, type Ran, type Tarball } from './project.js';
import { startRegistry, type Registry } from './registry.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_RUN = [
  'README.md: needs the repository, not the package',
  'README.md: needs the repository, not the package',
  'README.md: spends credits',
  'README.md: needs PowerShell',
  'README.md: needs PowerShell',
  'docs/deploying.md: needs a container engine',
  'docs/deploying.md: needs a Kubernetes cluster',
  'docs/deploying.md: runs until it is stopped',
  'docs/deploying.md: needs two builds',
  'docs/monitoring.md: runs until it is stopped',
  'docs/operating.md: needs a hold of 12 hours',
];
/** Arguments of the Workflows that a page shows without a program that starts them. */
const WORKFLOWS = { shots: [['a fox', 'a hare']], foxThatRuns: [], illustrated: ['a fox'] };
const LANGUAGES = new Set(['', 'ts', 'sh', 'json', 'powershell', 'mermaid']);
// 200 MB of packages on a slow line.
const INSTALL_MS = 600_000;

const pages = new Map<string, Block[]>();
for (const name of ['README.md', ...(await readdir(path.join(ROOT, 'docs'))).map((file) => `docs/${file}`)]) {
  if (name.endsWith('.md')) pages.set(name, blocksOf(await readFile(path.join(ROOT, name), 'utf8')));
}

let tarball: Tarball;
let registry: Registry;
let project: string;
let env: NodeJS.ProcessEnv;
const background: ChildProcess[] = [];

beforeAll(async () => {
  tarball = await pack();
  const { stdout: other } = await exec('npm', ['config', 'get', 'registry'], { cwd: ROOT });
  registry = await startRegistry(tarball.file, await manifest(), other.trim());
  project = await mkdtemp(path.join(tmpdir(), 'rivya-docs-'));
  const temporal = path.join(project, '.bin', 'temporal');
  await mkdir(path.dirname(temporal));
  await writeFile(temporal, `#!/bin/sh\nexec '${await findServerBinary({ log: () => undefined })}' "$@"\n`, {
    mode: 0o755,
  });
  // `exec` gives a program this environment too, so what must not leak is taken out by name.
  const foreign = Object.keys(process.env).filter((name) => /^(RIVYA|TEMPORAL|VITEST|NODE_ENV|npm_)/i.test(name));
  env = {
    ...process.env,
    ...Object.fromEntries(foreign.map((name) => [name, undefined])),
    PATH: `${path.dirname(temporal)}:${process.env['PATH']}`,
    // What `dev` keeps, and where other commands look for it.
    XDG_DATA_HOME: path.join(project, '.data'),
    // The emulator's account is in no hurry.
    RIVYA_RATE_LIMIT_PER_MINUTE: '600',
    npm_config_registry: registry.url,
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
}, INSTALL_MS);
afterAll(async () => {
  await Promise.all(background.map(interrupted));
  registry.close();
  await Promise.all([path.dirname(tarball.file), project].map((it) => rm(it, { recursive: true, maxRetries: 3 })));
});

/** Where the code of a page is pasted. The README begins in an empty folder, and all others are below it. */
const folderOf = (page: string): string =>
  page === 'README.md' ? project : path.join(project, page.replace(/\W+/g, '-').toLowerCase());

/** The file that a block of TypeScript names in its first line, or one of its own. */
const fileOf = ({ code, line }: Block): string => /^\/\/ ([\w.-]+\.ts)\b/.exec(code)?.[1] ?? `line-${line}.ts`;

/** Runs a program until it says something, and leaves it running. */
async function start(command: string, args: readonly string[], cwd: string, until: RegExp): Promise<ChildProcess> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  background.push(child);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
      if (until.test(said)) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('close', (status) => reject(new Error(`${args.join(' ')} ended with ${status}:\n${said}`)));
  });
  for (const [, name, value] of said.matchAll(/\b((?:RIVYA|TEMPORAL)_[A-Z_]+)=(\S+)/g)) env[name!] = value;
  return child;
}

async function interrupted(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const end = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.kill('SIGINT');
  return end;
}

async function runShell(code: string, cwd: string): Promise<void> {
  if (/^npx rivya-temporal dev$/m.test(code)) {
    // Not by npx, which would not hand on the signal that ends it.
    const command = path.join(project, 'node_modules/rivya-temporal/dist/src/cli/main.js');
    await start(process.execPath, [command, 'dev'], cwd, /Ctrl-C ends it/);
    return;
  }
  expectDone(await exec('bash', ['-euo', 'pipefail', '-c', code], { cwd, env, timeoutMs: INSTALL_MS }));
}

/** A program: to its end, or until it polls where it says that only Ctrl-C ends it. */
async function runProgram(file: string, code: string, cwd: string): Promise<void> {
  const args = ['--import', 'tsx', file];
  if (!code.includes('// until Ctrl-C')) return expectDone(await exec(process.execPath, args, { cwd, env }));
  const child = await start(process.execPath, args, cwd, /RUNNING/);
  expect(await interrupted(child)).toBe(0);
}

function expectDone({ status, output }: Ran): void {
  expect(status, output).toBe(0);
}

/** Does what a page says, from its first block to its last. */
async function follow(page: string, blocks: readonly Block[]): Promise<void> {
  const cwd = folderOf(page);
  await mkdir(cwd, { recursive: true });
  // What the page has a command for is run by that.
  const commands = blocks.flatMap(({ language, notRun, code }) => (language === 'sh' && notRun === null ? [code] : []));
  const commanded = (word: string): boolean => commands.some((command) => command.includes(word));
  let tests = false;
  for (const block of blocks) {
    const { language, code, line, notRun } = block;
    expect(LANGUAGES, `${page}:${line}`).toContain(language);
    if (notRun !== null) continue;
    try {
      if (language === 'json') JSON.parse(code);
      if (language === 'sh') await runShell(code, cwd);
      if (language === 'powershell') throw new Error('there is no PowerShell here: say so above it');
      if (language !== 'ts') continue;
      const file = fileOf(block);
      await writeFile(path.join(cwd, file), code);
      tests ||= file.endsWith('.test.ts');
      const isProgram = /^(?:const .* = )?await /m.test(code) && !file.endsWith('.test.ts');
      if (isProgram && !commanded(file)) await runProgram(file, code, cwd);
    } catch (error) {
      throw new Error(`${page}:${line}: ${(error as Error).message}`, { cause: error });
    }
  }
  if (tests && !commanded('vitest')) await runShell('npx vitest run', cwd);
}

test('blocks that no test runs are these, and each says why', () => {
  const notRun = Array.from(pages, ([page, blocks]) =>
    blocks.flatMap(({ notRun: why }) => (why === null ? [] : `${page}: ${why}`)),
  );
  expect(notRun.flat()).toEqual(NOT_RUN);
});

describe('every block is run as it is pasted', () => {
  test.each([...pages].filter(([, blocks]) => blocks.length > 0))('%s', follow, INSTALL_MS);

  test('Workflows that no program of a page starts', async () => {
    const modules: string[] = [];
    for (const [page, blocks] of pages) {
      for (const block of blocks) {
        const file = fileOf(block);
        if (block.language === 'ts' && file.startsWith('line-') && block.code.includes("'rivya-temporal/workflows'")) {
          modules.push(`export * from '${path.join(folderOf(page), file)}';`);
        }
      }
    }
    await writeFile(path.join(project, 'all.ts'), modules.join('\n'));
    await writeFile(
      path.join(project, 'run-all.ts'),
      `import { createTestEnvironment } from 'rivya-temporal/testing';
      await using env = await createTestEnvironment({ workflowsPath: ${JSON.stringify(path.join(project, 'all.ts'))} });
      const { taskQueue } = env;
      const all = Object.entries(${JSON.stringify(WORKFLOWS)});
      await Promise.all(all.map(([type, args]) => env.client.workflow.execute(type, { workflowId: type, taskQueue, args })));
      console.log(JSON.stringify(await env.emulator.ledger()));
      `,
    );
    const server = { ...env, TEMPORAL_ADDRESS: inject('temporalAddress') };
    const ran = await exec(process.execPath, ['--import', 'tsx', 'run-all.ts'], { cwd: project, env: server });
    expectDone(ran);
    expect(JSON.parse(ran.stdout.trim().split('\n').at(-1)!)).toMatchObject({ paidTasks: 5 });
  });

  test('TypeScript of every page compiles', async () => {
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2023',
      lib: ['esnext'],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      typeRoots: [path.join(ROOT, 'node_modules/@types')],
      types: ['node'],
    };
    const config = { compilerOptions, include: ['*.ts', 'docs-*/*.ts'], exclude: ['all.ts', 'run-all.ts'] };
    await writeFile(path.join(project, 'tsconfig.json'), JSON.stringify(config));
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    const { status, output } = await exec(process.execPath, [tsc, '-p', project], { cwd: project });
    expect(status, output).toBe(0);
  });
});

test('links in the packed pages lead to packed files and to headings in them', async () => {
  const packed = path.join(project, 'node_modules/rivya-temporal');
  const names = (await readdir(packed, { recursive: true })).filter((name) => name.endsWith('.md'));
  expect(names).toContain(path.join('docs', 'reference.md'));
  const broken = names.flatMap((name) => brokenLinks(packed, name).map((target) => `${name}: ${target}`));
  expect(broken).toEqual([]);
  expect(existsSync(path.join(packed, 'LICENSE'))).toBe(true);
});

test('a publish lacks nothing but a token', async () => {
  const { status, output } = await exec('npm', ['publish', '--dry-run', '--ignore-scripts'], { cwd: ROOT, env });
  expect(status, output).toBe(0);
  // npm says so of a manifest in which something is wrong.
  expect(output).not.toContain('auto-corrected');
});
