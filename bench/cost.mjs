// What one job costs next to a plain Workflow: CPU of the Worker and of the Temporal server, history, requests.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmulator } from '../dist/src/emulator/index.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { benchRequests, spiedClient } from './requests.mjs';
import { PLAIN, runJobs, startWorker, stopWorker, variantsOf, workerSettings } from './variants.mjs';

export const JOBS = Number(process.env.BENCH_JOBS ?? 200);
export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
// Enough for the compilers and caches of a new process.
export const WARM_UP_JOBS = 20;
// A process goes on with a job for a moment after its result is there.
const SETTLE_MS = 1_000;
// In these the kernel tells programs of CPU time, whatever its own clock.
const TICK_MS = 10;

/** Milliseconds of CPU that a process has used in all its threads. Needs Linux. */
export function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in brackets, which may hold spaces; user and system time are the 14th and the 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** One round of one kind of job. */
export async function measure({ emulator, client, server }, variant, worker) {
  await sleep(SETTLE_MS);
  const pids = [worker.pid, server.pid];
  const before = pids.map(cpuMs);
  const startedAt = performance.now();
  const [{ workflowId }] = await runJobs(emulator, variant, JOBS);
  const seconds = (performance.now() - startedAt) / 1_000;
  await sleep(SETTLE_MS);
  const [workerMs, serverMs] = pids.map((pid, index) => (cpuMs(pid) - before[index]) / JOBS);
  const { tasks } = await emulator.ledger();
  const checks = Object.values(tasks).reduce((sum, task) => sum + task.checks.length, 0) / JOBS;
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return { workerMs, serverMs, events: events.length, checks, perSecond: JOBS / seconds };
}

export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function benchCpu(setting) {
  const kinds = [];
  for (const [job, variant] of Object.entries(setting.variants)) {
    const worker = await startWorker(variant, setting.env);
    await runJobs(setting.emulator, variant, WARM_UP_JOBS);
    kinds.push({ job, variant, worker, rounds: [] });
  }
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { variant, worker, rounds } of kinds) rounds.push(await measure(setting, variant, worker));
  }
  for (const { worker } of kinds) await stopWorker(worker);
  const of = ({ rounds }, figure) => median(rounds.map((round) => round[figure]));
  const plain = kinds.find(({ job }) => job === PLAIN);
  const ratio = (kind, figure) => (of(kind, figure) / of(plain, figure)).toFixed(2);
  const rows = kinds.map((kind) => ({
    job: kind.job,
    'Worker CPU ms': of(kind, 'workerMs').toFixed(1),
    'Worker ratio': ratio(kind, 'workerMs'),
    'server CPU ms': of(kind, 'serverMs').toFixed(1),
    'server ratio': ratio(kind, 'serverMs'),
    // The fewest: a step that comes late on a busy machine can add some.
    'history events': Math.min(...kind.rounds.map(({ events }) => events)),
    checks: of(kind, 'checks').toFixed(2),
    'jobs/s': of(kind, 'perSecond').toFixed(1),
  }));
  console.log(
    `\nCost of one job, of ${JOBS} that start at once and wait for 7 to 8 s each; medians of ${ROUNDS} rounds`,
  );
  console.table(rows);
}

export async function benchCost(log) {
  const store = mkdtempSync(path.join(tmpdir(), 'rivya-bench-'));
  const server = await startDevServer({ log, ui: false, port: 0 });
  const limits = { credits: 1_000_000, rateLimitPerMinute: 1_000_000 };
  const emulator = await startEmulator({ durations: { image: 1 }, ...limits });
  const { client, requests } = await spiedClient(server.address);
  const env = workerSettings(server.address, emulator);
  const setting = { server, emulator, client, requests, env, variants: variantsOf(client, store) };
  await benchCpu(setting);
  await benchRequests(setting);
  await client.connection.close();
  await emulator.close();
  await server.stop();
  rmSync(store, { recursive: true });
}
