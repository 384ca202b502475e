import { isDeepStrictEqual } from 'node:util';
import { SimplePlugin } from '@temporalio/plugin';
import type {
  NativeConnection,
  NativeConnectionOptions,
  ReplayWorkerOptions,
  Worker,
  WorkerOptions,
  WorkerPlugin,
} from '@temporalio/worker';
import { createResultActivities } from '../../activities/index.js';
import { SettingsError, type Settings, type WorkerRole } from '../config.js';
import { workflowsPath } from './bundle.js';
import { checkKey, checkWorkerSettings } from './check.js';
import { refuseUnknownOptions, settingsOf, type RivyaOptions } from './options.js';
import { requireOurs, withOurs } from './with-ours.js';
import { createWorkers, openResults, OWN_WORKER, type HostOptions, type RivyaWorkers } from './workers.js';

const NAME = 'rivya-temporal.RivyaPlugin';

/**
 * Runs Rivya generations in a Worker of yours: adds the Activities that store results to it, and runs a second Worker on
 * `<task queue>-api` beside it, on the same connection, for the calls to the API (a Worker polls one queue).
 *
 * A plugin cannot add Workflows: your Workflow module holds `export * from 'rivya-temporal/workflows'`. Only a Worker
 * that has neither `workflowsPath` nor `workflowBundle` gets ours.
 *
 * With the option `taskQueue` of another name than the Worker's, all of it runs on Workers of its own beside yours, whose
 * Activities stay as they are; `generate` needs no `options.taskQueue` then if that name is `rivya`.
 *
 * A Worker takes one, wherever it is given: among its own plugins or those of its connection. Two with the same options
 * count as one, and two with different ones are refused at start. A second account or task queue runs with
 * `createRivyaWorkers`, or with a plugin on another Worker.
 * @throws SettingsError naming each option or variable that is wrong.
 */
export class RivyaPlugin extends SimplePlugin {
  readonly #options: RivyaOptions;
  readonly #settings: Settings;
  readonly #taskQueue: string | null;

  constructor(options: RivyaOptions = {}) {
    super({ name: NAME });
    refuseUnknownOptions(options);
    // A copy: two plugins that are made of one object, changed in between, are two.
    this.#options = { ...options };
    this.#settings = settingsOf(options);
    this.#taskQueue = options.taskQueue ?? null;
    checkKey(this.#settings);
  }

  /** Goes first among the plugins of a connection, so that each of them is applied once to either Worker. */
  override configureNativeConnection(options: NativeConnectionOptions): NativeConnectionOptions {
    const { plugins = [] } = options;
    return { ...options, plugins: [this, ...plugins.filter((plugin) => plugin !== this)] };
  }

  override configureWorker(options: WorkerOptions): WorkerOptions {
    const { plugins = [], connection, taskQueue } = options;
    // One of ours, or given to the connection and to the Worker: configured once.
    if (plugins.some((plugin) => plugin === OWN_WORKER || plugin instanceof Companion)) return options;
    this.#refuseAnother(plugins);
    if (connection === undefined)
      throw new TypeError(`${NAME} needs the connection of the Worker: Worker.create({ connection, … })`);
    const queue = this.#taskQueue ?? taskQueue;
    const { roles } = this.#settings;
    const here: ReadonlySet<WorkerRole> = queue === taskQueue ? roles : new Set();
    const beside = new Set([...roles].filter((role) => role === 'api' || !here.has(role)));
    const settings: Settings = { ...this.#settings, taskQueue: queue, roles: beside };
    const results = here.has('results') ? openResults(settings) : null;
    const ours = here.has('results') ? createResultActivities({ results }) : {};
    // The store is that of all roles, wherever they run.
    const begin = async (): Promise<RivyaWorkers> => {
      await checkWorkerSettings(this.#settings);
      return createWorkers(settings, besideOf(options, connection));
    };
    const companion = new Companion(ours, begin, async () => results?.close());
    return {
      ...options,
      ...(here.has('workflows') && workflowsFor(options)),
      activities: withOurs(options.activities, ours),
      plugins: [...plugins.filter((plugin) => !(plugin instanceof RivyaPlugin)), companion],
    };
  }

  /** @throws SettingsError for one that differs: it would be left out without a word, and with it its queue and its policy. */
  #refuseAnother(plugins: readonly WorkerPlugin[]): void {
    const ours = plugins.filter((plugin) => plugin instanceof RivyaPlugin);
    const names = new Set(ours.flatMap((plugin) => differences(this.#options, plugin.#options)));
    if (names.size === 0) return;
    throw new SettingsError(
      `${NAME}: this Worker has two with different options (${[...names].join(', ')}), of which one would do nothing. A Worker takes one RivyaPlugin, its own or that of its connection. Run a second account or task queue with createRivyaWorkers, or on a Worker of its own whose connection has no other RivyaPlugin.`,
    );
  }

  override configureReplayWorker(options: ReplayWorkerOptions): ReplayWorkerOptions {
    return { ...options, ...workflowsFor(options) };
  }
}

/** Names only: a value may be the key. */
function differences(one: RivyaOptions, other: RivyaOptions): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]) as ReadonlySet<keyof RivyaOptions>;
  return [...names].filter((name) => {
    const [a, b] = [one[name], other[name]];
    // Stores look alike from outside, whatever they lead to.
    return name === 'store' ? a !== b : !isDeepStrictEqual(a, b);
  });
}

/** Our Workflows, where somebody brings none. */
function workflowsFor(options: WorkerOptions | ReplayWorkerOptions): { readonly workflowsPath?: string } {
  return options.workflowsPath === undefined && options.workflowBundle === undefined ? { workflowsPath } : {};
}

/** What the Workers beside it take from a Worker, with the plugins that come after ours; the SDK adds those of the connection. */
function besideOf(options: WorkerOptions, connection: NativeConnection): HostOptions {
  const { namespace, identity, dataConverter, interceptors, plugins = [] } = options;
  const first = plugins.findIndex((plugin) => plugin instanceof RivyaPlugin);
  const ofWorker = plugins.slice(0, plugins.length - connection.plugins.length);
  return {
    connection,
    ...(namespace !== undefined && { namespace }),
    ...(identity !== undefined && { identity }),
    ...(dataConverter !== undefined && { dataConverter }),
    ...(interceptors !== undefined && { interceptors }),
    plugins: ofWorker.slice(first + 1),
  };
}

/** Takes the place of the plugin in the list of one Worker, and runs what belongs beside it. */
class Companion implements WorkerPlugin {
  readonly name = NAME;
  readonly #ours: object;
  readonly #start: () => Promise<RivyaWorkers>;
  readonly #close: () => Promise<void>;

  constructor(ours: object, startBeside: () => Promise<RivyaWorkers>, close: () => Promise<void>) {
    this.#ours = ours;
    this.#start = startBeside;
    this.#close = close;
  }

  async runWorker(worker: Worker, next: (worker: Worker) => Promise<void>): Promise<void> {
    requireOurs(worker.options.activities, this.#ours);
    // At once: a Worker that is told to stop before it runs does not hear it.
    const hosted = next(worker);
    hosted.catch(() => undefined);
    const stop = (): void => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    try {
      const beside = await this.#start();
      const running = beside.run();
      // Half a process would look alive and do half of the work.
      running.catch(stop);
      try {
        await hosted;
      } finally {
        beside.shutdown();
        await running;
      }
    } catch (error) {
      stop();
      throw error;
    } finally {
      await hosted.catch(() => undefined);
      await this.#close();
    }
  }
}
