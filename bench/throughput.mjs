// npm run bench:throughput [-- <minutes>]: jobs finished under a limit of 60 calls a minute, by the fixed schedule and by learned
// durations, from nothing and from 100 jobs of each model, at the same time on one server: images of 15 s, videos of 45 s and audio of 120 s (medians of log-normals, sigma
// 0.3), 30 jobs always under way. Takes 15 minutes, and one tenth of a core.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { GenerationClient } from '../dist/src/client.js';
import { readSettings } from '../dist/src/config.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { openStore } from '../dist/src/storage/open.js';
import { LearnedDurations } from '../dist/src/worker/learned.js';
import { startWorkers } from '../dist/src/worker/workers.js';
import { numbers } from './waiting-learned.mjs';

const MINUTES = Number(process.argv[2] ?? 15);
const LIMIT = 60;
const UNDER_WAY = 30;
const MIX = [
  { model: 'z-image', kind: 'image', median: 15 },
  { model: 'sora-2', kind: 'video', median: 45 },
  { model: 'suno-music', kind: 'audio', median: 120 },
];
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

const server = await startDevServer({ log: (line) => console.error(line), ui: false, port: 0 });
const connection = await NativeConnection.connect({ address: server.address });
const { client } = await connectClient(server.address);

function duration(median, random) {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.round(median * 1_000 * Math.exp(0.3 * normal));
}

/** The same jobs for each schedule: the n-th job has the n-th duration. */
function jobs() {
  const random = numbers(1);
  let n = 0;
  return () => {
    const { model, median } = MIX[n % MIX.length];
    return { model, prompt: `job ${++n} [[duration:${duration(median, random)}ms]]` };
  };
}

/** A store in which Workers find the durations of so many jobs of each model. */
async function storeOf(known, baseUrl) {
  const folder = mkdtempSync(path.join(tmpdir(), 'rivya-throughput-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const store = `file:${folder}`;
  const learned = new LearnedDurations({ store: openStore(store), baseUrl, price: 1, warn: console.error });
  const random = numbers(2);
  for (const { model, kind, median } of Array.from({ length: known }, () => MIX).flat()) {
    const ms = duration(median, random);
    learned.note({ model, kind, likeness: 'any' }, { fromMs: ms, toMs: ms });
  }
  await learned.save();
  return store;
}

async function measure(patience, known = 0) {
  const emulator = await startEmulator({ credits: 1_000_000, rateLimitPerMinute: LIMIT });
  const taskQueue = randomUUID();
  const settings = readSettings({
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_TASK_QUEUE: taskQueue,
    RIVYA_RATE_LIMIT_PER_MINUTE: String(LIMIT),
    RIVYA_PATIENCE: String(patience),
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
    RIVYA_STORE: await storeOf(known, emulator.url),
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
  const requests = emulator.requests().filter((request) => request.path.startsWith('/api/v1/'));
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

const [fixed, nothing, hundred] = await Promise.all([measure(0), measure(1), measure(1, 100)]);
const rows = { fixed, 'from 0 jobs': nothing, 'from 100 jobs of each': hundred };
for (const row of Object.values(rows)) {
  row.ratio = row['jobs finished'] / fixed['jobs finished'];
  for (const name of Object.keys(row)) row[name] = Math.round(row[name] * 100) / 100;
}
console.table(rows);
await connection.close();
await server.stop();
process.exit(0);
