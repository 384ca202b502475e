// The Worker process of bench/cost.mjs, batch.mjs and account.mjs: `cost-worker.mjs <ours | plain | naive | loop | unlimited>
// [address for its metrics]`; `loop` is ours with a Worker for the plain loop beside it, and `unlimited` calls the API as ours
// does, on a Worker that sends no limit.
import { fileURLToPath } from 'node:url';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { createApiActivities } from '../dist/activities/index.js';
import { createRivyaClient } from '../dist/src/api/index.js';
import { readSettings } from '../dist/src/config.js';
import { openReferenceSources } from '../dist/src/storage/index.js';
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
if (kind === 'unlimited') {
  const { baseUrl, keys, taskQueue } = readSettings();
  const api = createRivyaClient({ baseUrl, keys });
  const sources = openReferenceSources({ roots: [], store: null, trustedHosts: new Set() });
  const activities = createApiActivities({ api, keys, receipts: null, uploads: null, sources, kindOf: () => 'image' });
  void (await Worker.create({ connection, namespace, taskQueue: `${taskQueue}-api`, activities })).run();
}
if (kind === 'loop') await plainWorker('loop', 'loop-workflow.mjs', {});
process.send('ready');
