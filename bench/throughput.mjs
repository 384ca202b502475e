// npm run bench:throughput [-- <minutes>]: jobs finished under a limit of 60 calls a minute, by the fixed schedule and by learned
// durations, at the same time on one server: images of 15 s, videos of 45 s and audio of 120 s (medians of log-normals, sigma
// 0.3), 30 jobs always under way. Takes 15 minutes, and one tenth of a core.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { GenerationClient } from '../dist/src/client.js';
import { readSettings } from '../dist/src/config.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { startWorkers } from '../dist/src/worker/workers.js';
import { numbers } from './waiting-learned.mjs';

const MINUTES = Number(process.argv[2] ?? 15);
const LIMIT = 60;
const UNDER_WAY = 30;
const MIX = [
  { model: 'z-image', median: 15 },
  { model: 'sora-2', median: 45 },
  { model: 'suno-music', median: 120 },
];
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

const server = await startDevServer({ log: (line) => console.error(line), ui: false, port: 0 });
const connection = await NativeConnection.connect({ address: server.address });
const { client } = await connectClient(server.address);

/** The same jobs for each schedule: the n-th job has the n-th duration. */
function jobs() {
  const random = numbers(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  let n = 0;
  return () => {
    const { model, median } = MIX[n % MIX.length];
    const ms = Math.round(median * 1_000 * Math.exp(0.3 * normal()));
    return { model, prompt: `job ${++n} [[duration:${ms}ms]]` };
  };
}

async function measure(patience) {
  const emulator = await startEmulator({ credits: 1_000_000, rateLimitPerMinute: LIMIT });
  const taskQueue = randomUUID();
  const settings = readSettings({
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_TASK_QUEUE: taskQueue,
    RIVYA_RATE_LIMIT_PER_MINUTE: String(LIMIT),
    RIVYA_PATIENCE: String(patience),
  });
  const workers = await startWorkers(settings, { connection, namespace: 'default' });
  const generations = new GenerationClient(client, { taskQueue });
  const next = jobs();
  const ended = [];
  const until = Date.now() + MINUTES * 60_000;
  const lane = async () => {
    while (Date.now() < until) {
      const handle = await generations.start(next());
      const { statusChecks } = await Promise.race([handle.result(), sleep(Math.max(0, until - Date.now()), {})]);
      if (statusChecks !== undefined) ended.push({ at: Date.now(), statusChecks });
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, lane));
  const requests = emulator.requests().filter(({ path }) => path.startsWith('/api/v1/'));
  const half = until - MINUTES * 30_000;
  await workers.stop();
  await emulator.close();
  return {
    'jobs finished': ended.length,
    'of them in the second half': ended.filter(({ at }) => at > half).length,
    'checks a job': ended.reduce((sum, { statusChecks }) => sum + statusChecks, 0) / ended.length,
    'calls a minute': requests.length / MINUTES,
    429: requests.filter(({ status }) => status === 429).length,
  };
}

const [fixed, learned] = await Promise.all([measure(0), measure(1)]);
const rows = { fixed, learned };
for (const row of Object.values(rows))
  for (const name of Object.keys(row)) row[name] = Math.round(row[name] * 100) / 100;
console.table(rows);
const ratio = (name) => (learned[name] / fixed[name]).toFixed(2);
console.log(
  `Jobs finished: ${ratio('jobs finished')} times as many; in the second half ${ratio('of them in the second half')}.`,
);
await connection.close();
await server.stop();
process.exit(0);
