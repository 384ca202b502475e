// npm run bench:batch -- [--items 2000] [--in-flight 400] [--rounds 2] [--only batch]: what a batch costs, next to a plain loop
// of child Workflows and to Workflows that are all started at once; and the cost of an item in batches of 100, 1,000 and all
// items. Each measurement has a server with a database file, a Worker process and an emulator of its own, and the rate limit is
// off. Ends with status 1 where a task is paid twice or not at all, or a limit is missed. Needs Linux.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { freePort } from '../dist/src/temporal/embedded/ready.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { listedRuns } from '../dist/src/temporal/runs.js';
import { BATCH, LOOP, MODES, NAIVE } from './batch-modes.mjs';
import { cpuMs, median, WARM_UP_JOBS } from './cost.mjs';
import { historyOf } from './histories.mjs';
import { workerRequests } from './requests.mjs';
import { startWorker, stopWorker, workerSettings } from './variants.mjs';

const TASK_MS = 20_000;
const SETTLE_MS = 1_000;
const SAMPLE_MS = 5_000;
// After the end; the list lags by a second or so.
const MORE_LOOKS = 5;
// Histories that billable actions are counted in; events are known of all.
const HISTORIES = 50;
const MEMORY_FROM = 500;
// A Workflow of so many children comes near the end of its history.
const LOOP_LIMIT = 5_000;
const WARM_UP = 'warm-up';

