// This package next to a first sample, under the same faults at the same time: what is paid, what is lost, what it costs.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GenerationClient } from '../dist/src/client.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { cpuMs } from './cost.mjs';
import { historyOf } from './histories.mjs';
import { startWorker, stopWorker, workerSettings } from './variants.mjs';

const JOBS = Number(process.env.BENCH_JOBS ?? 20);
const TASK_MS = 12_000;
// A job without a result then is lost: nobody waits for a picture of 12 s any longer.
const LIMIT_MS = 150_000;
const OUTAGE_MS = 30_000;

const each = (prompts, fault) => prompts.map((prompt) => ({ ...fault, prompt }));
const error = (code, more) => ({ kind: 'error', code, ...more });

/** Each: the faults for the prompts, and what happens meanwhile. */
const SCENARIOS = {
  'nothing goes wrong': {},
  'two lost replies': { faults: (prompts) => each(prompts, { on: 'create', times: 2, do: { kind: 'dropAfter' } }) },
  '30 s without status': {
    faults: () => [{ on: 'status', do: error('internal_error') }],
    meanwhile: async ({ emulator }) => {
      await sleep(OUTAGE_MS);
      emulator.setFaults([]);
    },
  },
  'killed after the submit': {
    faults: (prompts) => each(prompts, { on: 'create', times: 1, do: { kind: 'delayAfter', ms: 4_000 } }),
    meanwhile: async ({ emulator, restart }) => {
      while (Object.keys((await emulator.ledger()).tasks).length < JOBS) await sleep(50);
      await restart();
    },
  },
  'Retry-After: 20': {
    faults: (prompts) => each(prompts, { on: 'create', times: 1, do: error('rate_limited', { retryAfter: '20' }) }),
  },
  'link expired': {
    switches: { linkLifetimeMs: 900 },
    faults: (prompts) => each(prompts, { on: 'media', times: 1, do: { kind: 'reply', status: 503, body: '' } }),
  },
  'one of four fails': {
    faults: (prompts) =>
      each(
        prompts.filter((_, n) => n % 4 === 0),
        { on: 'create', times: 1, do: { kind: 'fail' } },
      ),
  },
};

const CLIENTS = {
  'this package': {
    kind: 'ours',
    start: (client, taskQueue, prompt) =>
      new GenerationClient(client, { taskQueue }).start({ model: 'z-image', prompt, options: { maxAttempts: 2 } }),
  },
  'first sample': {
    kind: 'naive',
    start: (client, taskQueue, prompt) =>
      client.workflow.start('naiveGeneration', {
        taskQueue,
        workflowId: randomUUID(),
        args: [{ model: 'z-image', prompt }],
      }),
  },
};

async function measure({ address, client, store }, { kind, start }, { faults = () => [], switches = {}, meanwhile }) {
  const emulator = await startEmulator({
    durations: { image: TASK_MS },
    credits: 1_000_000,
    rateLimitPerMinute: 1_000_000,
    switches,
  });
  const taskQueue = randomUUID();
  const env = { RIVYA_TASK_QUEUE: taskQueue, RIVYA_STORE: `file:${store}` };
  const shared = workerSettings(address, emulator);
  const variant = { kind, env };
  let worker = await startWorker(variant, shared);
  let cpu = 0;
  const restart = async () => {
    cpu += cpuMs(worker.pid);
    await stopWorker(worker);
    worker = await startWorker(variant, shared);
  };
  const prompts = Array.from({ length: JOBS }, (_, n) => `job ${n}, ${randomUUID()}`);
  emulator.setFaults(faults(prompts));
  const startedAt = Date.now();
  const ends = [];
  const handles = await Promise.all(prompts.map((prompt) => start(client, taskQueue, prompt)));
  const results = handles.map((handle) =>
    handle.result().then(
      () => ends.push(Date.now() - startedAt),
      () => undefined,
    ),
  );
  await Promise.race([Promise.all([...results, meanwhile?.({ emulator, restart })]), sleep(LIMIT_MS)]);
  cpu += cpuMs(worker.pid);
  const { tasks } = await emulator.ledger();
  const requests = emulator.requests().filter(({ path: at }) => at.startsWith('/api/v1/'));
  // The first one of a key that was not refused made the task.
  const making = requests.filter(({ status }) => status === null || status < 300).toReversed();
  const posted = new Map(making.map(({ idempotencyKey, at }) => [idempotencyKey, at]));
  const lags = Object.values(tasks)
    .filter(({ checks, status }) => checks.length > 0 && status === 'succeeded')
    .map(({ key, checks }) => checks.at(-1) - posted.get(key) - TASK_MS)
    .toSorted((a, b) => a - b);
  const lag = (share) => (lags.length === 0 ? NaN : lags[Math.floor(share * (lags.length - 1))] / 1_000);
  const { events, actions } = await historyOf(client, { workflowId: handles[1].workflowId });
  await stopWorker(worker);
  await emulator.close();
  for (const { workflowId } of handles)
    await client.workflow
      .getHandle(workflowId)
      .terminate()
      .catch(() => undefined);
  return {
    'charges a job': Object.keys(tasks).length / JOBS,
    'jobs lost': JOBS - ends.length,
    'calls a job': requests.length / JOBS,
    'lag p50 s': lag(0.5),
    'lag p95 s': lag(0.95),
    429: requests.filter(({ status }) => status === 429).length,
    'all done s': ends.length === 0 ? NaN : Math.max(...ends) / 1_000,
    events,
    'billable actions': actions,
    'Worker CPU ms a job': cpu / JOBS,
  };
}

export async function benchNaive(log) {
  const store = mkdtempSync(path.join(tmpdir(), 'rivya-naive-'));
  const server = await startDevServer({ log, ui: false, port: 0 });
  const { client } = await connectClient(server.address);
  const place = { address: server.address, client, store };
  const rows = {};
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    const measured = await Promise.all(Object.values(CLIENTS).map((one) => measure(place, one, scenario)));
    for (const [n, row] of measured.entries()) {
      for (const [figure, value] of Object.entries(row)) row[figure] = Math.round(value * 100) / 100;
      rows[`${name}: ${Object.keys(CLIENTS)[n]}`] = row;
    }
  }
  console.log(`\n${JOBS} images of 12 s each, this package beside a first sample, at the same time`);
  console.table(rows);
  await client.connection.close();
  await server.stop();
  rmSync(store, { recursive: true });
}
