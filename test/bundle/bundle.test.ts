/** What Workers load as Workflow code. */
import { readFile } from 'node:fs/promises';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { fileURLToPath } from 'node:url';
import { createContext, Script } from 'node:vm';
import { beforeAll, expect, inject, test } from 'vitest';
import * as workflows from '../../workflows/index.js';

let code: string;
beforeAll(async () => {
  const workflowsPath = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url));
  ({ code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('WARN') }));
});

test('the exports are the published names', () => {
  expect(Object.keys(workflows).toSorted()).toEqual([
    'FAILURE',
    'chat',
    'checkNowSignal',
    'checkNowUpdate',
    'estimateCredits',
    'generate',
    'generateAll',
    'generateMedia',
    'generationQuery',
    'resumeSignal',
    'resumeUpdate',
    'rivyaChat',
    'startGeneration',
  ]);
});

test("a user's module with `export *` from ours brings both to the Worker", async () => {
  const script = new Script(await readFile(inject('bundle'), 'utf8'));
  // What a Worker asks of a bundle: the module of the user, with all that it exports.
  // The SDK keeps the modules of each Workflow in a global of this name.
  const sandbox = createContext({ console, __webpack_module_cache__: {} });
  script.runInContext(sandbox);
  const exported = Object.keys((sandbox['__TEMPORAL__'] as { importWorkflows(): object }).importWorkflows());
  expect(exported).toEqual(expect.arrayContaining([...Object.keys(workflows), 'twoSteps', 'twoAtOnce']));
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
  // 1.95 MB with source maps when it was measured, nearly all of it the SDK.
  expect(code.length).toBeLessThan(2_500_000);
});

test('the build leaves a bundle for the SDK version that is installed', async () => {
  const { version } = JSON.parse(
    await readFile(fileURLToPath(import.meta.resolve('@temporalio/worker/package.json')), 'utf8'),
  ) as { version: string };
  const built = await readFile(new URL(`../../dist/workflow-bundle-${version}.js`, import.meta.url), 'utf8');
  expect(built).toContain('generateMedia');
});