const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '2000' },
    'in-flight': { type: 'string', default: '400' },
    rounds: { type: 'string', default: '2' },
    only: { type: 'string' },
  },
});
const ITEMS = Number(values.items);
const IN_FLIGHT = Number(values['in-flight']);
const ROUNDS = Number(values.rounds);
const ONLY_BATCH = values.only === 'batch';
const problem = [
  !(Number.isInteger(ITEMS) && ITEMS > 0) && '--items: a number from 1 on',
  !(Number.isInteger(IN_FLIGHT) && IN_FLIGHT > 0 && IN_FLIGHT <= 1_000) && '--in-flight: 1 to 1,000',
  !(Number.isInteger(ROUNDS) && ROUNDS > 0) && '--rounds: a number from 1 on',
  values.only !== undefined && !ONLY_BATCH && '--only: batch',
  !ONLY_BATCH &&
    ITEMS > LOOP_LIMIT &&
    `--items: above ${LOOP_LIMIT} the loop has no place in one history; add --only batch`,
].find(Boolean);
if (problem) {
  console.error(problem);
  process.exit(2);
}
const log = (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

const promptsFor = (id, count) => Array.from({ length: count }, (_, n) => `${id} ${n}`);
const megabytes = (bytes) => bytes / 1024 ** 2;

function residentMegabytes(pid) {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

/** Waits for the end of all items, and samples the memory of the Worker by the number of items that have ended. */
async function untilEnded({ client, worker }, { itemType }, id, count, handle) {
  const samples = [];
  const query = `WorkflowType = '${itemType}' AND WorkflowId STARTS_WITH '${id}/' AND ExecutionStatus = 'Completed'`;
  let isOver = handle === null ? null : false;
  const result = handle?.result().finally(() => (isOver = true));
  // It is looked at below.
  result?.catch(() => undefined);
  for (let late = 0; ;) {
    const ended = (await client.workflow.count(query)).count;
    samples.push({ ended, megabytes: residentMegabytes(worker.pid) });
    if (isOver ?? ended >= count) {
      await result;
      if (ended >= count) return samples;
      if (++late > MORE_LOOKS) throw new Error(`Only ${ended} of ${count} items have succeeded.`);
    }
    await Promise.race([sleep(SAMPLE_MS), ...(isOver === false ? [result.catch(() => undefined)] : [])]);
    if (isOver) await sleep(SETTLE_MS);
  }
}

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);
const msOf = ({ seconds, nanos }) => Number(seconds) * 1_000 + nanos / 1e6;

/** Events, actions and times, of the items and of the Workflow that starts them. */
async function historiesOf(client, { itemType }, id, handle) {
  const items = [];
  for await (const run of listedRuns(client, `WorkflowType = '${itemType}' AND WorkflowId STARTS_WITH '${id}/'`)) {
    items.push(run);
  }
  const step = Math.max(1, Math.floor(items.length / HISTORIES));
  const sampled = [];
  for (let n = 0; n < items.length; n += step) sampled.push(await historyOf(client, items[n].execution));
  const own = [];
  for await (const { execution } of handle === null ? [] : listedRuns(client, `WorkflowId = '${id}'`)) {
    own.push(await historyOf(client, execution));
  }
  const driver = await handle?.describe();
  return {
    items,
    events: sum(items.map(({ historyLength }) => Number(historyLength))),
    actions: (sum(sampled.map(({ actions }) => actions)) / sampled.length) * items.length,
    ownEvents: sum(own.map(({ events }) => events)),
    ownActions: sum(own.map(({ actions }) => actions)),
    itemSeconds: sum(items.map(({ startTime, closeTime }) => msOf(closeTime) - msOf(startTime))) / items.length / 1_000,
    endedAt: driver?.closeTime.getTime() ?? Math.max(...items.map(({ closeTime }) => msOf(closeTime))),
  };
}

/** All of one mode, on a server and with a Worker process of its own. */
async function measure(name, count) {
  const mode = MODES[name];
  const directory = mkdtempSync(path.join(tmpdir(), 'rivya-bench-'));
  const dbFilename = path.join(directory, 'temporal.db');
  const store = path.join(directory, 'store');
  log(`${name}: ${count} items`);
  const server = await startDevServer({ log: () => undefined, port: 0, uiPort: 0, retentionDays: 30, dbFilename });
  const emulator = await startEmulator({
    durations: { image: TASK_MS },
    credits: 1_000_000,
    rateLimitPerMinute: 1_000_000,
    faults: [{ on: 'create', prompt: WARM_UP, do: { kind: 'duration', ms: 1 } }],
  });
  const { client } = await connectClient(server.address);
  const env = {
    ...workerSettings(server.address, emulator),
    RIVYA_RATE_LIMIT_PER_MINUTE: '100000',
    RIVYA_TASK_QUEUE: 'rivya',
    RIVYA_STORE: `file:${store}`,
  };
  const metrics = `127.0.0.1:${await freePort()}`;
  const worker = await startWorker({ kind: mode.worker, env: {} }, env, metrics);
  const setting = { client, worker, store, maxInFlight: IN_FLIGHT };
  const run = async (id, size) => {
    const startedAt = Date.now();
    const handle = await mode.start({ ...setting, id, prompts: promptsFor(id, size) });
    return { startedAt, handle, samples: await untilEnded(setting, mode, id, size, handle) };
  };
  await run(WARM_UP, WARM_UP_JOBS);
  emulator.reset();
  await sleep(SETTLE_MS);
  const pids = [worker.pid, server.pid];
  const cpuBefore = pids.map(cpuMs);
  const asked = await workerRequests(metrics);
  const { startedAt, handle, samples } = await run('measured', count);
  await sleep(SETTLE_MS);
  const [workerMs, serverMs] = pids.map((pid, index) => (cpuMs(pid) - cpuBefore[index]) / count);
  const requests = await workerRequests(metrics);
  const heartbeats =
    (requests.get('RecordActivityTaskHeartbeat') ?? 0) - (asked.get('RecordActivityTaskHeartbeat') ?? 0);
  const histories = await historiesOf(client, mode, 'measured', handle);
  const { keys, tasks } = await emulator.ledger();
  const paid = Object.keys(tasks).length;
  const database = megabytes(sum([dbFilename, `${dbFilename}-wal`].map((file) => statSync(file).size)));
  await stopWorker(worker);
  await client.connection.close();
  await emulator.close();
  await server.stop();
  rmSync(directory, { recursive: true });
  const isPaidOnce = paid === count && Object.values(keys).every(({ tasks: those }) => those.length === 1);
  if (!isPaidOnce && name !== NAIVE) throw new Error(`${name}: ${paid} paid tasks for ${count} items.`);
  const seconds = (histories.endedAt - startedAt) / 1_000;
  const from = samples.findIndex(({ ended }) => ended >= Math.min(MEMORY_FROM, count / 2));
  const memory = (part) => median(part.map(({ megabytes: resident }) => resident));
  const figures = {
    count,
    paid,
    seconds,
    perSecond: count / seconds,
    itemSeconds: histories.itemSeconds,
    events: (histories.events + histories.ownEvents) / count,
    ownEvents: histories.ownEvents / count,
    actions: (histories.actions + histories.ownActions + heartbeats) / count,
    ownActions: histories.ownActions / count,
    calls:
      (sum(Object.values(keys).map(({ posts }) => posts)) + sum(Object.values(tasks).map((t) => t.checks.length))) /
      count,
    workerMs,
    serverMs,
    memoryAt: memory(samples.slice(from, from + 5)),
    memoryEnd: memory(samples.slice(-5)),
    memoryMax: Math.max(...samples.map(({ megabytes: resident }) => resident)),
    database: database / count,
  };
  log(`${name}: ${count} items in ${seconds.toFixed(0)} s, ${figures.perSecond.toFixed(2)}/s`);
  return figures;
}

const middle = (all, figure) => median(all.map((one) => one[figure]));
const shown = (all, figure, digits = 1) => middle(all, figure).toFixed(digits);

function printModes(rounds) {
  const of = (name) => rounds.map((round) => round[name]);
  const first = Math.min(MEMORY_FROM, ITEMS / 2);
  console.log(
    `\n${ITEMS} items with tasks of ${TASK_MS / 1_000} s, ${IN_FLIGHT} at a time; medians of ${rounds.length} rounds, ${availableParallelism()} cores`,
  );
  const columns = Object.keys(rounds[0]).map((name) => {
    const all = of(name);
    return [
      name,
      {
        'total s': shown(all, 'seconds', 0),
        'items/s': shown(all, 'perSecond', 2),
        'mean s from start to end of an item': shown(all, 'itemSeconds'),
        'paid tasks': all.map(({ paid }) => paid).join(', '),
        'events an item': shown(all, 'events'),
        '  of the Workflow that starts them': name === NAIVE ? '' : shown(all, 'ownEvents', 2),
        'billable actions an item': shown(all, 'actions'),
        '  of the Workflow that starts them ': name === NAIVE ? '' : shown(all, 'ownActions', 2),
        'API calls an item': shown(all, 'calls', 2),
        'Worker CPU ms an item': shown(all, 'workerMs', 0),
        'server CPU ms an item': shown(all, 'serverMs', 0),
        [`Worker MB at item ${first}`]: shown(all, 'memoryAt', 0),
        'Worker MB at the end': shown(all, 'memoryEnd', 0),
        'Worker MB at most': shown(all, 'memoryMax', 0),
        'database kB an item': (middle(all, 'database') * 1024).toFixed(0),
      },
    ];
  });
  const rowOf = (figure) => Object.fromEntries(columns.map(([name, figures]) => [name, figures[figure]]));
  console.table(Object.fromEntries(Object.keys(columns[0][1]).map((figure) => [figure, rowOf(figure)])));
}

function printSizes(batches) {
  console.log(`\nCost of an item by the size of the batch, ${IN_FLIGHT} at a time`);
  const [smallest] = batches;
  console.table(
    Object.fromEntries(
      batches.map((one) => [
        `${one.count} items`,
        {
          'items/s': one.perSecond.toFixed(2),
          events: one.events.toFixed(1),
          'own events': one.ownEvents.toFixed(2),
          'billable actions': one.actions.toFixed(1),
          'API calls': one.calls.toFixed(2),
          'Worker CPU ms': one.workerMs.toFixed(0),
          'server CPU ms': one.serverMs.toFixed(0),
          'CPU ratio': ((one.workerMs + one.serverMs) / (smallest.workerMs + smallest.serverMs)).toFixed(2),
          'Worker MB, at most': one.memoryMax.toFixed(0),
          'database kB': (one.database * 1024).toFixed(0),
        },
      ]),
    ),
  );
}

const sizes = [100, 1_000].filter((size) => size < ITEMS);
const batches = [];
for (const size of sizes) batches.push(await measure(BATCH, size));
const rounds = [];
for (let round = 1; round <= (ONLY_BATCH ? 1 : ROUNDS); round++) {
  const names = ONLY_BATCH ? [BATCH] : Object.keys(MODES);
  const measured = {};
  // To and fro, so that a machine that slows down or warms up meets all of them.
  for (const name of round % 2 === 1 ? names : names.toReversed()) measured[name] = await measure(name, ITEMS);
  rounds.push(Object.fromEntries(names.map((name) => [name, measured[name]])));
}
const last = rounds.map((round) => round[BATCH]);
batches.push(last.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(last.length / 2)]);
printModes(rounds);
printSizes(batches);

