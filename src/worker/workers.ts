import { setTimeout as sleep } from 'node:timers/promises';
import { Runtime, Worker, type NativeConnection, type WorkerOptions, type WorkerPlugin } from '@temporalio/worker';
import {
  createAccountActivities,
  createApiActivities,
  createBatchActivities,
  createResultActivities,
  type OnStep,
} from '../../activities/index.js';
import { createRivyaClient } from '../api/index.js';
import { batchApi } from '../batch/api.js';
import { converterFor } from '../codec/converter.js';
import { SettingsError, type Settings } from '../config.js';
import { apiTaskQueue } from '../contract/index.js';
import { activitiesPerSecond, TIMEOUTS } from '../policy/index.js';
import { Receipts, openReferenceSources, openResults, Uploads } from '../storage/index.js';
import { AccountLink } from './account.js';
import { workflowCode, type WorkflowCode } from './bundle.js';
import { runToEnd } from './end.js';
import { countedCalls } from './metrics.js';
import { LearnedDurations } from './learned.js';
import { cachedModels } from './models.js';
import { watchedClient, watchedKeys } from './watched.js';

// About 0.3 MB each, outside the JavaScript heap: 150 MB. The SDK's default would be 700 MB.
const MAX_CACHED_WORKFLOWS = 500;

// A killed Worker forgets no more than that.
const SAVE_EVERY_MS = 60_000;
const LAST_SAVE_MS = 5_000;

function warn(message: string): void {
  Runtime.instance().logger.warn(message);
}

/** Stands first in the plugin list of each Worker that is made here: `RivyaPlugin` runs nothing beside those. */
export const OWN_WORKER: WorkerPlugin = { name: 'rivya-temporal' };

/** Options of the Worker on `<queue>`. Connection, namespace, identity, converter, interceptors and plugins go to both Workers. */
export interface HostOptions extends Omit<
  WorkerOptions,
  'connection' | 'taskQueue' | 'maxTaskQueueActivitiesPerSecond' | 'activities' | 'workflowsPath' | 'workflowBundle'
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

/** True while all of them take work. */
type IsRunning = { isRunning(): boolean };

/** For tests. */
interface Internals {
  /** Called around each side effect of the Activities. */
  readonly onStep?: OnStep | undefined;
  /** Workflow code in the place of ours. */
  readonly workflows?: WorkflowCode | undefined;
  /** False: no account, so that a refusal of one generation holds no other. */
  readonly account?: boolean | undefined;
}

