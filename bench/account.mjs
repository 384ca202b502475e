// npm run bench:account -- [--only 60,120,600,without,lowered,held,cost] [--workers 1,3] [--seconds 180]: what the account makes of the
// rate limit, on a real server and against an emulator with a fixed window, and what it costs. Each case has task queue,
// Worker processes and emulator of its own; those of at most 120 calls a minute run side by side. Prints Markdown. Ends with
// status 1 where a figure is missed. A busy machine adds to stalls and to nothing else.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { GenerationClient } from '../dist/src/client.js';
import { ACCOUNT_QUERY, accountWorkflowId } from '../dist/src/contract/index.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { listedRuns } from '../dist/src/temporal/runs.js';
import { historyOf } from './histories.mjs';
import { startWorker, stopWorker } from './variants.mjs';

const MINUTE = 60_000;
// The Workers have started, and the burst of a queue that was idle is over.
const SETTLE_MS = 15_000;
// Share of N that is used, in percent, at least: what the partitions of the queue and a reserve against stalls leave.
const WANTED_SHARE = { 60: 86, 120: 90, 600: 93 };
const SMALL = 120;
const PLENTY = 10_000_000;
const PARTS = [...Object.keys(WANTED_SHARE), 'without', 'lowered', 'held', 'cost'];

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: PARTS.join(',') },
    workers: { type: 'string', default: '1,3' },
    seconds: { type: 'string', default: '180' },
  },
});
const ONLY = values.only.split(',');
const WORKERS = values.workers.split(',').map(Number);
const SECONDS = Number(values.seconds);
const problem = [
  ONLY.some((part) => !PARTS.includes(part)) && `--only: some of ${PARTS.join(', ')}`,
  WORKERS.some((count) => !(Number.isInteger(count) && count >= 1 && count <= 10)) && '--workers: numbers from 1 to 10',
  !(SECONDS >= 75) && '--seconds: 75 or more, because a window has 60',
].find(Boolean);
if (problem) {
  console.error(problem);
  process.exit(2);
}
const log = (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

const missed = [];
function check(what, value, wanted, isFine) {
  log(`${isFine ? 'ok    ' : 'MISSED'} ${what}: ${value} (wanted: ${wanted})`);
  if (!isFine) missed.push(what);
}

function printTable(title, rows) {
  const [first] = rows;
  if (first === undefined) return;
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const heads = Object.keys(first);
  console.log(`\n${title}\n`);
  console.log([line(heads), line(heads.map(() => '---')), ...rows.map((row) => line(Object.values(row)))].join('\n'));
}

/** Calls that count against the limit, by their arrival: those with the key. */
function callsOf(emulator) {
  return emulator.requests().filter((call) => call.path.startsWith('/api/v1/') && call.path !== '/api/v1/models');
}

/** Most calls in any 60 s. */
function mostInAMinute(times) {
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to++) {
    while (times[to] - times[from] >= MINUTE) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

/** Emulator, Workers that are told `told` calls a minute, and generations that always wait for their turn. */
async function startCase(
  { server, client },
  name,
  { limit, told = limit, workers, open = told / 2, credits = PLENTY },
) {
  const emulator = await startEmulator({ durations: { image: 1 }, credits, rateLimitPerMinute: limit });
  const taskQueue = `account-${name}`;
  const env = {
    TEMPORAL_ADDRESS: server.address,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_RATE_LIMIT_PER_MINUTE: String(told),
  };
  const start = (kind) => startWorker({ kind, env: { RIVYA_TASK_QUEUE: taskQueue } }, env);
  const running = await Promise.all(Array.from({ length: workers }, () => start('ours')));
  const generations = new GenerationClient(client, { taskQueue });
  const state = { over: false };
  const feed = async (n) => {
    for (let made = 0; !state.over; made++) {
      const input = { model: 'z-image', prompt: `${name} ${n} ${made}` };
      const handle = await generations.start(input).catch(() => null);
      await handle?.result().catch(() => undefined);
      if (handle === null) await sleep(1_000);
    }
  };
  for (let n = 0; n < open; n++) void feed(n);
  // A busy machine takes its time until all of them poll.
  if (open > 0) while (callsOf(emulator).length < 2 * workers) await sleep(200);
  return {
    name,
    client,
    emulator,
    taskQueue,
    account: () =>
      client.workflow
        .getHandle(accountWorkflowId(taskQueue))
        .query(ACCOUNT_QUERY)
        .catch(() => null),
    addWorker: async (kind) => running.push(await start(kind)),
    stop: async () => {
      state.over = true;
      await Promise.all(running.map(stopWorker));
      await emulator.close();
    },
  };
}

/** What one case used of its limit, from the first call after `from` on. */
function used({ emulator }, limit, from) {
  const calls = callsOf(emulator);
  const times = calls.map(({ at }) => at);
  const counted = times.filter((at) => at >= from);
  const minutes = (counted.at(-1) - counted[0]) / MINUTE;
  const pauses = counted.slice(1).map((at, n) => at - counted[n]);
  return {
    refused: calls.filter(({ status }) => status === 429).length,
    share: (100 * (counted.length - 1)) / minutes / limit,
    most: mostInAMinute(times),
    pause: Math.max(...pauses) / 1_000,
    calls: calls.length,
  };
}

async function measureShare(place, limit, workers) {
  const name = `${limit}-${workers}`;
  log(`${limit} calls a minute, ${workers} Worker(s): ${SECONDS} s`);
  const one = await startCase(place, name, { limit, workers });
  await sleep(SETTLE_MS);
  const from = Date.now();
  await sleep(SECONDS * 1_000);
  const { refused, share, most, pause, calls } = used(one, limit, from);
  await one.stop();
  check(`${name}: answers 429`, refused, 'none', refused === 0);
  check(
    `${name}: share of N`,
    `${share.toFixed(1)} %`,
    `at least ${WANTED_SHARE[limit]} %`,
    share >= WANTED_SHARE[limit],
  );
  check(`${name}: most calls in any 60 s`, most, `at most ${limit}, unless a Worker stalled`, most <= limit);
  return {
    'N a minute': limit,
    Workers: workers,
    calls,
    'answers 429': refused,
    'share of N used': `${share.toFixed(1)} %`,
    'most calls in any 60 s': most,
    'longest pause between two calls': `${pause.toFixed(1)} s`,
  };
}

/** A Worker of somebody else on the API task queue, which sends no limit. */
async function measureWithout(place) {
  const limit = 120;
  const one = await startCase(place, 'without', { limit, workers: 1, open: 300 });
  await sleep(SETTLE_MS + MINUTE);
  log('a Worker without the option joins');
  const from = Date.now();
  await one.addWorker('unlimited');
  await sleep(SECONDS * 1_000);
  const { refused, most } = used(one, limit, from);
  const { rate = null } = (await one.account()) ?? {};
  await one.stop();
  check('without the option: most calls in any 60 s', most, `at most ${limit}`, most <= limit);
  return {
    'N a minute': limit,
    'most calls in any 60 s': most,
    'answers 429': refused,
    'rate set': rate?.set ?? 'none',
  };
}

/** Workers are told 600 calls a minute while the API takes 120; then its limit is raised. */
async function measureLowered(place) {
  const [told, limit] = [600, 120];
  const one = await startCase(place, 'lowered', { limit, told, workers: 1, open: 300 });
  const startedAt = Date.now();
  await sleep(8 * MINUTE);
  const calls = callsOf(one.emulator);
  const refused = calls.filter(({ status }) => status === 429).map(({ at }) => at);
  const shareFrom = (from) => {
    const after = calls.filter(({ at }) => at >= from);
    return after.filter(({ status }) => status === 429).length / after.length;
  };
  const first = refused[0] ?? startedAt;
  // Settled: from then on fewer than 1 in 100 calls are refused.
  const settledAt = [first, ...refused.map((at) => at + 1)].find((at) => shareFrom(at) < 0.01) ?? Infinity;
  const settled = (settledAt - first) / MINUTE;
  const share = 100 * shareFrom(first + 3 * MINUTE);
  log(`settled after ${settled.toFixed(1)} min; now the limit of the API is ${told}`);
  one.emulator.setRateLimit(told);
  const raisedAt = Date.now();
  let backAt = Infinity;
  for (const end = raisedAt + 15 * MINUTE; backAt === Infinity && Date.now() < end;) {
    await sleep(2_000);
    const now = Date.now();
    const lastMinute = callsOf(one.emulator).filter(({ at }) => at > now - MINUTE).length;
    // A minute that is full has begun a minute ago.
    if (lastMinute >= (told * WANTED_SHARE[told]) / 100) backAt = now - MINUTE;
  }
  const back = (backAt - raisedAt) / MINUTE;
  const used429 = callsOf(one.emulator).filter(({ status, at }) => status === 429 && at > raisedAt).length;
  await one.stop();
  check('told 600 while it is 120: settles', `${settled.toFixed(1)} min`, 'within 3 min', settled <= 3);
  check('share of 429 after 3 min', `${share.toFixed(2)} %`, 'under 1 %', share < 1);
  check('back to the full rate', `${back.toFixed(1)} min`, 'within 10 min', back <= 10);
  return {
    'settled after': `${settled.toFixed(1)} min`,
    'answers 429 until then': refused.filter((at) => at < settledAt).length,
    'share of 429 after 3 min': `${share.toFixed(2)} %`,
    'back to the full rate after': `${back.toFixed(1)} min`,
    '429 on the way': used429,
  };
}

/** Missing credits hold 2,000 generations, and then there are credits again. */
async function measureHeld(place) {
  const [count, limit] = [2_000, 600];
  const one = await startCase(place, 'held', { limit, workers: 1, open: 0, credits: 0 });
  const { client, emulator, taskQueue } = one;
  const generations = new GenerationClient(client, { taskQueue });
  const waiting = Array.from({ length: count }, (_, n) => ({ model: 'z-image', prompt: `held ${n}` })).values();
  const handles = [];
  const startAll = async () => {
    for (const input of waiting) handles.push(await generations.start(input));
  };
  await Promise.all(Array.from({ length: 50 }, startAll));
  const query = `TaskQueue = '${taskQueue}' AND RivyaStatus = 'held:insufficient_credits' AND ExecutionStatus = 'Running'`;
  const until = async (isTrue) => {
    while (!(await isTrue())) await sleep(1_000);
    return Date.now();
  };
  const heldAt = await until(async () => (await client.workflow.count(query)).count === count);
  log(`${count} are held`);
  await sleep(SECONDS * 1_000);
  const tries = callsOf(emulator).filter(({ at }) => at > heldAt).length / (SECONDS / 60);
  const toppedUpAt = Date.now();
  await emulator.setCredits(undefined, PLENTY);
  const accepted = until(async () => (await emulator.ledger()).paidTasks >= count);
  // The account has sent all Signals, and has found nobody twice.
  const over = until(async () => (await one.account())?.causes.length === 0);
  const [released, taken] = [(await over) - toppedUpAt, (await accepted) - toppedUpAt].map((ms) => ms / MINUTE);
  await Promise.all(handles.map((handle) => handle.result()));
  const { paidTasks, keys } = await emulator.ledger();
  const twice = Object.values(keys).filter(({ tasks }) => tasks.length > 1).length;
  const calls = callsOf(emulator).filter(({ at }) => at > toppedUpAt).length / count;
  const longest = (count * calls) / limit + 2;
  await one.stop();
  check('2,000 held: calls a minute', tries.toFixed(1), 'at most 1', tries <= 1.34);
  check('2,000 held: all were told', `${released.toFixed(1)} min`, 'within 3 min, and a probe', released <= 4);
  check('2,000 held: all accepted', `${taken.toFixed(1)} min`, `within ${longest.toFixed(1)} min`, taken <= longest);
  check('2,000 held: paid tasks', paidTasks, count, paidTasks === count && twice === 0);
  return {
    held: count,
    'calls a minute while held': tries.toFixed(1),
    'all were told after': `${released.toFixed(1)} min`,
    'all accepted after': `${taken.toFixed(1)} min`,
    'calls a job after the top-up': calls.toFixed(2),
    'paid tasks': paidTasks,
  };
}

/** 60 jobs a minute: events and billable actions of a job, and of the account for each job. */
async function measureCost(place) {
  const minutes = Math.max(2, Math.round(SECONDS / 60));
  const one = await startCase(place, 'cost', { limit: 600, workers: 1, open: 1 });
  const { client, taskQueue } = one;
  const generations = new GenerationClient(client, { taskQueue });
  const jobs = 60 * minutes;
  const handles = [];
  const begun = Date.now();
  for (let n = 0; n < jobs; n++) {
    await sleep(Math.max(0, begun + n * 1_000 - Date.now()));
    handles.push(await generations.start({ model: 'z-image', prompt: `cost ${n}` }));
  }
  await Promise.all(handles.map((handle) => handle.result()));
  const sum = async (runs) => {
    const all = { events: 0, actions: 0 };
    for (const run of runs) {
      const { events, actions } = await historyOf(client, run);
      all.events += events;
      all.actions += actions;
    }
    return all;
  };
  const accountRuns = [];
  for await (const { execution } of listedRuns(client, `WorkflowId = '${accountWorkflowId(taskQueue)}'`)) {
    accountRuns.push(execution);
  }
  const job = await sum(handles);
  const account = await sum(accountRuns);
  await one.stop();
  const more = account.actions / jobs;
  check('more billable actions a job', more.toFixed(3), 'at most 0.5', more <= 0.5);
  const row = (what, { events, actions }) => ({
    '60 jobs a minute': what,
    'events a job': (events / jobs).toFixed(2),
    'billable actions a job': (actions / jobs).toFixed(2),
  });
  const both = { events: job.events + account.events, actions: job.actions + account.actions };
  return [row('without the account', job), row('with the account', both)];
}

const directory = mkdtempSync(path.join(tmpdir(), 'rivya-bench-'));
// A server in memory has lost all of it on a machine that was too busy.
const dbFilename = path.join(directory, 'temporal.db');
const server = await startDevServer({ log: () => undefined, ui: false, port: 0, dbFilename });
// Generations of a case that is over are still waited for, so it is closed with the process.
const { client } = await connectClient(server.address);
const place = { server, client };
const asked = (part) => ONLY.includes(part);
const limits = Object.keys(WANTED_SHARE).filter(asked).map(Number);
const cases = limits.flatMap((limit) => WORKERS.map((workers) => [limit, workers]));
const isSmall = ([limit]) => limit <= SMALL;
const shares = await Promise.all(cases.filter(isSmall).map((one) => measureShare(place, ...one)));
for (const one of cases.filter((other) => !isSmall(other))) shares.push(await measureShare(place, ...one));
const without = asked('without') ? [await measureWithout(place)] : [];
const lowered = asked('lowered') ? [await measureLowered(place)] : [];
const held = asked('held') ? [await measureHeld(place)] : [];
const cost = asked('cost') ? await measureCost(place) : [];
await server.stop();
rmSync(directory, { recursive: true });

const today = new Date().toISOString().slice(0, 10);
console.log(
  `${today}, ${availableParallelism()} cores, Node ${process.versions.node}, Temporal's dev server; ${SECONDS} s each`,
);
printTable('Share of the limit that is used', shares);
printTable('A Worker without the option joins', without);
printTable('Told 600 while the API takes 120, then the API takes 600', lowered);
printTable('Missing credits hold 2,000, at 600 calls a minute; then there are credits', held);
printTable('Cost', cost);
if (missed.length > 0) log(`MISSED: ${missed.join('; ')}`);
process.exit(missed.length === 0 ? 0 : 1);
