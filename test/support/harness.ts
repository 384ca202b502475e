import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { inject } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import { readSettings, type Settings } from '../../src/config.js';
import { startEmulator, type Emulator, type EmulatorOptions } from '../../src/emulator/index.js';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';

let installed = false;
export function quietRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
}

export interface Harness extends AsyncDisposable {
  /** `host:port` of its Temporal server. */
  readonly address: string;
  readonly emulator: Emulator;
  readonly temporal: Client;
  readonly client: GenerationClient;
  readonly taskQueue: string;
  /** Directory of the store. */
  readonly output: string;
  readonly settings: Settings;
  readonly connection: NativeConnection;
  /** Starts Workers of these roles (default all) with this Workflow bundle (default: of the sources) and this API key. */
  startWorkers(change?: WorkersChange): Promise<RunningWorkers>;
}

interface WorkersChange {
  readonly roles?: Settings['roles'];
  readonly bundle?: string;
  readonly apiKey?: string;
}

/**
 * An emulator, a task queue of its own and running Workers on the shared Temporal server, or on one of its own where
 * `dynamicConfig` is given.
 */
export async function startHarness({
  emulator: emulatorOptions,
  env = {},
  dynamicConfig,
  workers = true,
}: {
  emulator?: EmulatorOptions;
  env?: NodeJS.ProcessEnv;
  dynamicConfig?: Readonly<Record<string, string>>;
  workers?: boolean;
} = {}): Promise<Harness> {
  quietRuntime();
  const server =
    dynamicConfig === undefined
      ? null
      : await startDevServer({ log: () => undefined, ui: false, port: 0, dynamicConfig });
  const address = server?.address ?? inject('temporalAddress');
  const output = await mkdtemp(path.join(tmpdir(), 'rivya-output-'));
  // Jobs end within a second, so a generation is done at its first check.
  const emulator = await startEmulator({ durations: { image: 800, audio: 800, video: 800 }, ...emulatorOptions });
  const taskQueue = `test-${randomUUID()}`;
  const settings = readSettings({
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_TASK_QUEUE: taskQueue,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
    RIVYA_STORE: `file:${output}`,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
    ...env,
  });
  const connection = await NativeConnection.connect({ address });
  const temporal = new Client({ connection: await Connection.connect({ address }) });
  const running: RunningWorkers[] = [];
  const start = async ({
    roles = settings.roles,
    bundle = inject('bundle'),
    apiKey,
  }: WorkersChange = {}): Promise<RunningWorkers> => {
    const workflows = { workflowBundle: { codePath: bundle } };
    const { keys } = apiKey === undefined ? settings : readSettings({ RIVYA_API_KEY: apiKey });
    const started = await startWorkers({ ...settings, roles, keys }, { connection, namespace: 'default', workflows });
    running.push(started);
    return started;
  };
  if (workers) await start();
  return {
    address,
    emulator,
    temporal,
    client: new GenerationClient(temporal, { taskQueue }),
    taskQueue,
    output,
    settings,
    connection,
    startWorkers: start,
    [Symbol.asyncDispose]: async () => {
      await emulator.close();
      await Promise.all(running.map((workers_) => workers_.stop()));
      await Promise.all([temporal.connection.close(), connection.close()]);
      await server?.stop();
      await rm(output, { recursive: true });
    },
  };
}
