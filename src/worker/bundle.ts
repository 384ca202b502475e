import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { WorkerOptions } from '@temporalio/worker';
import { failureConverterPath } from '../codec/converter.js';
import { dist, require } from '../dist.js';

/** Module of our Workflows, for a Worker that bundles them at start. */
export const workflowsPath = path.join(dist, 'workflows', 'bundle.js');

/** Module of the failure converter in the bundle of the build. */
export const bundledFailuresPath = path.join(dist, 'src', 'codec', 'bundled-failures.js');

// Code for the end of the bundle, where it moves no line or column that the source map knows.
const ENCODES_FAILURES = ';globalThis.rivyaEncodesFailures=true;\n';
const SOURCE_MAP = '//# sourceMappingURL=data:';

/** Where the build puts the bundle. The name carries the SDK version, because a bundle works with no other. */
export function bundlePath(): string {
  const { version } = require('@temporalio/worker/package.json') as { version: string };
  return path.join(dist, `workflow-bundle-${version}.js`);
}

/**
 * The Workflow code of this package: the bundle of the build, with which a Worker starts 2 s faster, or the module to bundle
 * at start. That is needed with another SDK version, and for what must be inside the sandbox: a payload or failure
 * converter, Workflow interceptors, and plugins, which may bring both. The failure converter of our own encryption is in
 * the bundle.
 */
export function workflowCode(host: CodeOptions = {}): WorkflowCode {
  const { connection, dataConverter, interceptors, plugins = [] } = host;
  const encodes = dataConverter?.failureConverterPath === failureConverterPath;
  const converters = [dataConverter?.payloadConverterPath, encodes ? undefined : dataConverter?.failureConverterPath];
  const others = [...plugins, ...(connection?.plugins ?? [])].filter(({ name }) => !name.startsWith('rivya-temporal'));
  const inSandbox = [...converters, ...(interceptors?.workflowModules ?? []), ...others];
  const codePath = bundlePath();
  const ready = inSandbox.every((part) => part === undefined) && existsSync(codePath);
  if (!ready) return { workflowsPath };
  return { workflowBundle: encodes ? { code: encodingFailures(readFileSync(codePath, 'utf8')) } : { codePath } };
}

function encodingFailures(code: string): string {
  const end = code.lastIndexOf(SOURCE_MAP);
  return `${code.slice(0, end)}${ENCODES_FAILURES}${code.slice(end)}`;
}

type CodeOptions = Pick<WorkerOptions, 'connection' | 'dataConverter' | 'interceptors' | 'plugins'>;

/** Either of the options of a Worker that bring Workflows. */
export type WorkflowCode = Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
