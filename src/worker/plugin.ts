import { SimplePlugin } from '@temporalio/plugin';
import type {
  NativeConnection,
  NativeConnectionOptions,
  Worker,
  WorkerOptions,
  WorkerPlugin,
} from '@temporalio/worker';
import { SettingsError, type Settings } from '../config.js';
import { apiTaskQueue } from '../contract/index.js';
import { checkKey } from './check.js';
import { settingsOf, type RivyaOptions } from './options.js';
import { sharedWorkers } from './shared.js';
import { OWN_WORKER, stopPolling, type HostOptions } from './workers.js';

const NAME = 'rivya-temporal.RivyaPlugin';

/**
 * Runs the Workers of Rivya generations beside a Worker of yours, in its process and as long as it runs: they poll
 * `<taskQueue>` (default `rivya`) and `<taskQueue>-api`, as those of `createRivyaWorkers` do. Your Worker polls another
 * queue and stays as it is; its connection, namespace, identity, data converter, interceptors, sinks and the plugins that
 * come after this one go to the Workers beside it.
 *
 * Give it to a Worker or to its connection. Workers of one connection and namespace whose plugins have the same options
 * share one set of them, which ends with the last. A second account is a second plugin with another `taskQueue`.
 * @throws SettingsError naming each option or variable that is wrong.
 */
export class RivyaPlugin extends SimplePlugin {
  readonly #options: RivyaOptions;
  readonly #settings: Settings;

  constructor(options: RivyaOptions = {}) {
    super({ name: NAME });
    // A copy: an object that is changed later is another one.
    this.#options = { ...options };
    this.#settings = settingsOf(options);
    checkKey(this.#settings);
  }

  /** Goes first among the plugins of a connection, so that each of them is applied once to each Worker. */
  override configureNativeConnection(options: NativeConnectionOptions): NativeConnectionOptions {
    const { plugins = [] } = options;
    return { ...options, plugins: [this, ...plugins.filter((plugin) => plugin !== this)] };
  }

  override configureWorker(options: WorkerOptions): WorkerOptions {
    const { plugins = [], connection, taskQueue } = options;
    const at = plugins.indexOf(this);
    // A Worker of the set, or one that was configured for the first of two places of this plugin.
    if (plugins.includes(OWN_WORKER) || at < 0) return options;
    if (connection === undefined) {
      throw new TypeError(`${NAME} needs the connection of the Worker: Worker.create({ connection, … })`);
    }
    const ours = this.#settings.taskQueue;
    if ([ours, apiTaskQueue(ours)].includes(taskQueue)) {
      throw new SettingsError(
        `taskQueue: "${taskQueue}" is polled by the Workers that ${NAME} runs beside yours. Give your Worker a task queue of its own, for example "pipelines". Nothing was started.`,
      );
    }
    if (this.#settings.encryption !== null && options.dataConverter === undefined) {
      throw new SettingsError(
        'RIVYA_ENCRYPTION_KEYS: your Worker has no dataConverter, and could not read what its generations return. Give it, and each client of its Workflows, the converter of encryptedDataConverter() from "rivya-temporal". Nothing was started.',
      );
    }
    const beside = new Beside(this.#options, besideOf(options, connection, at));
    // Once, wherever it is given.
    return { ...options, plugins: [beside, ...plugins.filter((plugin) => plugin !== this)] };
  }
}

/** What the Workers beside it take from a Worker. The SDK adds the plugins of the connection. */
function besideOf(options: WorkerOptions, connection: NativeConnection, at: number): HostOptions {
  const { namespace, identity, dataConverter, interceptors, sinks, plugins = [] } = options;
  const ofWorker = plugins.slice(0, plugins.length - connection.plugins.length);
  return {
    connection,
    ...(namespace !== undefined && { namespace }),
    ...(identity !== undefined && { identity }),
    ...(dataConverter !== undefined && { dataConverter }),
    ...(interceptors !== undefined && { interceptors }),
    ...(sinks !== undefined && { sinks }),
    plugins: ofWorker.slice(at + 1).filter((plugin) => !(plugin instanceof RivyaPlugin || plugin instanceof Beside)),
  };
}

/** Takes the place of the plugin in one Worker, and runs the set as long as that Worker runs. */
class Beside implements WorkerPlugin {
  readonly name = NAME;
  readonly #options: RivyaOptions;
  readonly #host: HostOptions;

  constructor(options: RivyaOptions, host: HostOptions) {
    this.#options = options;
    this.#host = host;
  }

  async runWorker(worker: Worker, next: (worker: Worker) => Promise<void>): Promise<void> {
    // At once: a Worker that is told to stop before it runs does not hear it.
    const theirs = next(worker);
    theirs.catch(() => undefined);
    const stop = (): void => stopPolling(worker);
    try {
      const ours = await sharedWorkers(this.#options, this.#host);
      const running = ours.run();
      // Half a process would look alive and do half of the work.
      running.catch(stop);
      try {
        await theirs;
      } finally {
        ours.shutdown();
        await running;
      }
    } catch (error) {
      stop();
      throw error;
    } finally {
      await theirs.catch(() => undefined);
    }
  }
}
