/** The process: reads the settings, runs the Workers until SIGTERM or SIGINT, stops cleanly. */
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { OnStep } from './activities/index.js';
import { apiTaskQueue } from './src/contract/index.js';
import { readSettings, SettingsError, type Settings } from './src/config.js';
import { TIMEOUTS } from './src/policy/index.js';
import { connectWorker, TemporalUnreachable } from './src/temporal/connect.js';
import { installRuntime } from './src/worker/logging.js';
import { startWorkers } from './src/worker/workers.js';

/** Refuses settings with which a Worker could only fail later. */
export async function checkWorkerSettings(settings: Settings): Promise<void> {
  if (settings.roles.has('api') && settings.keys === null) {
    throw new SettingsError(
      'RIVYA_API_KEY: a Worker with the api role needs a key. Set RIVYA_API_KEY or RIVYA_API_KEY_FILE, or take "api" out of RIVYA_WORKER_ROLES.',
    );
  }
  // Both keep something in it: results, and receipts of what was paid.
  if (!settings.roles.has('results') && !settings.roles.has('api')) return;
  if (settings.store === null) return;
  // A mount that is gone lets every call to it wait for ever.
  const late = sleep(TIMEOUTS.storeProbe, undefined, { ref: false }).then(() => {
    throw new Error(`${settings.store?.address} did not answer within ${TIMEOUTS.storeProbe / 1_000} s`);
  });
  await Promise.race([settings.store.probe(), late]).catch((error: Error) => {
    throw new SettingsError(`RIVYA_STORE: ${error.message}`);
  });
}

/**
 * Runs the Workers until a signal. Returns the exit status.
 * @param local - Server of this machine, used where Temporal's settings name no address.
 * @param onStep - For tests of faults: called around each side effect of the Activities.
 */
export async function runWorker(
  env: NodeJS.ProcessEnv = process.env,
  local?: string,
  onStep?: OnStep,
): Promise<number> {
  try {
    const settings = readSettings(env);
    await checkWorkerSettings(settings);
    installRuntime();
    const { connection, namespace, address } = await connectWorker(local);
    const { taskQueue, roles, baseUrl } = settings;
    const api = roles.has('api') ? `; calls to ${baseUrl} on ${apiTaskQueue(taskQueue)}` : '';
    process.stderr.write(
      `Worker (${[...roles].join(', ')}) at ${address}, namespace ${namespace}, task queue ${taskQueue}${api}\n`,
    );
    const workers = await startWorkers(settings, { connection, namespace, ...(onStep && { onStep }) });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void workers.stop());
    await workers.done;
    await connection.close();
    return 0;
  } catch (error) {
    if (!(error instanceof SettingsError || error instanceof TemporalUnreachable)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error instanceof SettingsError ? 2 : 3;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exit(await runWorker());
}
