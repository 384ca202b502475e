// Billable actions of Temporal Cloud: of one job, and of one that was held and released. bench/batch.mjs counts those of a batch.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GenerationClient } from '../dist/src/client.js';
import { startEmulator } from '../dist/src/emulator/index.js';
import { connectClient } from '../dist/src/temporal/connect.js';
import { freePort } from '../dist/src/temporal/embedded/ready.js';
import { startDevServer } from '../dist/src/temporal/embedded/server.js';
import { historyOf } from './histories.mjs';
import { workerRequests } from './requests.mjs';
import { startWorker, stopWorker, workerSettings } from './variants.mjs';

const JOBS = 20;
const TASK_MS = 20_000;
const SETTLE_MS = 1_000;
const CREDITS = 1_000_000;

/** Jobs that start at once, and what one of them costs. */
async function measure({ client, emulator, metrics }, job, isHeld) {
  emulator.reset();
  await emulator.setCredits(undefined, isHeld ? 0 : CREDITS);
  const heartbeats = async () => (await workerRequests(metrics)).get('RecordActivityTaskHeartbeat') ?? 0;
  const before = await heartbeats();
  const generations = new GenerationClient(client);
  const start = (_, n) => generations.start({ model: 'z-image', prompt: `${job} ${n}` });
  const handles = await Promise.all(Array.from({ length: JOBS }, start));
  if (isHeld) {
    for (const handle of handles) while ((await handle.state())?.phase !== 'held') await sleep(SETTLE_MS);
    // The account finds out, and releases them.
    await emulator.setCredits(undefined, CREDITS);
  }
  await Promise.all(handles.map((handle) => handle.result()));
  await sleep(SETTLE_MS);
  const beats = (await heartbeats()) - before;
  const runs = handles.map(({ workflowId }) => historyOf(client, { workflowId }));
  const histories = await Promise.all(runs);
  const tasks = Object.values((await emulator.ledger()).tasks);
  const mean = (numbers) => numbers.reduce((all, number) => all + number, 0) / JOBS;
  return {
    job,
    'billable actions': mean([...histories.map(({ actions }) => actions), beats]).toFixed(1),
    'of these heartbeats': (beats / JOBS).toFixed(1),
    'status checks': mean(tasks.map(({ checks }) => checks.length)).toFixed(1),
    events: mean(histories.map(({ events }) => events)).toFixed(1),
  };
}

export async function benchActions(log) {
  const store = mkdtempSync(path.join(tmpdir(), 'rivya-bench-'));
  const server = await startDevServer({ log, ui: false, port: 0 });
  const emulator = await startEmulator({ durations: { image: TASK_MS }, rateLimitPerMinute: 1_000_000 });
  const { client } = await connectClient(server.address);
  const metrics = `127.0.0.1:${await freePort()}`;
  // The fixed schedule, so that the jobs are alike.
  const env = { RIVYA_STORE: `file:${store}`, RIVYA_PATIENCE: '0' };
  const worker = await startWorker({ kind: 'ours', env }, workerSettings(server.address, emulator), metrics);
  const setting = { client, emulator, metrics };
  const rows = [
    await measure(setting, 'plain', false),
    await measure(setting, 'held once and released by the account', true),
  ];
  await stopWorker(worker);
  await client.connection.close();
  await emulator.close();
  await server.stop();
  rmSync(store, { recursive: true });
  console.log(`\nBillable actions of a job with a task of ${TASK_MS / 1_000} s; means of ${JOBS}`);
  console.table(rows);
}
