import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from '@temporalio/worker';

const require = createRequire(import.meta.url);

/** Module that a Worker which only runs our Workflows bundles. */
export const workflowsPath = fileURLToPath(new URL('../../workflows/index.js', import.meta.url));

/** Where the build puts the bundle. The name carries the SDK version, because a bundle works with no other. */
export function bundlePath(): string {
  const { version } = require('@temporalio/worker/package.json') as { version: string };
  return fileURLToPath(new URL(`../../workflow-bundle-${version}.js`, import.meta.url));
}

/**
 * The Workflow code of this package: the bundle of the build (a Worker starts 2 s faster with it), or the path to bundle
 * at start with another SDK version, and wherever the Worker has something to put into the bundle.
 */
export function workflowCode(
  host: Pick<WorkerOptions, 'connection' | 'dataConverter' | 'interceptors' | 'plugins'> = {},
): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  const { connection, dataConverter, interceptors, plugins = [] } = host;
  const ownConverter = dataConverter?.payloadConverterPath ?? dataConverter?.failureConverterPath;
  const modules = interceptors?.workflowModules ?? [];
  const plain =
    ownConverter === undefined && modules.length + plugins.length + (connection?.plugins ?? []).length === 0;
  const codePath = bundlePath();
  return plain && existsSync(codePath) ? { workflowBundle: { codePath } } : { workflowsPath };
}
