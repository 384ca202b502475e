import { Worker, type NativeConnection, type WorkerOptions, type WorkerPlugin } from '@temporalio/worker';
import { createApiActivities, createResultActivities, type OnStep } from '../../activities/index.js';
import { createRivyaClient } from '../api/index.js';
import type { Settings } from '../config.js';
import { apiTaskQueue } from '../contract/index.js';
import { TIMEOUTS } from '../policy/index.js';
import { Receipts, ReferenceSources, Results, Uploads } from '../storage/index.js';
import { workflowCode } from './bundle.js';
import { checkWorkerSettings } from './check.js';
import { cachedModels } from './models.js';
import { settingsOf, withoutRivyaOptions, type RivyaOptions } from './options.js';
import { activitiesPerSecond } from './rate.js';
import { requireOurs, withOurs } from './with-ours.js';

// About 0.3 MB each, outside the JavaScript heap: 150 MB. The SDK's default would be 700 MB.
const MAX_CACHED_WORKFLOWS = 500;

/** Stands in the plugin list of each Worker that is made here: `RivyaPlugin` adds nothing to those. */
export const OWN_WORKER: WorkerPlugin = { name: 'rivya-temporal' };

/** Options of the Worker on `<queue>`. Connection, namespace, converter, interceptors and plugins go to both Workers. */
export interface HostOptions extends Omit<
  WorkerOptions,
  'connection' | 'taskQueue' | 'maxTaskQueueActivitiesPerSecond'
> {
  readonly connection: NativeConnection;
}

/** The Workers of one process. */
export interface RivyaWorkers {
  /** Runs until `shutdown` or a signal of the Temporal Runtime. Rejects when one of the Workers fails, which ends the others too. */
  run(): Promise<void>;
  /** Stops polling; `run` resolves when what is under way has ended, which takes up to 80 s. */
  shutdown(): void;
}

/**
 * Makes the Workers that run Rivya generations in your own process: Workflows and results on `<taskQueue>`, calls to the
 * API on `<taskQueue>-api`, with the rate limit. Your own Workflows come with `workflowsPath` or `workflowBundle`; their
 * module also holds `export * from 'rivya-temporal/workflows'`. Your own `activities` run on `<taskQueue>`.
 * @throws SettingsError naming each option or variable that is wrong, before anything is polled.
 */
export async function createRivyaWorkers(options: RivyaOptions & HostOptions): Promise<RivyaWorkers> {
  const settings = settingsOf(options);
  await checkWorkerSettings(settings);
  // What the SDK is given it may log, and the key is among our options.
  return createWorkers(settings, withoutRivyaOptions(options));
}

/**
 * Makes the Workers of the roles in the settings.
 * @param onStep - For tests of faults: called around each side effect of the Activities.
 */
