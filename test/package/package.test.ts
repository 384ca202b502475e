/** The package as it is published: packed, installed into empty projects, and run in each. */
import { createHash } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { exec, install, pack, pnpmWorkspace, temporalVersions, transitive, type Ran, type Tarball } from './project.js';

// 343 files and 2.4 MB when it was measured: a quarter of it the Workflow bundle, a tenth the pictures of the docs.
const MAX_FILES = 350;
const MAX_UNPACKED_BYTES = 2_500_000;
const MAX_DEPENDENCIES = 25;
const NODE_24 = `node-${process.platform}-${process.arch}`;
const TOOLS = {
  'typescript-5.7': 'npm:typescript@~5.7.0',
  'typescript-5.9': 'npm:typescript@~5.9.0',
  'typescript-7': 'npm:typescript@~7.0.0',
  '@types/node': '^20.19.0',
  // Not under its own name: the other programs compile without it, as most users do.
  'types-of-ms': 'npm:@types/ms@^2.1.0',
  jest: '^30.0.0',
  publint: '^0.3.0',
  '@arethetypeswrong/cli': '^0.18.0',
  [NODE_24]: '^24.0.0',
  esbuild: '^0.28.0',
  pnpm: '^10.0.0',
};
const APP = fileURLToPath(new URL('app', import.meta.url));

let tarball: Tarball;
/** Projects by their version of `@temporalio/*`; the first one has the tools. */
const projects = new Map<string, string>();
let project: string;

beforeAll(async () => {
  tarball = await pack();
  for (const version of await temporalVersions()) {
    projects.set(version, await install(tarball, version, projects.size === 0 ? TOOLS : {}));
  }
  project = projects.values().next().value!;
  console.log(`@temporalio/* of the peer range, lowest and newest: ${[...projects.keys()].join(', ')}`);
}, 900_000);
afterAll(async () => {
  await Promise.all([path.dirname(tarball.file), ...projects.values()].map((it) => rm(it, { recursive: true })));
});

const tool = (name: string, file: string): string => path.join(project, 'node_modules', name, file);

/** Compiles the program into a folder of its own. */
async function compile(name: string, typescript: string, type: 'module' | 'commonjs', options: object): Promise<Ran> {
  const directory = path.join(project, name);
  await cp(APP, directory, { recursive: true });
  await writeFile(path.join(directory, 'package.json'), JSON.stringify({ type }));
  // The last two as `tsc --init` writes them. The declarations of @temporalio/* do not compile without the last one, unless
  // somebody installs @types/ms: those of @temporalio/common name `ms`, and bring no types for it.
  const usual = { target: 'es2023', strict: true, types: ['node'], esModuleInterop: true, skipLibCheck: true };
  const compilerOptions = { ...usual, rootDir: '.', outDir: 'out', ...options };
  await writeFile(path.join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.ts'] }));
  return exec(process.execPath, [tool(typescript, 'bin/tsc'), '-p', directory], { cwd: project });
}

/** Runs the program of a folder, against the server that all tests share. */
function runApp(directory: string, node = process.execPath): Promise<Ran> {
  const out = path.join(directory, 'out');
  const taskQueue = `package-${path.basename(directory)}-${path.basename(node)}-${Date.now()}`;
  const env = { TEMPORAL_ADDRESS: inject('temporalAddress') };
  return exec(node, [path.join(out, 'app.js'), path.join(out, 'workflows.js'), taskQueue], { cwd: directory, env });
}

const SUMMARY = { status: 'succeeded', files: 1, paidTasks: 2, loaded: true, link: expect.stringMatching(/^http/) };
function expectGenerated({ status, stdout, output }: Ran, more: object = {}): void {
  expect(status, output).toBe(0);
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!), output).toMatchObject({ ...SUMMARY, ...more });
}

