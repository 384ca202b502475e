import { existsSync } from 'node:fs';
// Not under its own name, which the usual banner of esbuild declares.
import { createRequire as requireFrom } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { WorkerOptions } from '@temporalio/worker';
import { SettingsError } from '../config.js';

// A bundler that writes CommonJS leaves no URL of a module; the program that was started stands in for it.
const here = import.meta.url || pathToFileURL(process.argv[1] ?? 'program.js').href;
const require = requireFrom(here);

/** `dist` of the package, also where a bundler has put this module into a program. @throws SettingsError */
function findDist(): string {
  if (here.endsWith('/dist/src/worker/bundle.js')) return fileURLToPath(new URL('../..', here));
  try {
    return path.join(path.dirname(require.resolve('rivya-temporal/package.json')), 'dist');
  } catch {
    throw new SettingsError(
      `rivya-temporal: its Workflow code is missing. The package was bundled into ${fileURLToPath(here)}, and its files must be installed where that runs: npm install rivya-temporal`,
    );
  }
}
const dist = findDist();

/** Module of our Workflows, for a Worker that bundles them at start. */
export const workflowsPath = path.join(dist, 'workflows', 'bundle.js');

/** Where the build puts the bundle. The name carries the SDK version, because a bundle works with no other. */
export function bundlePath(): string {
  const { version } = require('@temporalio/worker/package.json') as { version: string };
  return path.join(dist, `workflow-bundle-${version}.js`);
}

/**
 * The Workflow code of this package: the bundle of the build, with which a Worker starts 2 s faster, or the module to bundle
 * at start. That is needed with another SDK version, and for what must be inside the sandbox: a payload or failure
 * converter, Workflow interceptors, and plugins, which may bring both.
 */
export function workflowCode(host: CodeOptions = {}): WorkflowCode {
  const { connection, dataConverter, interceptors, plugins = [] } = host;
  const converters = [dataConverter?.payloadConverterPath, dataConverter?.failureConverterPath];
  const others = [...plugins, ...(connection?.plugins ?? [])].filter(({ name }) => !name.startsWith('rivya-temporal'));
  const inSandbox = [...converters, ...(interceptors?.workflowModules ?? []), ...others];
  const codePath = bundlePath();
  const ready = inSandbox.every((part) => part === undefined) && existsSync(codePath);
  return ready ? { workflowBundle: { codePath } } : { workflowsPath };
}

type CodeOptions = Pick<WorkerOptions, 'connection' | 'dataConverter' | 'interceptors' | 'plugins'>;

/** Either of the options of a Worker that bring Workflows. */
export type WorkflowCode = Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