/** Makes the Workers of the roles in the settings, which were checked. */
export async function createWorkers(
  settings: Settings,
  options: HostOptions & Internals,
): Promise<RivyaWorkers & IsRunning> {
  const { onStep, workflows, account = true, dataConverter: given, ...others } = options;
  const workerDeploymentOptions = others.workerDeploymentOptions ?? deploymentOf(settings);
  const host = {
    ...others,
    dataConverter: converterFor(settings.encryption, given),
    ...(workerDeploymentOptions !== undefined && { workerDeploymentOptions }),
  };
  const { roles } = settings;
  const hooks = onStep === undefined ? {} : { onStep };
  const parts: Part[] = [];
  try {
    if (roles.has('workflows') || roles.has('results')) parts.push(await mainWorker(settings, host, hooks, workflows));
    if (roles.has('api')) parts.push(await apiWorker(settings, host, hooks, account));
  } catch (error) {
    await Promise.all(parts.map(({ worker }) => endUnused(worker)));
    throw error;
  }
  const workers = parts.map(({ worker }) => worker);
  const shutdown = (): void => {
    for (const worker of workers) stopPolling(worker);
  };
  return {
    shutdown,
    isRunning: () => workers.every((worker) => worker.getState() === 'RUNNING'),
    async run() {
      for (const { begin } of parts) begin?.();
      const runs = workers.map((worker) => runToEnd(worker, host.connection, host.namespace ?? 'default'));
      // One Worker that fails ends the others too: half a process would look alive and do half of the work.
      for (const run of runs) run.catch(shutdown);
      const ends = await Promise.allSettled(runs);
      await Promise.all(parts.map(({ close }) => close()));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

/** Workflows stay with the version that they began on: an older one could not replay what a newer one has done. */
function deploymentOf({ deployment: version }: Settings): WorkerOptions['workerDeploymentOptions'] {
  return version === null ? undefined : { version, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' };
}

type Hooks = { readonly onStep?: OnStep };

/** A Worker, what begins with it, and what to close when it has ended. */
type Part = { readonly worker: Worker; readonly begin?: () => void; readonly close: () => Promise<void> };

async function mainWorker(settings: Settings, host: HostOptions, hooks: Hooks, code?: WorkflowCode): Promise<Part> {
  const { roles, taskQueue, store, trustedResultHosts: trustedHosts, maxResultBytes: maxBytes } = settings;
  const kept = roles.has('results') ? store : null;
  // Null where results stay links.
  const results = kept && openResults(kept, { trustedHosts, maxBytes, prompts: settings.sidecarPrompts });
  // A batch waits for its items inside an Activity, which must not keep a Worker that stops.
  const isStopping = (): boolean => worker.getState() !== 'RUNNING';
  const batches = { store, api: batchApi(settings.baseUrl), isStopping, ...hooks };
  const ours = {
    ...createResultActivities({ results, ...hooks }),
    ...createBatchActivities(batches),
    ...createAccountActivities(),
  };
  const worker: Worker = await create(roles.has('results') ? ours : {}, {
    ...(roles.has('workflows') && {
      maxCachedWorkflows: MAX_CACHED_WORKFLOWS,
      stickyQueueScheduleToStartTimeout: TIMEOUTS.stickyQueue,
      ...(code ?? workflowCode(host)),
    }),
    ...host,
    taskQueue,
  });
  return { worker, close: async () => results?.close() };
}

async function apiWorker(settings: Settings, host: HostOptions, hooks: Hooks, account: boolean): Promise<Part> {
  const { store, policy, baseUrl, taskQueue, roles, patience } = settings;
  const { trustedResultHosts: trustedHosts, referenceRoots: roots } = settings;
  if (settings.keys === null) throw new TypeError('The api role needs a key; the settings were not checked.');
  const { rateLimitPerMinute: perMinute } = settings;
  const link = account ? new AccountLink({ taskQueue, keys: settings.keys, perMinute }) : null;
  const keys = link === null ? settings.keys : watchedKeys(settings.keys, link);
  const client = countedCalls(createRivyaClient({ baseUrl, keys }));
  const api = link === null ? client : watchedClient(client, link);
  const sources = openReferenceSources({ roots, store, trustedHosts });
  const models = cachedModels(api);
  models.refresh();
  const learned = patience === 0 ? null : new LearnedDurations({ store, baseUrl, price: 1 / patience, warn });
  // Before the first task, so that what others have learned counts at once.
  await learned?.save();
  const saving = setInterval(() => void learned?.save(), SAVE_EVERY_MS).unref();
  const close = async (): Promise<void> => {
    clearInterval(saving);
    // A store that hangs must not keep a process that stops.
    const saved = Promise.race([learned?.save(), sleep(LAST_SAVE_MS, undefined, { ref: false })]);
    await Promise.all([saved, api.close(), sources.close()]);
  };
  const ours = createApiActivities({
    api,
    keys,
    receipts: store === null ? null : new Receipts(store, baseUrl),
    uploads: store === null ? null : new Uploads(store, baseUrl),
    linksOnly: store === null && roles.has('results'),
    sources,
    kindOf: (model) => models.kindOf(model),
    problemOf: (request) => models.problemOf(request),
    learned,
    spending: { policy, basePrice: (model) => models.basePrice(model) },
    ...(link !== null && { closedBy: () => link.closedBy() }),
    ...hooks,
  });
  const { connection, namespace, identity, dataConverter, interceptors, plugins = [], workerDeploymentOptions } = host;
  // There are no Workflows here to intercept.
  const { workflowModules: _, ...callInterceptors } = interceptors ?? {};
  const worker = await create(ours, {
    connection,
    ...(namespace !== undefined && { namespace }),
    ...(identity !== undefined && { identity }),
    ...(dataConverter !== undefined && { dataConverter }),
    ...(workerDeploymentOptions !== undefined && { workerDeploymentOptions }),
    interceptors: callInterceptors,
    plugins,
    taskQueue: apiTaskQueue(taskQueue),
    // Never leave this out: the last Worker that polls sets the limit for all.
    maxTaskQueueActivitiesPerSecond: activitiesPerSecond(perMinute),
  }).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    worker,
    begin: () => {
      const { client: temporal, options } = worker;
      if (temporal !== undefined) link?.start({ client: temporal, identity: options.identity });
    },
    close: async () => void (await Promise.all([link?.stop(), close()])),
  };
}

/** @throws SettingsError where a Worker of the same process polls the queue, or a plugin replaces one of our Activities. */
async function create(activities: object, { plugins = [], ...options }: WorkerOptions): Promise<Worker> {
  const { taskQueue } = options;
  const worker = await Worker.create({
    shutdownGraceTime: TIMEOUTS.shutdownGrace,
    ...options,
    plugins: [OWN_WORKER, ...plugins],
    activities: { ...activities },
  }).catch((error: unknown) => {
    // What the SDK says where one connection has two Workers on a queue.
    if (!/overlapping worker task types/.test(String(error))) throw error;
    throw new SettingsError(
      `taskQueue: a Worker of this process polls "${taskQueue}" already. That queue is for the Workers of rivya-temporal: give your Worker a task queue of its own, for example "pipelines". Nothing was started.`,
      { cause: error },
    );
  });
  const replaced = Object.entries(activities).filter(([name, ours]) => worker.options.activities.get(name) !== ours);
  if (replaced.length === 0) return worker;
  await endUnused(worker);
  throw new SettingsError(
    `plugins: one registers ${replaced.map(([name]) => name).join(', ')} in the place of the Activity of rivya-temporal. Names that begin with "rivya" belong to rivya-temporal: register it under another name.`,
  );
}

/** Shuts a Worker down; one that is ending already, or never ran, stays as it is. */
export function stopPolling(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Ends a Worker that never ran: it holds its task queue and its connection until it has run. */
async function endUnused(worker: Worker): Promise<void> {
  const run = worker.run();
  worker.shutdown();
  await run;
}

export interface RunningWorkers {
  /** Stops polling and waits for what is under way, at most `TIMEOUTS.shutdownGrace`. Safe to call twice. */
  stop(): Promise<void>;
  /** Settles when all Workers have stopped; rejects when one of them fails. */
  readonly done: Promise<void>;
}

/** Makes the Workers of these settings and runs them. Resolves when they poll. */
export async function startWorkers(settings: Settings, options: HostOptions & Internals): Promise<RunningWorkers> {
  const workers = await createWorkers(settings, options);
  const done = workers.run();
  // A caller that does not wait for it must not crash by it.
  done.catch(() => undefined);
  return {
    done,
    stop: async () => {
      workers.shutdown();
      await done;
    },
  };
}
