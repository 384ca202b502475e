/**
 * The Workers of this package in somebody else's process: one set of them for each connection, namespace and task queue,
 * however many Workers of that process want it. It runs from the first to the last of them.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NativeConnection } from '@temporalio/worker';
import { SettingsError } from '../config.js';
import { checkWorkerSettings } from './check.js';
import { settingsOf, splitOptions, type RivyaOptions } from './options.js';
import { createWorkers, type HostOptions, type RivyaWorkers } from './workers.js';

/**
 * Makes the Workers that run Rivya generations, in your own process: Workflows and results on `<taskQueue>`, calls to the
 * API on `<taskQueue>-api`, with the rate limit. They run the Workflows of this package alone; your own Workflows and
 * Activities stay on Workers of your own, on another task queue. `connection`, `namespace`, `identity`, `dataConverter`,
 * `interceptors` and `plugins` go to both Workers, each other option of a Temporal Worker to the one on `<taskQueue>`.
 *
 * A process has one set for each connection, namespace and task queue: a second call gives the same one, which stops when
 * both have been shut down. Its Worker options are those of the first call.
 * @throws SettingsError naming each option or variable that is wrong, or that differs from those of the set that runs;
 * nothing is polled then.
 */
export async function createRivyaWorkers(options: RivyaOptions & HostOptions): Promise<RivyaWorkers> {
  // What the SDK is given it may log, and the key is among our options.
  const [ours, host] = splitOptions(options);
  const theirs = ['workflowsPath', 'workflowBundle', 'activities', 'maxTaskQueueActivitiesPerSecond'];
  const stray = theirs.filter((name) => Object.hasOwn(host, name));
  if (stray.length > 0) {
    throw new SettingsError(
      `${stray.join(', ')}: these Workers run the Workflows and Activities of rivya-temporal alone. Run your own on a Worker of yours, on another task queue. Nothing was started.`,
    );
  }
  return sharedWorkers(ours, host);
}

/** @throws SettingsError as `createRivyaWorkers` does. */
export async function sharedWorkers(options: RivyaOptions, host: HostOptions): Promise<RivyaWorkers> {
  const settings = settingsOf(options);
  const { connection, namespace = 'default' } = host;
  const sets = ofConnection.get(connection) ?? new Map<string, WorkerSet>();
  ofConnection.set(connection, sets);
  const place = JSON.stringify([namespace, settings.taskQueue]);
  // A set that was told to stop polls until its work under way has ended.
  for (let set = sets.get(place); set?.users === 0; set = sets.get(place)) await set.run().catch(() => undefined);
  const create = async (): Promise<RivyaWorkers> => {
    await checkWorkerSettings(settings);
    return createWorkers(settings, host);
  };
  const set = sets.get(place) ?? new WorkerSet({ options, host }, create, () => sets.delete(place));
  sets.set(place, set);
  return set.join({ options, host });
}

const ofConnection = new WeakMap<NativeConnection, Map<string, WorkerSet>>();

/** What the Workers of a set are made of. */
type Origin = { readonly options: RivyaOptions; readonly host: HostOptions };

/** One set of Workers, and the number of those who want it to run. */
class WorkerSet {
  users = 0;
  readonly #origin: Origin;
  readonly #workers: Promise<RivyaWorkers>;
  readonly #onEnd: () => void;
  #run: Promise<void> | null = null;

  constructor(origin: Origin, create: () => Promise<RivyaWorkers>, onEnd: () => void) {
    this.#origin = origin;
    this.#onEnd = onEnd;
    this.#workers = create();
    this.#workers.catch(onEnd);
  }

  /** @throws SettingsError for other options: they would be ignored, and with them a policy or a codec. */
  async join({ options, host }: Origin): Promise<RivyaWorkers> {
    const names: string[] = differences(this.#origin.options, options);
    if (!isDeepStrictEqual(this.#origin.host.dataConverter, host.dataConverter)) names.push('dataConverter');
    if (names.length > 0) {
      throw new SettingsError(
        `${names.join(', ')}: this process runs Workers of rivya-temporal with other options on this connection, namespace and task queue already. Give both the same options, or another taskQueue. Nothing was started.`,
      );
    }
    this.users += 1;
    await this.#workers;
    let leave: (() => void) | null = null;
    const left = new Promise<void>((resolve) => (leave = resolve));
    return {
      run: async () => {
        await Promise.race([this.run(), left]);
        // The last one waits for the work under way.
        if (this.users === 0) await this.run();
      },
      shutdown: () => {
        if (leave === null) return;
        this.users -= 1;
        if (this.users === 0) this.#stop();
        leave();
        leave = null;
      },
    };
  }

  /** Runs the set; it is the same run for all. */
  run(): Promise<void> {
    this.#run ??= this.#workers.then((workers) => workers.run()).finally(this.#onEnd);
    return this.#run;
  }

  /** Also ends Workers that never ran: the connection cannot be closed as long as there is one. */
  #stop(): void {
    this.run().catch(() => undefined);
    void this.#workers.then((workers) => workers.shutdown());
  }
}

/** Names only: a value may be the key. */
function differences(one: RivyaOptions, other: RivyaOptions): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]) as ReadonlySet<keyof RivyaOptions>;
  return [...names].filter((name) => {
    const [a, b] = [one[name], other[name]];
    // The queue is the same, given or by default. Stores look alike from outside, whatever they lead to.
    return name !== 'taskQueue' && (name === 'store' ? a !== b : !isDeepStrictEqual(a, b));
  });
}