const failed = [];
const check = (what, value, wanted, isFine) => {
  console.log(`${isFine ? 'ok    ' : 'MISSED'} ${what}: ${value} (wanted: ${wanted})`);
  if (!isFine) failed.push(what);
};
console.log();
for (const { count, ownEvents } of batches) {
  check(`own events an item of a batch of ${count}`, ownEvents.toFixed(2), 'at most 2', ownEvents <= 2);
}
const [small, large] = [batches[0], batches.at(-1)];
if (small !== large) {
  for (const figure of ['events', 'actions', 'calls', 'workerMs', 'serverMs']) {
    const ratio = large[figure] / small[figure];
    const what = `${figure} an item, batch of ${large.count} to batch of ${small.count}`;
    check(what, ratio.toFixed(2), 'at most 1.1', ratio <= 1.1);
  }
}
const growth = middle(last, 'memoryEnd') / middle(last, 'memoryAt');
check('memory of the Worker, end to start', growth.toFixed(2), 'at most 1.1', growth <= 1.1);
if (!ONLY_BATCH) {
  const ratios = rounds.map((round) => round[BATCH].perSecond / round[LOOP].perSecond);
  const all = ratios.map((ratio) => ratio.toFixed(2)).join(', ');
  const ratio = median(ratios);
  check(`items/s next to the loop (rounds: ${all})`, ratio.toFixed(2), 'at least 0.90', ratio >= 0.9);
}
process.exit(failed.length === 0 ? 0 : 1);
