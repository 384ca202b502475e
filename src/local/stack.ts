import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { hasKey, readSettings, SettingsError, WORKER_ROLES } from '../config.js';
import { configuredAddress, connectClient, connectWorker } from '../temporal/connect.js';
import type { Emulator } from '../emulator/index.js';
import { servedQueues } from '../temporal/pollers.js';
import { startDevServer, type DevServerOptions } from '../temporal/embedded/server.js';
import { checkWorkerSettings } from '../worker/check.js';
import { installRuntime } from '../worker/logging.js';

export interface StackOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  /** Where results go unless `RIVYA_STORE` says so. */
  readonly defaultStore: string;
  /** Ports and database file of the embedded server. */
  readonly server: Pick<DevServerOptions, 'port' | 'uiPort' | 'dbFilename' | 'retentionDays'>;
  /** File of the emulator's state; without one it is in memory. */
  readonly emulatorState?: string | undefined;
  /** Port of the emulator; any other where it is taken. Default: any. */
  readonly emulatorPort?: number;
  /** Take a task queue of its own on a Temporal Service that is not ours, so that no other Worker is disturbed. */
  readonly ownQueue: boolean;
}

/** All that is needed to run generations, in this process and below it. */
export type Stack = Awaited<ReturnType<typeof startStack>>;

/**
 * Starts the Temporal server (unless Temporal's settings name one), the emulator (unless there is a key) and the Workers.
 * What was started is stopped again when a later part fails.
 */
export async function startStack(options: StackOptions) {
  const { log } = options;
  const closers: (() => Promise<unknown>)[] = [];
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopping ??= stopAll(closers));
  try {
    // Wrong settings are found before anything is started.
    readSettings(options.env);
    const named = configuredAddress();
    const env: NodeJS.ProcessEnv = { ...options.env, RIVYA_WORKER_ROLES: WORKER_ROLES.join(',') };
    env['RIVYA_STORE'] ||= options.defaultStore;
    if (named !== null && options.ownQueue) env['RIVYA_TASK_QUEUE'] = `rivya-demo-${randomBytes(4).toString('hex')}`;

    let emulatorUrl: string | null = null;
    if (!hasKey(env)) {
      const emulator = await emulatorFor(options);
      closers.push(() => emulator.close());
      emulatorUrl = emulator.url;
      const trusted = [env['RIVYA_TRUSTED_RESULT_HOSTS'], new URL(emulator.url).host].filter(Boolean).join(',');
      Object.assign(env, {
        RIVYA_BASE_URL: emulator.url,
        RIVYA_API_KEY: emulator.apiKey,
        RIVYA_TRUSTED_RESULT_HOSTS: trusted,
        // The emulator's own limit: nobody has to wait for a simulated one.
        RIVYA_RATE_LIMIT_PER_MINUTE: env['RIVYA_RATE_LIMIT_PER_MINUTE'] || '600',
      });
      log(`No RIVYA_API_KEY: the emulator at ${emulator.url} answers instead of the API. Nothing is paid.`);
    }
    const settings = readSettings(env);
    await checkWorkerSettings(settings);

    const server = named === null ? await startDevServer({ ...options.server, log, env: options.env }) : null;
    if (server !== null) closers.push(() => server.stop());
    // Never closed: the SDK repeats a call that the stopping server broke off, and on a closed channel that is an uncaught
    // error. The process ends soon after.
    const connected = await connectClient(server?.address);

    if (named !== null && emulatorUrl !== null) await refuseOthers(connected.client, settings.taskQueue);
    // Warnings only: the progress on the screen tells the rest.
    installRuntime({ level: options.env['RIVYA_DEBUG'] ? 'INFO' : 'WARN' });
    const { connection } = await connectWorker(server?.address);
    closers.push(() => connection.close());
    const { startWorkers } = await import('../worker/workers.js');
    const workers = await startWorkers(settings, { connection, namespace: connected.namespace });
    closers.push(() => workers.stop());
    const uiUrl = settings.uiUrl ?? server?.uiUrl ?? null;
    const embedded = server !== null;
    // `done` rejects when a Worker fails, and resolves when all have stopped; `stop` begins with what was started last.
    return { ...connected, uiUrl, settings, emulatorUrl, embedded, done: workers.done, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function emulatorFor({ emulatorState, emulatorPort = 0 }: StackOptions): Promise<Emulator> {
  const { startEmulator } = await import('../emulator/index.js');
  const state = emulatorState === undefined ? {} : { stateFile: emulatorState };
  return startEmulator({ ...state, port: emulatorPort }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return startEmulator(state);
  });
}

/** On a shared Service, a Worker with the emulator would take work from those that serve the queue for real. */
async function refuseOthers(client: Client, taskQueue: string): Promise<void> {
  const queues = await servedQueues(client, taskQueue);
  const others = queues.filter(({ role }) => role === 'api').flatMap(({ pollers }) => pollers);
  if (others.length === 0) return;
  throw new SettingsError(
    `Other Workers (${others.join(', ')}) serve task queue "${taskQueue}", and the emulator would answer for them. Set RIVYA_API_KEY, or another RIVYA_TASK_QUEUE.`,
  );
}

async function stopAll(closers: (() => Promise<unknown>)[]): Promise<void> {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
    // What does not stop cleanly must not keep the others running.
    await close().catch(() => undefined);
  }
}