// Most compilers come to the same JavaScript, which needs to run once.
const ran = new Map<string, Promise<Ran>>();
async function runOnce(directory: string): Promise<Ran> {
  const files = ['package.json', 'out/app.js', 'out/workflows.js'].map((file) => path.join(directory, file));
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  const key = hash.digest('hex');
  const before = ran.get(key);
  if (before !== undefined) return before;
  const now = runApp(directory);
  ran.set(key, now);
  return now;
}

const ESM = ['typescript-5.7', 'typescript-5.9', 'typescript-7'].flatMap((typescript) => [
  [typescript, { module: 'nodenext' }] as const,
  [typescript, { module: 'esnext', moduleResolution: 'bundler' }] as const,
]);
test.each(ESM)('an ES module, %s %j: compiles, and runs a generation', async (typescript, options) => {
  const name = `esm-${typescript}-${options.module}`;
  const compiled = await compile(name, typescript, 'module', options);
  expect(compiled.status, compiled.output).toBe(0);
  expectGenerated(await runOnce(path.join(project, name)));
});

const COMMONJS = ['typescript-5.7', 'typescript-5.9', 'typescript-7'].flatMap((typescript) => [
  [typescript, { module: 'node16' }] as const,
  [typescript, { module: 'nodenext' }] as const,
  [
    typescript,
    // TypeScript 7 has no "node10" any more.
    { module: 'commonjs', moduleResolution: typescript === 'typescript-7' ? 'bundler' : 'node10' },
  ] as const,
]);
test.each(COMMONJS)('a CommonJS program, %s %j: compiles, and runs a generation', async (typescript, options) => {
  const name = `commonjs-${typescript}-${options.module}`;
  const compiled = await compile(name, typescript, 'commonjs', options);
  expect(compiled.status, compiled.output).toBe(0);
  expectGenerated(await runOnce(path.join(project, name)));
});

// One compiler: whether a declaration can be resolved does not depend on its version.
test.each(['module', 'commonjs'] as const)(
  'with skipLibCheck off and without the AWS SDK a %s compiles',
  async (type) => {
    const options = { module: 'nodenext', skipLibCheck: false, paths: { ms: ['../node_modules/types-of-ms'] } };
    const compiled = await compile(`checked-${type}`, 'typescript-7', type, options);
    expect(compiled.status, compiled.output).toBe(0);
  },
);

test.each(['esm-typescript-7-nodenext', 'commonjs-typescript-7-nodenext'])('on Node 24: %s', async (name) => {
  expectGenerated(await runApp(path.join(project, name), tool(NODE_24, 'bin/node')), {
    node: expect.stringMatching(/^v24\./),
  });
});

test('with the lowest and the newest @temporalio/* of the peer range', async () => {
  for (const [version, directory] of projects) {
    const { version: installed } = JSON.parse(
      await readFile(path.join(directory, 'node_modules/@temporalio/worker/package.json'), 'utf8'),
    ) as { version: string };
    expect(installed).toBe(version);
    // The first one ran above.
    if (directory === project) continue;
    const app = path.join(directory, 'esm');
    await cp(path.join(project, 'esm-typescript-7-nodenext'), app, { recursive: true });
    expectGenerated(await runApp(app));
  }
});

// Jest loads ES modules with this flag only, and takes `require` of one from Node 24.9 on.
test.each([
  ['an ES module', 'esm.test.mjs', () => process.execPath],
  ['a CommonJS module on Node 24', 'commonjs.test.js', () => tool(NODE_24, 'bin/node')],
] as const)('a Jest test in %s runs a generation', async (_, file, node) => {
  const directory = path.join(project, `jest-${file}`);
  await cp(fileURLToPath(new URL('jest', import.meta.url)), directory, { recursive: true });
  const args = ['--experimental-vm-modules', tool('jest', 'bin/jest.js'), '--rootDir', directory];
  const { status, output } = await exec(node(), [...args, '--testMatch', `**/${file}`], {
    cwd: directory,
    env: { TEMPORAL_ADDRESS: inject('temporalAddress') },
  });
  expect(status, output).toBe(0);
  expect(output).toContain('1 passed');
});

