// The Worker process that bench/cost.mjs and bench/batch.mjs measure: `cost-worker.mjs <ours | plain | naive | loop> [address for its
// metrics]`; `loop` is ours with a Worker for the plain loop beside it.
import { fileURLToPath } from 'node:url';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { readSettings } from '../dist/src/config.js';
import { connectWorker } from '../dist/src/temporal/connect.js';
import { startWorkers } from '../dist/src/worker/workers.js';
import { plainActivities } from './plain-activities.mjs';

const [kind, metricsAddress] = process.argv.slice(2);
// Logs are part of the cost: at INFO, as in production.
Runtime.install({
  logger: new DefaultLogger('INFO'),
  shutdownSignals: [],
  ...(metricsAddress && { telemetryOptions: { metrics: { prometheus: { bindAddress: metricsAddress } } } }),
});
process.once('disconnect', () => process.exit());
const { connection, namespace } = await connectWorker();
const plainWorker = async (taskQueue, workflows, activities) => {
  const workflowsPath = fileURLToPath(new URL(workflows, import.meta.url));
  const worker = await Worker.create({ connection, namespace, taskQueue, workflowsPath, activities });
  void worker.run();
};
if (kind === 'ours' || kind === 'loop') await startWorkers(readSettings(), { connection, namespace });
if (kind === 'plain')
  await plainWorker(process.env.RIVYA_TASK_QUEUE, 'plain-workflow.mjs', plainActivities(process.env));
if (kind === 'naive')
  await plainWorker(process.env.RIVYA_TASK_QUEUE, 'naive-workflow.mjs', plainActivities(process.env));
if (kind === 'loop') await plainWorker('loop', 'loop-workflow.mjs', {});
process.send('ready');
