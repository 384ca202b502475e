// Builds dist/, which is what is published: the compiled package with the declarations that its exports need, its assets,
// and the Workflow bundle that Workers load. The JavaScript is the TypeScript without its types, so it has no source maps.
// With --if-stale it does nothing when no source is newer than the last build.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { minifySync } from 'rolldown/utils';
import { bundleCommand, bundleFolder } from './command.mjs';
import { buildCommonJs, entries } from './commonjs.mjs';

const SOURCES = [
  'src',
  'workflows',
  'activities',
  'worker.ts',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.mjs',
  'scripts/commonjs.mjs',
  'scripts/command.mjs',
  'package.json',
];
const ASSETS = ['src/emulator/assets', 'src/temporal/embedded/lifeline.mjs', 'src/temporal/embedded/sdk-download.mjs'];
const STAMP = 'dist/.built';

process.chdir(path.dirname(import.meta.dirname));
if (process.argv.includes('--if-stale') && existsSync(STAMP)) {
  const builtAt = statSync(STAMP).mtimeMs;
  const files = SOURCES.flatMap((source) => (statSync(source).isFile() ? source : listed(source)));
  if (files.every((file) => statSync(file).mtimeMs < builtAt)) process.exit(0);
}

const require = createRequire(import.meta.url);
rmSync('dist', { recursive: true, force: true });
const tsc = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
const declared = new Set();
for (const { module } of entries()) addDeclarations(path.resolve('dist', `${module}.d.ts`));
for (const file of listed('dist')) if (file.endsWith('.d.ts') && !declared.has(path.resolve(file))) rmSync(file);
// The declarations keep theirs.
for (const file of listed('dist')) if (file.endsWith('.js')) writeFileSync(file, withoutComments(file));
for (const asset of ASSETS) cpSync(asset, path.join('dist', asset), { recursive: true, filter: isNoReadme });
buildCommonJs();
// What Workflows of users import becomes one file of what it needs: the SDK bundles every module of an import, whole.
const light = await rolldown({
  input: 'dist/workflows/index.js',
  external: /^@temporalio\//,
  treeshake: { moduleSideEffects: false },
});
await light.write({ file: 'dist/workflows/index.js', comments: false });
for (const name of ['contract', 'emulator', 'storage']) await bundleFolder(`dist/src/${name}`);
const outside = [...entries().map(({ module }) => module), 'worker', 'workflows/bundle'];
await bundleCommand(outside.map((module) => path.resolve('dist', `${module}.js`)));
chmodSync('dist/src/cli/main.js', 0o755);

const { bundleWorkflowCode } = await import('@temporalio/worker');
const { bundledFailuresPath, bundlePath, workflowsPath } = await import('../dist/src/worker/bundle.js');
const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
// The SDK bundles for development: all of every module, unminified, with a source map that holds every source. Minified,
// and with a map of names and lines only (a Worker refuses a bundle without), stack traces are the same at a quarter of it.
const optimization = {
  concatenateModules: true,
  usedExports: true,
  sideEffects: true,
  minimize: true,
  // Numbers: names would be paths of the machine that builds.
  moduleIds: 'deterministic',
};
const webpackConfigHook = ({ output, ...config }) => ({
  ...config,
  optimization,
  devtool: 'inline-nosources-source-map',
  output: { ...output, devtoolModuleFilenameTemplate: sourceName },
});
const { code } = await bundleWorkflowCode({
  workflowsPath,
  failureConverterPath: bundledFailuresPath,
  webpackConfigHook,
  logger: quiet,
});
writeFileSync(bundlePath(), code);
// After it: its stack traces name the files of the sources.
await bundleFolder('dist/workflows', ['bundle.js']);
writeFileSync(STAMP, '');

/** All files below a directory. */
function listed(directory) {
  return readdirSync(directory, { recursive: true }).map((name) => path.join(directory, name));
}

/** Adds a declaration and those that it refers to. */
function addDeclarations(file) {
  if (declared.has(file)) return;
  declared.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
    addDeclarations(path.resolve(path.dirname(file), `${name}.d.ts`));
  }
}

function withoutComments(file) {
  const codegen = { removeWhitespace: false, legalComments: 'none' };
  const options = { module: true, compress: false, mangle: false, codegen };
  const result = minifySync(file, readFileSync(file, 'utf8'), options);
  if (result.errors.length > 0) throw new Error(`${file}: ${result.errors[0].message}`);
  return result.code;
}

function isNoReadme(file) {
  return path.basename(file) !== 'README.md';
}

/** A source in stack traces, without the directory in which the package was built. */
function sourceName({ absoluteResourcePath: file }) {
  return file.replace(/^.*\/node_modules\//, '').replace(path.resolve('dist'), 'rivya-temporal/dist');
}
