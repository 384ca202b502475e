// What the Workers of this package cost beside a Worker of a user, in its process: memory and time to start, next to that
// Worker alone. Runs itself as `beside.mjs <alone | plugin>` for each figure.
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient, connectWorker } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { median } from './cost.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);

export async function benchBeside(log) {
  const server = await startDevServer({ log, ui: false, port: 0 });
  const emulator = await startEmulator();
  const env = { ...process.env, TEMPORAL_ADDRESS: server.address };
  Object.assign(env, { RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey });
  const seen = { alone: [], plugin: [] };
  for (let round = 1; round <= ROUNDS; round++) {
    for (const kind of Object.keys(seen)) {
      const child = fork(fileURLToPath(import.meta.url), [kind], { env });
      seen[kind].push(await new Promise((resolve) => child.once('message', resolve)));
      await new Promise((resolve) => child.once('exit', resolve));
    }
  }
  await emulator.close();
  await server.stop();
  const of = (kind, figure) => median(seen[kind].map((one) => one[figure]));
  console.log("\nBeside a user's Worker, in its process");
  console.table({
    alone: { 'start s': of('alone', 'seconds').toFixed(2), 'memory MB': Math.round(of('alone', 'megabytes')) },
    'with RivyaPlugin, above that': {
      'start s': (of('plugin', 'seconds') - of('alone', 'seconds')).toFixed(2),
      'memory MB': Math.round(of('plugin', 'megabytes') - of('alone', 'megabytes')),
    },
  });
}

async function measure(kind) {
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  const { connection, namespace } = await connectWorker();
  const startedAt = performance.now();
  const { RivyaPlugin } = kind === 'plugin' ? await import('rivya-temporal/worker') : {};
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: 'pipelines',
    workflowsPath: fileURLToPath(new URL('plain-workflow.mjs', import.meta.url)),
    plugins: kind === 'plugin' ? [new RivyaPlugin()] : [],
  });
  const running = worker.run();
  const { client } = await connectClient();
  const polled = async (name) => {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name },
      taskQueueType: 1,
    });
    return pollers.some(({ identity }) => identity.startsWith(`${process.pid}@`));
  };
  while (!(await polled(kind === 'plugin' ? 'rivya' : 'pipelines'))) await sleep(20);
  const seconds = (performance.now() - startedAt) / 1_000;
  await sleep(3_000);
  process.send({ seconds, megabytes: process.memoryUsage.rss() / 1024 ** 2 });
  worker.shutdown();
  await running;
  await client.connection.close();
  await connection.close();
}

const [, file, kind] = process.argv;
if (file === fileURLToPath(import.meta.url)) {
  await measure(kind);
  process.exit();
}
