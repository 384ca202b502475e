// Builds dist/: the compiled package, its assets, and the Workflow bundle that Workers load.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
process.chdir(path.dirname(import.meta.dirname));

rmSync('dist', { recursive: true, force: true });
const tsc = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
for (const asset of ['src/emulator/assets', 'src/temporal/embedded/lifeline.mjs']) {
  if (existsSync(asset)) cpSync(asset, path.join('dist', asset), { recursive: true });
}
chmodSync('dist/src/cli/main.js', 0o755);

const { bundleWorkflowCode } = await import('@temporalio/worker');
const { bundlePath, workflowsPath } = await import('../dist/src/worker/bundle.js');
const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
const { code } = await bundleWorkflowCode({ workflowsPath, logger: quiet });
writeFileSync(bundlePath(), code);
