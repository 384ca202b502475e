// The Worker process that bench/cost.mjs measures: `cost-worker.mjs <ours | plain> [address for its metrics]`.
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
if (kind === 'ours') {
  await startWorkers(readSettings(), { connection, namespace });
} else {
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: process.env.RIVYA_TASK_QUEUE,
    workflowsPath: fileURLToPath(new URL('plain-workflow.mjs', import.meta.url)),
    activities: plainActivities(process.env),
  });
  void worker.run();
}
process.send('ready');
