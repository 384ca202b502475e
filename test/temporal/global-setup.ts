import type { TestProject } from 'vitest/node';
import { startDevServer } from '../../src/temporal/embedded/server.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of the Temporal server that all test files share. */
    temporalAddress: string;
  }
}

/** One dev server in memory for all test files, or the server that `TEMPORAL_ADDRESS` names. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['TEMPORAL_ADDRESS'];
  if (given) {
    project.provide('temporalAddress', given);
    return undefined;
  }
  // Any port: a developer's own server keeps the usual ones, and nobody meets the tests' server by accident.
  const server = await startDevServer({ log: (line) => console.error(line), ui: false, port: 0 });
  project.provide('temporalAddress', server.address);
  return () => server.stop();
}
