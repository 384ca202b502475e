import { Worker, type NativeConnection, type WorkerOptions } from '@temporalio/worker';
import { createApiActivities, createResultActivities, type OnStep } from '../../activities/index.js';
import { createRivyaClient } from '../api/index.js';
import type { Settings } from '../config.js';
import { apiTaskQueue, type MediaKind } from '../contract/index.js';
import { TIMEOUTS } from '../policy/index.js';
import { Receipts, Results, type Store } from '../storage/index.js';
import { workflowCode } from './bundle.js';
import { cachedModels } from './models.js';
import { activitiesPerSecond } from './rate.js';

// About 0.3 MB each, outside the JavaScript heap: 150 MB. The SDK's default would be 700 MB.
const MAX_CACHED_WORKFLOWS = 500;

export interface RunningWorkers {
  /** Stops polling and waits for what is under way, at most `TIMEOUTS.shutdownGrace`. Safe to call twice. */
  stop(): Promise<void>;
  /** Settles when all Workers have stopped; rejects when one of them fails. */
  readonly done: Promise<void>;
}

/**
 * Starts the Workers of the roles in the settings: Workflows and results on `<queue>`, calls to the API on
 * `<queue>-api`. Resolves when the Workers exist and poll.
 */
export async function startWorkers(
  settings: Settings,
  {
    connection,
    namespace,
    workflows = workflowCode(),
    activities,
    onStep,
  }: {
    connection: NativeConnection;
    namespace: string;
    /** The Workflow code to run; default: this package's bundle. */
    workflows?: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
    /** Further Activities for `<queue>`. */
    activities?: object;
    /** For tests of faults: called around each side effect of the Activities. */
    onStep?: OnStep;
  },
): Promise<RunningWorkers> {
  const { roles, store, taskQueue, keys } = settings;
  const common = {
    connection,
    namespace,
    shutdownGraceTime: TIMEOUTS.shutdownGrace,
  } satisfies Partial<WorkerOptions>;
  const hooks = onStep === undefined ? {} : { onStep };
  const workers: Worker[] = [];
  const closers: (() => Promise<void>)[] = [];

  const results = store !== null && roles.has('results') ? openResults(store, settings) : null;
  if (results !== null) closers.push(() => results.close());
  if (roles.has('workflows') || roles.has('results')) {
    workers.push(
      await Worker.create({
        ...common,
        taskQueue,
        ...(roles.has('workflows') && {
          ...workflows,
          maxCachedWorkflows: MAX_CACHED_WORKFLOWS,
          stickyQueueScheduleToStartTimeout: TIMEOUTS.stickyQueue,
        }),
        activities: { ...activities, ...(roles.has('results') && createResultActivities({ results, ...hooks })) },
      }),
    );
  }
  if (roles.has('api')) {
    if (keys === null) throw new TypeError('The api role needs a key; the settings were not checked.');
    const timeouts = { post: TIMEOUTS.httpSubmit, get: TIMEOUTS.httpCheck };
    const api = createRivyaClient({ baseUrl: settings.baseUrl, keys, timeouts });
    closers.push(() => api.close());
    const models = cachedModels(api);
    models.refresh();
    const receipts = store === null ? null : new Receipts(store, settings.baseUrl);
    const kindOf = (model: string | null): MediaKind | null => models.kindOf(model);
    workers.push(
      await Worker.create({
        ...common,
        taskQueue: apiTaskQueue(taskQueue),
        activities: { ...createApiActivities({ api, keys, receipts, kindOf, ...hooks }) },
        // Never leave this out: the last Worker that polls sets the limit for all.
        maxTaskQueueActivitiesPerSecond: activitiesPerSecond(settings.rateLimitPerMinute),
      }),
    );
  }

  const runs = workers.map((worker) => worker.run());
  const stopAll = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  // One Worker that fails ends the others too: half a process would look alive and do half of the work.
  for (const run of runs) run.catch(stopAll);
  const done = Promise.all(runs).then(async () => void (await Promise.all(closers.map((close) => close()))));
  // Whoever does not wait for it must not crash by it.
  done.catch(() => undefined);
  return {
    done,
    stop: async () => {
      stopAll();
      await done;
    },
  };
}

function openResults(store: Store, { trustedResultHosts, maxResultBytes, sidecarPrompts }: Settings): Results {
  return new Results(store, {
    trustedHosts: trustedResultHosts,
    maxBytes: maxResultBytes,
    prompts: sidecarPrompts,
  });
}
