/** All that is needed to run generations on this machine, as `dev` and `demo` start it. */
import type { Client } from '@temporalio/client';
import { hasKey, readSettings, SettingsError, WORKER_ROLES } from '../config.js';
import { configuredAddress, connectClient, connectWorker } from '../temporal/connect.js';
import { EMULATOR_API_KEY, startEmulator, type EmulatorOptions } from '../emulator/index.js';
import { endOfWorkers } from '../temporal/refusal.js';
import { servedQueues } from '../temporal/pollers.js';
import { startDevServer, type DevServerOptions } from '../temporal/embedded/server.js';
import { checkWorkerSettings } from '../worker/check.js';
import { installRuntime } from '../worker/logging.js';
import { startWorkers } from '../worker/workers.js';

export interface StackOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  /** Where results go unless `RIVYA_STORE` says so. */
  readonly defaultStore: string;
  /** Finds the folders whose files may be references. Called where `RIVYA_REFERENCE_ROOTS` names none. */
  readonly referenceRoots?: () => Promise<readonly string[]>;
  /** Called once the Temporal server answers, before Workers run. */
  readonly beforeWorkers?: (client: Client) => Promise<void>;
  /** Ports and database file of the embedded server. */
  readonly server: Pick<DevServerOptions, 'port' | 'uiPort' | 'dbFilename' | 'retentionDays'>;
  /** State file of the emulator, and its port: another one where that is taken. */
  readonly emulator?: Pick<EmulatorOptions, 'port' | 'stateFile'>;
}

/** The Temporal server that was started here has ended by itself, or was killed. */
export class ServerEnded extends Error {
  override readonly name = 'ServerEnded';
  constructor(how: string) {
    super(`The Temporal server has ended (${how}).`);
  }
}

/** A Temporal server, the emulator and Workers that run. */
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
    const named = configuredAddress();
    const env: NodeJS.ProcessEnv = { ...options.env, RIVYA_WORKER_ROLES: WORKER_ROLES.join(',') };
    env['RIVYA_STORE'] ||= options.defaultStore;
    const isReal = hasKey(env);
    if (!isReal) env['RIVYA_API_KEY'] = EMULATOR_API_KEY;
    // Wrong settings are found before anything is started.
    await checkWorkerSettings(readSettings(env));

    // Before the emulator, because the server locks the database file, and with it the state of the emulator beside it.
    const server = named === null ? await startDevServer({ ...options.server, log, env: options.env }) : null;
    if (server !== null) closers.push(() => server.stop());
    const emulator = isReal ? null : await emulatorFor(options.emulator);
    if (emulator !== null) {
      closers.push(() => emulator.close());
      const { url } = emulator;
      const trusted = [env['RIVYA_TRUSTED_RESULT_HOSTS'], new URL(url).host].filter(Boolean).join(',');
      Object.assign(env, { RIVYA_BASE_URL: url, RIVYA_TRUSTED_RESULT_HOSTS: trusted });
      log(`No RIVYA_API_KEY: the emulator at ${url} answers instead of the API. Nothing is paid.`);
    }
    const given = readSettings(env);
    const referenceRoots = given.referenceRoots.length > 0 ? given.referenceRoots : await options.referenceRoots?.();
    const settings = { ...given, referenceRoots: referenceRoots ?? [] };
    // Never closed: the SDK repeats a call that the stopping server broke off, and on a closed channel that is an uncaught
    // error. The process ends soon after.
    const connected = await connectClient(server?.address, settings.encryption);

    if (named !== null && emulator !== null) await refuseOthers(connected.client, settings.taskQueue);
    await options.beforeWorkers?.(connected.client);
    // Warnings only: the progress on the screen says the rest.
    installRuntime({ level: options.env['RIVYA_DEBUG'] ? 'INFO' : 'WARN', json: false });
    const { connection } = await connectWorker(server?.address);
    closers.push(() => connection.close());
    const workers = await startWorkers(settings, { connection, namespace: connected.namespace });
    closers.push(() => workers.stop());
    const uiUrl = settings.uiUrl ?? server?.uiUrl ?? null;
    const ended = workers.done.catch((error: unknown) => {
      throw endOfWorkers(error, connected.address);
    });
    // Workers whose server is gone would try again for ever.
    const lost = server?.ended.then((how) => Promise.reject(new ServerEnded(how))) ?? null;
    const done = lost === null ? ended : Promise.race([ended, lost]);
    // Who does not wait for it must not crash by it.
    done.catch(() => undefined);
    // `done` rejects when a Worker fails or the server is gone, and resolves when all have stopped; `stop` begins with what was started last.
    return { ...connected, uiUrl, settings, emulator, embedded: server !== null, done, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function emulatorFor(options: EmulatorOptions = {}) {
  return startEmulator(options).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return startEmulator({ ...options, port: 0 });
  });
}

/** On a shared Service, a Worker with the emulator would take work from those that serve the queue for real. */
async function refuseOthers(client: Client, taskQueue: string): Promise<void> {
  const queues = await servedQueues(client, taskQueue);
  const others = queues.flatMap(({ role, pollers }) => (role === 'api' ? pollers : []));
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
