// Builds dist/: the compiled package, its assets, and the Workflow bundle that Workers load.
// With --if-stale it does nothing when no source is newer than the last build.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { buildCommonJs } from './commonjs.mjs';

const SOURCES = [
  'src',
  'workflows',
  'activities',
  'worker.ts',
  'package-lock.json',
  'tsconfig.json',
  'scripts/build.mjs',
  'scripts/commonjs.mjs',
  'package.json',
];
const ASSETS = ['src/emulator/assets', 'src/temporal/embedded/lifeline.mjs', 'src/temporal/embedded/sdk-download.mjs'];
const STAMP = 'dist/.built';

process.chdir(path.dirname(import.meta.dirname));
if (process.argv.includes('--if-stale') && existsSync(STAMP)) {
  const builtAt = statSync(STAMP).mtimeMs;
  const files = SOURCES.flatMap((source) =>
    statSync(source).isFile()
      ? source
      : readdirSync(source, { recursive: true }).map((name) => path.join(source, name)),
  );
  if (files.every((file) => statSync(file).mtimeMs < builtAt)) process.exit(0);
}

const require = createRequire(import.meta.url);
rmSync('dist', { recursive: true, force: true });
const tsc = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
for (const asset of ASSETS) cpSync(asset, path.join('dist', asset), { recursive: true });
buildCommonJs();
chmodSync('dist/src/cli/main.js', 0o755);

const { bundleWorkflowCode } = await import('@temporalio/worker');
const { bundlePath, workflowsPath } = await import('../dist/src/worker/bundle.js');
const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
// The SDK bundles for development: all of every module, unminified. A tenth of that is needed.
const optimization = { concatenateModules: true, usedExports: true, sideEffects: true, minimize: true };
const webpackConfigHook = (config) => ({ ...config, optimization });
const { code } = await bundleWorkflowCode({ workflowsPath, webpackConfigHook, logger: quiet });
writeFileSync(bundlePath(), code);
writeFileSync(STAMP, '');