test.each([
  ['esm', 'worker.mjs'],
  ['cjs', 'worker.cjs'],
])('a Worker that esbuild makes one file of (%s), without the AWS SDK, runs a generation', async (format, file) => {
  const directory = path.join(project, `bundled-${format}`);
  await cp(fileURLToPath(new URL('bundled', import.meta.url)), directory, { recursive: true });
  const bundled = await exec(process.execPath, ['build.mjs', format, file], { cwd: directory });
  expect(bundled.status, bundled.output).toBe(0);
  expect(bundled.output).not.toContain('[WARNING]');
  const emulator = await startEmulator({ durations: { image: 500 } });
  try {
    const { status, stdout, output } = await exec(process.execPath, [file], {
      cwd: directory,
      env: {
        TEMPORAL_ADDRESS: inject('temporalAddress'),
        RIVYA_BASE_URL: emulator.url,
        RIVYA_API_KEY: emulator.apiKey,
        RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
        RIVYA_STORE: 'file:./output',
        RIVYA_TASK_QUEUE: `bundled-${format}-${Date.now()}`,
      },
    });
    expect(status, output).toBe(0);
    expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual({ status: 'succeeded', files: 1 });
  } finally {
    await emulator.close();
  }
});

test('a package of a pnpm workspace runs a generation', async () => {
  const [version] = projects.keys();
  const { root, member } = await pnpmWorkspace(tool('pnpm', 'bin/pnpm.cjs'), tarball, version!);
  try {
    await cp(path.join(project, 'esm-typescript-7-nodenext', 'out'), path.join(member, 'out'), { recursive: true });
    const ended = await runApp(member);
    expect(ended.status, ended.output).toBe(0);
    expectGenerated(ended);
  } finally {
    await rm(root, { recursive: true });
  }
});

test('a store in S3 without the AWS SDK: the Worker does not start, and says what to install', async () => {
  const command = path.join(project, 'node_modules/rivya-temporal/dist/src/cli/main.js');
  const { status, output } = await exec(process.execPath, [command, 'worker'], {
    cwd: project,
    env: {
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      RIVYA_API_KEY: 'rvya_sk_none',
      RIVYA_STORE: 's3://bucket/films',
    },
  });
  expect(status, output).toBe(2);
  expect(output).toContain('RIVYA_STORE: a store in S3 needs the AWS SDK: npm install @aws-sdk/client-s3');
});

test('publint finds nothing', async () => {
  const { status, output } = await exec(process.execPath, [tool('publint', 'src/cli.js'), tarball.file, '--strict'], {
    cwd: project,
  });
  expect(status, output).toBe(0);
});

test('attw: the types of every entry point are those of its code, in each way of resolving', async () => {
  const { status, output } = await exec(
    process.execPath,
    [tool('@arethetypeswrong/cli', 'dist/index.js'), tarball.file, '--no-emoji', '--no-color'],
    { cwd: project },
  );
  expect(status, output).toBe(0);
});

test('the package stays small, and brings few others along', async () => {
  const dependencies = await transitive(project);
  const { size, unpackedSize, entryCount } = tarball;
  const [packedMb, unpackedMb] = [size, unpackedSize].map((bytes) => (bytes / 1e6).toFixed(2));
  console.log(
    `Package: ${entryCount} files, ${unpackedMb} MB, packed ${packedMb} MB, ${dependencies.length} transitive dependencies`,
  );
  expect(entryCount).toBeLessThanOrEqual(MAX_FILES);
  expect(unpackedSize).toBeLessThanOrEqual(MAX_UNPACKED_BYTES);
  expect(dependencies.length).toBeGreaterThan(0);
  expect(dependencies.length).toBeLessThanOrEqual(MAX_DEPENDENCIES);
});
