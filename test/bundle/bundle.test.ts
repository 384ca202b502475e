/** What Workers load as Workflow code. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';
import { fileURLToPath } from 'node:url';
import { createContext, Script } from 'node:vm';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { bundlePath } from '../../src/worker/bundle.js';
import * as own from '../../workflows/bundle.js';
import { quietRuntime } from '../support/harness.js';
import * as workflows from '../../workflows/index.js';

let code: string;
beforeAll(async () => {
  const workflowsPath = fileURLToPath(new URL('../../workflows/bundle.ts', import.meta.url));
  ({ code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') }));
});

test('the exports are the published names', () => {
  expect(Object.keys(workflows).toSorted()).toEqual([
    'FAILURE',
    'changeDeadlineSignal',
    'changeDeadlineUpdate',
    'chat',
    'checkNowSignal',
    'checkNowUpdate',
    'estimateCredits',
    'generate',
    'generateAll',
    'generationQuery',
    'resumeSignal',
    'resumeUpdate',
    'startGeneration',
  ]);
});

test('each module of dist that a benchmark imports is built', async () => {
  const folder = new URL('../../bench/', import.meta.url);
  const files = (await readdir(folder)).filter((name) => name.endsWith('.mjs'));
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')));
  const modules = texts.flatMap((text) => text.match(/(?<=')\.\.\/dist\/[^']+\.js(?=')/g) ?? []);
  expect(modules).not.toEqual([]);
  expect(modules.filter((module) => !existsSync(new URL(module, folder)))).toEqual([]);
});

test('the bundle holds our Workflows alone, and a module of users none of them', async () => {
  const script = new Script(await readFile(inject('bundle'), 'utf8'));
  // What a Worker asks of a bundle: the module, with all that it exports. The SDK keeps modules in a global of this name.
  const sandbox = createContext({ console, __webpack_module_cache__: {} });
  script.runInContext(sandbox);
  const exported = Object.keys((sandbox['__TEMPORAL__'] as { importWorkflows(): object }).importWorkflows());
  expect(exported).toEqual(expect.arrayContaining(['generateMedia', 'rivyaChat', 'twoSteps', 'twoAtOnce']));
  expect(Object.keys(own).toSorted()).toEqual([
    'generateMedia',
    'rivyaAccount',
    'rivyaBatch',
    'rivyaChat',
    'rivyaRead',
  ]);
});

test('importing `generate` adds less than 60 kB to the bundle of a user', async () => {
  const directory = await mkdtemp(fileURLToPath(new URL('user-', import.meta.url)));
  const sizeOf = async (name: string, source: string): Promise<number> => {
    const workflowsPath = path.join(directory, name);
    await writeFile(workflowsPath, `import { sleep } from '@temporalio/workflow';\n${source}`);
    const bundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') });
    return bundle.code.indexOf('//# sourceMappingURL=') / 1_000;
  };
  try {
    const without = await sizeOf('without.js', 'export const wait = () => sleep(1_000);');
    const generate = `import { generate } from 'rivya-temporal/workflows';
      export const paint = () => sleep(1_000).then(() => generate({ model: 'z-image' }, { step: 'image' }));`;
    const added = (await sizeOf('with.js', generate)) - without;
    console.log(`Importing \`generate\` adds ${added.toFixed(0)} kB to ${without.toFixed(0)} kB of a user's bundle.`);
    expect(added).toBeLessThan(60);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('no HTTP client, schema library or Node built-in reaches the sandbox, and the size stays in sight', () => {
  // Webpack names each module it has taken in.
  const modules = new Set([...code.matchAll(/"(\.\/[^"\n]+?\.(?:ts|js|cjs|mjs))"/g)].map(([, name]) => name!));
  console.log(`Workflow bundle: ${(code.length / 1e6).toFixed(2)} MB, ${modules.size} modules`);
  expect(modules).toContain('./workflows/generation.ts');
  expect(
    [...modules].filter((name) =>
      /node_modules\/(undici|zod|commander)\/|activities\/(?!\.)|src\/(api|storage|temporal|emulator|cli|worker)\//.test(
        name.replace('./workflows/activities.ts', ''),
      ),
    ),
  ).toEqual([]);
  expect(code).not.toMatch(/require\("node:/);
  // 2.89 MB with source maps when it was measured, most of it the SDK.
  expect(code.length).toBeLessThan(3_100_000);
});

describe('the bundle of the build, for the SDK version that is installed', () => {
  test('replays a kept history', async () => {
    const text = await readFile(new URL('../histories/plain-image.json', import.meta.url), 'utf8');
    quietRuntime();
    const history = historyFromJSON(JSON.parse(text));
    const replay = Worker.runReplayHistory({ workflowBundle: { codePath: bundlePath() } }, history, 'plain-image');
    await expect(replay).resolves.toBeUndefined();
  });

  test('its stack traces name files of the packages, and nothing the machine that built it', async () => {
    const [built, map] = (await readFile(bundlePath(), 'utf8')).split('//# sourceMappingURL=data:');
    const decoded = Buffer.from(map!.slice(map!.indexOf('base64,') + 'base64,'.length), 'base64').toString();
    const { sources } = JSON.parse(decoded) as { sources: string[] };
    expect(sources).toContain('rivya-temporal/dist/workflows/generation.js');
    expect(
      sources.filter((source) => !/^(rivya-temporal|@temporalio|@noble|nexus-rpc|long|ms|webpack)\//.test(source)),
    ).toEqual([]);
    expect(built + decoded).not.toContain('node_modules');
  });
});