export async function createWorkers(
  settings: Settings,
  { onStep, ...host }: HostOptions & { readonly onStep?: OnStep | undefined },
): Promise<RivyaWorkers> {
  const { roles } = settings;
  const hooks = onStep === undefined ? {} : { onStep };
  const parts: Part[] = [];
  if (roles.has('workflows') || roles.has('results')) parts.push(await mainWorker(settings, host, hooks));
  if (roles.has('api')) parts.push(await apiWorker(settings, host, hooks));
  const workers = parts.map(({ worker }) => worker);
  const shutdown = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  return {
    shutdown,
    async run() {
      const runs = workers.map((worker) => worker.run());
      // One Worker that fails ends the others too: half a process would look alive and do half of the work.
      for (const run of runs) run.catch(shutdown);
      const ends = await Promise.allSettled(runs);
      await Promise.all(parts.map(({ close }) => close()));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

interface Hooks {
  readonly onStep?: OnStep;
}

/** A Worker, and what to close when it has ended. */
interface Part {
  readonly worker: Worker;
  readonly close: () => Promise<void>;
}

async function mainWorker(settings: Settings, host: HostOptions, hooks: Hooks): Promise<Part> {
  const { roles, taskQueue } = settings;
  const results = roles.has('results') ? openResults(settings) : null;
  const { workflowsPath, workflowBundle, activities, plugins = [], ...rest } = host;
  const own = workflowsPath === undefined && workflowBundle === undefined;
  const code = own
    ? workflowCode(host)
    : { ...(workflowsPath && { workflowsPath }), ...(workflowBundle && { workflowBundle }) };
  const ours = roles.has('results') ? createResultActivities({ results, ...hooks }) : {};
  const worker = await Worker.create({
    shutdownGraceTime: TIMEOUTS.shutdownGrace,
    ...(roles.has('workflows') && {
      maxCachedWorkflows: MAX_CACHED_WORKFLOWS,
      stickyQueueScheduleToStartTimeout: TIMEOUTS.stickyQueue,
      ...code,
    }),
    ...rest,
    plugins: [OWN_WORKER, ...plugins],
    taskQueue,
    activities: withOurs(activities, ours),
  });
  // A plugin may have put its own in the place of ours.
  requireOurs(worker.options.activities, ours);
  return { worker, close: async () => results?.close() };
}

/** Null where results stay links. */
export function openResults({ store, trustedResultHosts, maxResultBytes, sidecarPrompts }: Settings): Results | null {
  if (store === null) return null;
  return new Results(store, { trustedHosts: trustedResultHosts, maxBytes: maxResultBytes, prompts: sidecarPrompts });
}

async function apiWorker(settings: Settings, host: HostOptions, hooks: Hooks): Promise<Part> {
  const { keys, store, policy, baseUrl, taskQueue, roles } = settings;
  const { trustedResultHosts: trustedHosts, referenceRoots: roots } = settings;
  if (keys === null) throw new TypeError('The api role needs a key; the settings were not checked.');
  const api = createRivyaClient({ baseUrl, keys });
  const sources = new ReferenceSources({ roots, store, trustedHosts });
  const models = cachedModels(api);
  models.refresh();
  const ours = createApiActivities({
    api,
    keys,
    receipts: store === null ? null : new Receipts(store, baseUrl),
    uploads: store === null ? null : new Uploads(store, baseUrl),
    linksOnly: store === null && roles.has('results'),
    sources,
    kindOf: (model) => models.kindOf(model),
    spending: { policy, basePrice: (model) => models.basePrice(model) },
    ...hooks,
  });
  const { connection, namespace, identity, dataConverter, interceptors, plugins = [] } = host;
  // There are no Workflows here to intercept.
  const { workflowModules: _, ...callInterceptors } = interceptors ?? {};
  const worker = await Worker.create({
    connection,
    ...(namespace !== undefined && { namespace }),
    ...(identity !== undefined && { identity }),
    ...(dataConverter !== undefined && { dataConverter }),
    interceptors: callInterceptors,
    plugins: [OWN_WORKER, ...plugins],
    shutdownGraceTime: TIMEOUTS.shutdownGrace,
    taskQueue: apiTaskQueue(taskQueue),
    activities: { ...ours },
    // Never leave this out: the last Worker that polls sets the limit for all.
    maxTaskQueueActivitiesPerSecond: activitiesPerSecond(settings.rateLimitPerMinute),
  });
  requireOurs(worker.options.activities, ours);
  return { worker, close: async () => void (await Promise.all([api.close(), sources.close()])) };
}

export interface RunningWorkers {
  /** Stops polling and waits for what is under way, at most `TIMEOUTS.shutdownGrace`. Safe to call twice. */
  stop(): Promise<void>;
  /** Settles when all Workers have stopped; rejects when one of them fails. */
  readonly done: Promise<void>;
}

/** Makes the Workers of these settings and runs them. Resolves when they poll. */
export async function startWorkers(
  settings: Settings,
  {
    workflows,
    ...host
  }: Parameters<typeof createWorkers>[1] & {
    /** The Workflow code to run; default: this package's bundle. */
    readonly workflows?: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
  },
): Promise<RunningWorkers> {
  const workers = await createWorkers(settings, { ...host, ...workflows });
  const done = workers.run();
  // Whoever does not wait for it must not crash by it.
  done.catch(() => undefined);
  return {
    done,
    stop: async () => {
      workers.shutdown();
      await done;
    },
  };
}
