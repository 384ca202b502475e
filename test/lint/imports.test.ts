import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** What each folder may import, and samples of what it may not. A path names a file of the repository by its folder. */
const FOLDERS: Record<string, { allowed: string[]; refused: string[] }> = {
  'src/contract': {
    allowed: ['./names.js'],
    refused: ['zod', 'node:fs', '@temporalio/common', '../policy/key.js', '../api/index.js', './../config.js'],
  },
  'src/policy': {
    allowed: ['./key.js', '../contract/index.js', '@noble/hashes/sha2.js'],
    refused: [
      'zod',
      'undici',
      'node:crypto',
      '@temporalio/workflow',
      '../api/index.js',
      '../storage/index.js',
      '../config.js',
    ],
  },
  workflows: {
    allowed: [
      './generate.js',
      '../src/policy/key.js',
      '../src/contract/index.js',
      '@temporalio/workflow',
      '@temporalio/common',
    ],
    refused: [
      'zod',
      'undici',
      'fs',
      'node:fs',
      'node:fs/promises',
      '@noble/hashes/sha2.js',
      '@temporalio/activity',
      '@temporalio/client',
      '@temporalio/worker',
      '@temporalio/testing',
      '../activities/index.js',
      '../src/api/index.js',
      '../src/storage/index.js',
      '../src/temporal/connect.js',
      '../src/emulator/index.js',
      '../src/cli/main.js',
      '../src/config.js',
    ],
  },
  activities: {
    allowed: [
      './submit.js',
      '../src/policy/key.js',
      '../src/api/index.js',
      '../src/storage/index.js',
      '../src/contract/index.js',
      '../src/batch/files.js',
      '../src/temporal/runs.js',
      '../src/temporal/search-attributes.js',
      '@temporalio/activity',
      '@temporalio/client',
      '@temporalio/common',
      'node:crypto',
    ],
    refused: [
      '@temporalio/workflow',
      '@temporalio/worker',
      'undici',
      'zod',
      '../workflows/index.js',
      '../src/cli/main.js',
      '../src/emulator/index.js',
      '../src/config.js',
      '../src/temporal/connect.js',
    ],
  },
  'src/api': {
    allowed: [
      './client.js',
      './schemas/reply.js',
      '../contract/index.js',
      '../http/proxy.js',
      'undici',
      'zod',
      'node:fs/promises',
    ],
    refused: [
      '@temporalio/common',
      '@temporalio/activity',
      '../policy/key.js',
      '../temporal/connect.js',
      '../storage/index.js',
      '../emulator/index.js',
      '../config.js',
    ],
  },
  'src/storage': {
    allowed: [
      './local.js',
      '../contract/index.js',
      '../http/proxy.js',
      'file-type',
      'undici',
      'zod',
      '@aws-sdk/client-s3',
      'node:fs/promises',
    ],
    refused: ['@temporalio/activity', '../policy/key.js', '../api/index.js', '../cli/main.js', '../config.js'],
  },
  'src/emulator': {
    allowed: ['./state.js', '../contract/index.js', 'file-type', 'node:http', 'zod'],
    refused: ['undici', '@temporalio/common', '../api/index.js', '../policy/key.js', '../config.js'],
  },
  'src/temporal': {
    allowed: ['./embedded/server.js', '../contract/index.js', '../config.js', '@temporalio/client', 'node:fs'],
    refused: [
      '../api/index.js',
      '../cli/main.js',
      '../emulator/index.js',
      '../../activities/index.js',
      '../storage/s3.js',
    ],
  },
  // The rule for every folder without a list of its own.
  'src/batch': {
    allowed: ['../contract/index.js', '../client.js', '@temporalio/client'],
    refused: [
      '../cli/main.js',
      '../emulator/index.js',
      '../testing/index.js',
      '../../test/help.js',
      '@temporalio/testing',
    ],
  },
  'src/cli': { allowed: ['../emulator/index.js', '../plugin.js', 'commander'], refused: [] },
  'src/local': { allowed: ['../emulator/index.js', '../worker/workers.js'], refused: [] },
};

/** Every way in which TypeScript can name a module; each must be seen. */
const FORMS: Record<string, (specifier: string) => string> = {
  value: (s) => `import * as module from '${s}';\nexport { module };\n`,
  type: (s) => `import type { Named } from '${s}';\nexport type Again = Named;\n`,
  reexport: (s) => `export * from '${s}';\n`,
  dynamic: (s) => `export const load = () => import('${s}');\n`,
};

const root = fileURLToPath(new URL('../..', import.meta.url));
let tree: string;
let complaints: Map<string, string>;

beforeAll(async () => {
  // A tree with the same folder names and the project's own configuration: globs there are relative to that file.
  tree = await realpath(await mkdtemp(join(tmpdir(), 'imports-')));
  await copyFile(join(root, '.oxlintrc.json'), join(tree, '.oxlintrc.json'));
  for (const [folder, { allowed, refused }] of Object.entries(FOLDERS)) {
    for (const specifier of [...allowed, ...refused]) {
      for (const form of Object.keys(FORMS)) await write(file(folder, form, specifier), FORMS[form]!(specifier));
    }
  }
  await write('src/policy/clock.ts', 'export const now = () => Date.now() + Math.random();\n');
  await write('workflows/sandbox.ts', 'export const pid = () => process.pid;\n');
  complaints = await lint();
});

afterAll(() => rm(tree, { recursive: true, force: true }));

describe.each(Object.entries(FOLDERS))('imports run one way: %s', (folder, { allowed, refused }) => {
  test.each(allowed)('may import %s', (specifier) => {
    expect(refusals(folder, specifier)).toEqual([]);
  });
  test.each(refused)('may not import %s, in any form', (specifier) => {
    expect(refusals(folder, specifier)).toEqual(
      folder === 'workflows' && specifier.startsWith('../activities/')
        ? ['value', 'reexport', 'dynamic'] // Types of Activities vanish at run time and are how a Workflow calls them.
        : Object.keys(FORMS),
    );
  });
});

test('a pure decision takes time and chance as arguments', () => {
  expect(complaints.get('src/policy/clock.ts')).toContain('no-restricted-properties');
});

test('Workflow code cannot reach what the sandbox lacks', () => {
  expect(complaints.get('workflows/sandbox.ts')).toContain('no-restricted-globals');
});

function file(folder: string, form: string, specifier: string): string {
  return `${folder}/${form}-${specifier.replace(/[^a-z0-9]+/gi, '_')}.ts`;
}

/** The forms of the import that the rule refuses. */
function refusals(folder: string, specifier: string): string[] {
  return Object.keys(FORMS).filter((form) =>
    (complaints.get(file(folder, form, specifier)) ?? '').includes('no-restricted-imports'),
  );
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}

/** One run of the real linter; the codes of all complaints, by file. */
async function lint(): Promise<Map<string, string>> {
  const bin = join(dirname(createRequire(import.meta.url).resolve('oxlint/package.json')), 'bin', 'oxlint');
  const output = await new Promise<string>((done) => {
    // A non-zero exit is expected here, because most files are wrong on purpose.
    execFile(process.execPath, [bin, '--format', 'json'], { cwd: tree, maxBuffer: 64 << 20 }, (_, stdout) =>
      done(stdout),
    );
  });
  const report = JSON.parse(output) as { diagnostics: { filename: string; code: string }[] };
  const byFile = new Map<string, string>();
  for (const { filename, code } of report.diagnostics) {
    byFile.set(filename, `${byFile.get(filename) ?? ''} ${code}`);
  }
  return byFile;
}
