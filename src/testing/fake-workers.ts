import { Worker, type NativeConnection, type WorkerOptions } from '@temporalio/worker';
import { apiTaskQueue } from '../contract/index.js';
import { TIMEOUTS } from '../policy/index.js';
import type { FakeActivities } from './fake-activities.js';

/** Workers on both task queues whose Rivya Activities are fakes. */
export async function startFakeWorkers(
  { activities: fakes }: FakeActivities,
  options: {
    readonly connection: NativeConnection;
    readonly namespace: string;
    readonly taskQueue: string;
    readonly workflows: Pick<WorkerOptions, 'workflowsPath' | 'workflowBundle'>;
    readonly activities: object;
    readonly identity: string;
  },
): Promise<{ stop(): Promise<void> }> {
  const { workflows, taskQueue, activities: own, ...common } = options;
  const { stickyQueue: stickyQueueScheduleToStartTimeout } = TIMEOUTS;
  const hosts = { ...workflows, stickyQueueScheduleToStartTimeout };
  const workers = [
    await Worker.create({ ...common, ...hosts, taskQueue, activities: { ...own, ...fakes } }),
    await Worker.create({ ...common, taskQueue: apiTaskQueue(taskQueue), activities: { ...fakes } }),
  ];
  const runs = workers.map((worker) => worker.run());
  return {
    stop: async () => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(runs);
    },
  };
}
