// npm run bench [-- <part>...], of schedule, history, worker, beside, cost, actions, command, database and naive: what the poll schedule
// costs next to the vendor's advice, what a Worker costs here, alone and beside one of a user, what a job costs next to a
// plain Workflow and on Temporal Cloud, what the command costs to start, what a database file costs the server, and what is paid
// and lost by a first sample.
// Figures of a busy machine are rough: read the ratios.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { readSettings } from '../dist/src/config.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { MIN_WAIT_MS, nextWait } from '../dist/src/policy/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { findServerBinary } from '../dist/src/temporal/embedded/find.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { bundlePath } from '../dist/src/worker/bundle.js';
import { startWorkers } from '../dist/src/worker/workers.js';
import program from '../test/support/test-server.json' with { type: 'json' };
import { benchActions } from './actions.mjs';
import { benchBeside } from './beside.mjs';
import { benchCommand } from './command.mjs';
import { benchCost } from './cost.mjs';
import { benchDatabase } from './database.mjs';
import { benchNaive } from './naive.mjs';

const SECOND = 1_000;
const DRAWS = 2_000;
const log = (line) => console.error(line);
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

// The baseline is the vendor's advice: 2 to 3 s, then every 5 s.
const schedules = {
  'this package': (ageMs, kind, first) => nextWait({ ageMs, kind, first, random: Math.random() }),
  'fixed 5 s': (_age, _kind, first) => (first ? (2 + Math.random()) * SECOND : MIN_WAIT_MS),
};

/** Mean status calls and mean lag of jobs around this length: each draw varies by 10 %, so no schedule hits by luck. */
function simulate(schedule, kind, durationMs) {
  let calls = 0;
  let lag = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    const end = durationMs * (0.9 + 0.2 * Math.random());
    let age = schedule(0, kind, true);
    for (calls++; age < end; calls++) age += schedule(age, kind, false);
    lag += age - end;
  }
  return { calls: calls / DRAWS, lag: lag / DRAWS / SECOND };
}

function benchSchedule() {
  const rows = [];
  for (const kind of ['image', 'video']) {
    for (const seconds of [5, 15, 60, 300, 1_800]) {
      const ours = simulate(schedules['this package'], kind, seconds * SECOND);
      const base = simulate(schedules['fixed 5 s'], kind, seconds * SECOND);
      rows.push({
        kind,
        'job s': seconds,
        calls: ours.calls.toFixed(1),
        'calls, fixed 5 s': base.calls.toFixed(1),
        'calls ratio': (ours.calls / base.calls).toFixed(2),
        'lag s': ours.lag.toFixed(1),
        'lag s, fixed 5 s': base.lag.toFixed(1),
        'lag % of job': (((100 * ours.lag) / (seconds * SECOND)) * SECOND).toFixed(1),
      });
    }
  }
  console.log('\nStatus calls per job and mean lag until the end is seen (simulated)');
  console.table(rows);
}

/** Events of real histories, on the server that skips time. */
async function benchHistory() {
  const path = await findServerBinary({ program, log });
  const start = () =>
    TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } });
  // The SDK's launcher gives up after 5 s, which a busy machine can need.
  const env = await start().catch(start).catch(start);
  const rows = [];
  for (const target of [1, 10, 100]) {
    let durationMs = SECOND;
    for (let check = 1, age = 2_500; check < target; check++) {
      age += nextWait({ ageMs: age, kind: 'video', first: false, random: 0.5 });
      durationMs = age - SECOND;
    }
    const emulator = await startEmulator({ clock: () => env.currentTimeMs(), durations: { video: durationMs } });
    const taskQueue = randomUUID();
    const settings = readSettings({
      RIVYA_API_KEY: emulator.apiKey,
      RIVYA_BASE_URL: emulator.url,
      RIVYA_TASK_QUEUE: taskQueue,
      RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
    });
    const workers = await startWorkers(settings, { connection: env.nativeConnection, namespace: 'default' });
    const workflowId = randomUUID();
    const { statusChecks } = await env.client.workflow.execute('generateMedia', {
      workflowId,
      taskQueue,
      args: [{ model: 'veo3-1-lite', prompt: 'bench', options: { deadline: '7d' } }],
    });
    const { events } = await env.client.workflow.getHandle(workflowId).fetchHistory();
    rows.push({ checks: statusChecks, 'history events': events.length, 'job min': (durationMs / 60_000).toFixed(1) });
    await workers.stop();
    await emulator.close();
  }
  await env.teardown();
  console.log('\nHistory of one generation');
  console.table(rows);
}

/** Start of the Worker process until both task queues have a poller, and its memory when idle. */
async function benchWorker() {
  const server = await startDevServer({ log, ui: false, port: 0 });
  const emulator = await startEmulator();
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: server.address,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
  };
  const { client } = await connectClient(server.address);
  const polled = async (name, taskQueueType) => {
    const { pollers } = await client.workflowService.describeTaskQueue({
      namespace: 'default',
      taskQueue: { name },
      taskQueueType,
    });
    return pollers.some(({ identity }) => identity.startsWith(`${worker?.pid}@`));
  };
  const rows = [];
  let worker;
  for (let run = 1; run <= 3; run++) {
    const startedAt = performance.now();
    worker = spawn(process.execPath, [fileURLToPath(new URL('../dist/worker.js', import.meta.url))], {
      env,
      stdio: 'ignore',
    });
    while (!((await polled('rivya', 1)) && (await polled('rivya-api', 2)))) await sleep(20);
    const startUp = performance.now() - startedAt;
    await sleep(3 * SECOND);
    const rss = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(worker.pid)]).toString());
    rows.push({
      run,
      'start until it polls s': (startUp / SECOND).toFixed(2),
      'idle memory MB': Math.round(rss / 1_024),
    });
    worker.kill('SIGTERM');
    await new Promise((resolve) => worker.once('exit', resolve));
  }
  await client.connection.close();
  await emulator.close();
  await server.stop();
  console.log('\nWorker process');
  console.table(rows);
  console.log(`Workflow bundle: ${(statSync(bundlePath()).size / 1e6).toFixed(2)} MB`);
}

const parts = {
  schedule: benchSchedule,
  history: benchHistory,
  worker: benchWorker,
  cost: () => benchCost(log),
  actions: () => benchActions(log),
  beside: () => benchBeside(log),
  command: () => benchCommand(log),
  database: () => benchDatabase(log),
  naive: () => benchNaive(log),
};
const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
const unknown = asked.find((name) => !Object.hasOwn(parts, name));
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}": choose some of ${Object.keys(parts).join(', ')}.`);
  process.exit(2);
}
for (const name of asked) await parts[name]();
process.exit(0);
