import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { inject } from 'vitest';
import type { GenerationClient } from '../../src/client.js';
import { readSettings, type Settings } from '../../src/config.js';
import type { Emulator, EmulatorOptions } from '../../src/emulator/index.js';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { registerAttributes } from '../../src/temporal/search-attributes.js';
import { createTestEnvironment } from '../../src/testing/environment.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { newNamespace } from './namespace.js';

let installed = false;
export function quietRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
}

export interface Harness extends AsyncDisposable {
  /** `host:port` of its Temporal server. */
  readonly address: string;
  /** Its namespace, for what does not go through `temporal`. */
  readonly namespace: string;
  /** Leads a process to both. */
  readonly temporalEnv: NodeJS.ProcessEnv;
  readonly emulator: Emulator;
  readonly temporal: Client;
  readonly client: GenerationClient;
  readonly taskQueue: string;
  /** Directory of the store. */
  readonly output: string;
  readonly settings: Settings;
  readonly connection: NativeConnection;
  /** Starts Workers of these roles (default all) with this Workflow bundle (default: of the sources), API key and spending policy. */
  startWorkers(change?: WorkersChange): Promise<RunningWorkers>;
}

interface WorkersChange {
  readonly roles?: Settings['roles'];
  readonly bundle?: string;
  readonly apiKey?: string;
  readonly policy?: Settings['policy'];
}

/**
 * An emulator, a namespace and running Workers on the shared Temporal server, or on one of its own where `dynamicConfig`
 * is given. The namespace has the search attributes unless `attributes` is false. Without `account` a refusal that one
 * generation meets on demand holds no other.
 */
export async function startHarness({
  emulator,
  env = {},
  dynamicConfig,
  workers = true,
  attributes = true,
  account = true,
}: {
  emulator?: EmulatorOptions;
  env?: NodeJS.ProcessEnv;
  dynamicConfig?: Readonly<Record<string, string>>;
  workers?: boolean;
  attributes?: boolean;
  account?: boolean;
} = {}): Promise<Harness> {
  quietRuntime();
  const server =
    dynamicConfig === undefined
      ? null
      : await startDevServer({ log: () => undefined, ui: false, port: 0, dynamicConfig });
  const address = server?.address ?? inject('temporalAddress');
  const connection = await NativeConnection.connect({ address });
  // Two tests with one Workflow ID in one namespace would be two runs of one generation, and one would find what the other
  // has paid.
  const namespace = await newNamespace(connection);
  if (attributes) await registerAttributes(connection, namespace);
  const temporal = new Client({ connection: await Connection.connect({ address }), namespace });
  const taskQueue = `test-${randomUUID()}`;
  const environment = await createTestEnvironment({
    environment: { client: temporal, nativeConnection: connection },
    rivyaTaskQueue: taskQueue,
    env,
    // One Worker runs the Workflows of the tests beside those of the package.
    workers: false,
    ...(emulator !== undefined && { emulator }),
  });
  const running: RunningWorkers[] = [];
  const start: Harness['startWorkers'] = async ({ roles, bundle = inject('bundle'), apiKey, policy } = {}) => {
    const changed = {
      ...(policy !== undefined && { RIVYA_POLICY_FILE: await policyFile(environment.output, policy) }),
      ...(roles !== undefined && { RIVYA_WORKER_ROLES: [...roles].join() }),
      ...(apiKey !== undefined && { RIVYA_API_KEY: apiKey }),
    };
    const settings = readSettings({ ...environment.env, ...changed });
    const workflows = { workflowBundle: { codePath: bundle } };
    const started = await startWorkers(settings, { connection, namespace, workflows, account });
    running.push(started);
    return started;
  };
  if (workers) await start();
  const { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE } = environment.env;
  return {
    ...environment,
    address,
    namespace,
    temporalEnv: { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE },
    temporal,
    client: environment.generations,
    taskQueue,
    settings: readSettings(environment.env),
    startWorkers: start,
    [Symbol.asyncDispose]: async () => {
      // Before the Workers, so that none of them waits for an answer that hangs.
      await environment.emulator.close();
      await Promise.all(running.map((started) => started.stop()));
      await environment.dispose();
      await Promise.all([temporal.connection.close(), connection.close()]);
      await server?.stop();
    },
  };
}

/** The policy as a file, or no file. */
async function policyFile(directory: string, policy: Settings['policy']): Promise<string> {
  if (policy === null) return '';
  const { source, ...rules } = policy;
  // A denial names it.
  const file = path.join(directory, `${path.basename(source)}.json`);
  // Left out where it is null: a rule that is not there allows all.
  await writeFile(file, JSON.stringify(Object.fromEntries(Object.entries(rules).filter(([, rule]) => rule !== null))));
  return file;
}
