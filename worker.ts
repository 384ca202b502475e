/** The process: reads the settings, runs the Workers until SIGTERM or SIGINT, stops cleanly. */
import { pathToFileURL } from 'node:url';
import type { OnStep } from './activities/index.js';
import { apiTaskQueue } from './src/contract/index.js';
import { readSettings, SettingsError, unknownSettings } from './src/config.js';
import { connectWorker, TemporalUnreachable } from './src/temporal/connect.js';
import { endOfWorkers } from './src/temporal/refusal.js';
import { checkWorkerSettings } from './src/worker/check.js';
import { serveHealth } from './src/worker/health.js';
import { installRuntime, metricsOf } from './src/worker/logging.js';
import { showHeld } from './src/worker/metrics.js';
import { createWorkers } from './src/worker/workers.js';

/**
 * Runs the Workers until a signal. Returns the exit status.
 * @param local - Server of this machine, used where Temporal's settings name no address.
 * @param onStep - For tests of faults: called around each side effect of the Activities.
 * @param onReady - Called with what they serve, once they can.
 * @throws SettingsError, TemporalUnreachable
 */
export async function runWorker(
  env: NodeJS.ProcessEnv = process.env,
  local?: string,
  onStep?: OnStep,
  onReady?: (serves: object) => void,
): Promise<number> {
  const settings = readSettings(env);
  await checkWorkerSettings(settings);
  installRuntime({ metrics: await metricsOf(settings) });
  const { connection, namespace, address } = await connectWorker(local);
  const { taskQueue, baseUrl } = settings;
  const roles = [...settings.roles];
  const api = settings.roles.has('api') ? `; calls to ${baseUrl} on ${apiTaskQueue(taskQueue)}` : '';
  process.stderr.write(
    `Worker (${roles.join(', ')}) at ${address}, namespace ${namespace}, task queue ${taskQueue}${api}\n`,
  );
  const { healthAddress, metricsAddress, otlpUrl } = settings;
  let isRunning = (): boolean => false;
  const health =
    healthAddress && (await serveHealth(healthAddress, { connection, namespace, isRunning: () => isRunning() }));
  const workers = await createWorkers(settings, { connection, namespace, onStep });
  isRunning = () => workers.isRunning();
  const ended = new AbortController();
  if ((metricsAddress ?? otlpUrl) !== null) showHeld(connection, namespace, settings, ended.signal);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => workers.shutdown());
  onReady?.({ address, namespace, taskQueue, roles, baseUrl });
  try {
    await workers.run();
  } catch (error) {
    throw endOfWorkers(error, address);
  } finally {
    ended.abort();
    health?.close();
  }
  // After a failure a Worker may still hold it.
  await connection.close();
  return 0;
}

/** The exit status of an error that a person must fix. */
function refused(error: unknown): number {
  if (!(error instanceof SettingsError || error instanceof TemporalUnreachable)) throw error;
  process.stderr.write(`${error.message}\n`);
  return error instanceof SettingsError ? 2 : 3;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const warning of unknownSettings()) process.stderr.write(`${warning}\n`);
  process.exit(await runWorker().catch(refused));
}
