/** Metrics, alerts and probes of real Worker processes, as Prometheus and Kubernetes see them. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { METRIC_HELP, METRICS } from '../../src/contract/index.js';
import { freePort } from '../../src/temporal/embedded/ready.js';
import { serveHealth } from '../../src/worker/health.js';
import { images, newBatch } from '../support/batch.js';
import { startHarness, type Harness } from '../support/harness.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

let harness: Harness;
const processes: ChildProcess[] = [];
beforeAll(async () => {
  harness = await startHarness({ workers: false });
});
afterAll(async () => {
  await Promise.all(processes.map(kill));
  await harness[Symbol.asyncDispose]();
});

/** A Worker process, and what its pages say. */
async function watched() {
  const [port, probe] = [await freePort(), await freePort()];
  const env = { RIVYA_METRICS_ADDRESS: `127.0.0.1:${port}`, RIVYA_HEALTH_ADDRESS: `127.0.0.1:${probe}` };
  const child = spawnWorker({ ...harness, env });
  processes.push(child);
  const health = `http://127.0.0.1:${probe}`;
  await until(async () => (await statusOf(`${health}/readyz`)) === 200);
  const page = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const metrics = async (): Promise<Sample[]> => samplesOf(await page());
  return { child, page, metrics, health };
}

const statusOf = (url: string): Promise<number | null> =>
  fetch(url).then(
    ({ status }) => status,
    () => null,
  );

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The text format of Prometheus. */
function samplesOf(text: string): Sample[] {
  return Array.from(text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm), ([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries(
      Array.from(labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g), ([, key, said]) => [key, said]),
    ),
    value: Number(value),
  }));
}

/** Sum over all samples of the name with these labels. */
function total(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples
    .filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((sum, { value }) => sum + value, 0);
}

/** Names in the alerts and the dashboard, as Prometheus has them. */
const used = [
  ...new Set(['alerts.yml', 'grafana-dashboard.json'].flatMap((file) => readDeploy(file).match(/rivya_\w+/g)!)),
];

function readDeploy(file: string): string {
  return readFileSync(new URL(`../../deploy/${file}`, import.meta.url), 'utf8');
}

test('each metric of the alerts, the dashboard and the docs is exported, counted once over a killed Worker', async () => {
  const { emulator, client } = harness;
  emulator.setFaults([
    { on: 'create', prompt: 'no credits', do: { kind: 'error', code: 'insufficient_credits' } },
    { on: 'create', prompt: 'it fails', do: { kind: 'fail' } },
    unfinished('it survives'),
  ]);
  await harness.temporal.workflow.start('unknown', { workflowId: 'fails', taskQueue: harness.taskQueue });
  const first = await watched();
  const survivor = await client.start({ model: 'sora-2', prompt: 'it survives' });
  await until(async () => (await state(survivor.workflowId)) === 'waiting');
  const held = await client.start({ model: 'z-image', prompt: 'no credits' });
  await until(async () => (await state(held.workflowId)) === 'held');
  expect(total(await first.metrics(), 'rivya_paid_total', { model: 'sora-2' })).toBe(1);
  await kill(first.child);

  emulator.setFaults([
    { on: 'create', prompt: 'no credits', do: { kind: 'error', code: 'insufficient_credits' } },
    { on: 'create', prompt: 'it fails', do: { kind: 'fail' } },
  ]);
  const second = await watched();
  const { reservedCredits, files } = await survivor.result();
  await expect((await client.start({ model: 'z-image', prompt: 'it fails' })).result()).rejects.toMatchObject({
    code: 'GenerationFailed',
  });
  const again = await client.start({ model: 'z-image', prompt: 'no credits, again' });
  await until(async () => (await state(again.workflowId)) === 'held');
  const batch = await newBatch(harness, { batchId: 'measured', inputs: images(2, 'measured') });
  await (await batch.start()).result();
  await until(async () => total(await second.metrics(), 'rivya_held', { by: 'credits' }) > 0);
  await until(async () => total(await second.metrics(), 'rivya_failing_workflow_tasks') === 1);

  const samples = await second.metrics();
  const video = { model: 'sora-2' };
  // The history with the submit was replayed here.
  expect(total(samples, 'rivya_paid_total', video)).toBe(0);
  expect(total(samples, 'rivya_ended_total', { ...video, outcome: 'succeeded', code: 'none' })).toBe(1);
  expect(total(samples, 'rivya_ended_total', { model: 'z-image', outcome: 'failed', code: 'GenerationFailed' })).toBe(
    1,
  );
  expect(total(samples, 'rivya_credits_final_sum', video)).toBe(reservedCredits);
  expect(total(samples, 'rivya_stored_bytes_total', video)).toBe(files[0]!.bytes);
  expect(total(samples, 'rivya_paid_total', { model: 'z-image' })).toBe(3);
  expect(total(samples, 'rivya_holds_total', { code: 'insufficient_credits' })).toBeGreaterThan(0);
  expect(total(samples, 'rivya_batch_items', { batch: 'measured', state: 'succeeded' })).toBe(2);
  expect(total(samples, 'rivya_api_calls_total', { call: 'submit', code: 'ok' })).toBe(3);
  expect(total(samples, 'rivya_rate_limit_per_minute')).toBe(60);

  const exported = new Set(samples.map(({ name }) => name));
  expect(used.filter((name) => !exported.has(name))).toEqual([]);
  const families = new Set([...exported].map((name) => name.replace(/_(total|sum|count|bucket)$/, '')));
  expect(Object.values(METRICS).filter((name) => !families.has(name))).toEqual([]);
  const helped = await second.page();
  for (const [name, help] of Object.entries(METRIC_HELP)) {
    expect(helped).toMatch(new RegExp(`^# HELP ${name}(_total)? ${help}$`, 'm'));
  }
  const docs = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8');
  expect(Object.values(METRICS).filter((name) => !docs.includes(`\`${name}`))).toEqual([]);
  const text = JSON.stringify(samples);
  for (const secret of ['it survives', harness.emulator.apiKey]) expect(text).not.toContain(secret);
});

async function state(workflowId: string): Promise<string | undefined> {
  return (await harness.client.handle(workflowId).state())?.phase;
}

test('the runbook of each alert is a chapter of the docs', () => {
  const links = Array.from(
    readDeploy('alerts.yml').matchAll(/runbook_url: docs\/monitoring\.md#(\S+)/g),
    ([, name]) => name,
  );
  const names = Array.from(readDeploy('alerts.yml').matchAll(/alert: (\w+)/g), ([, name]) => name!);
  const docs = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8');
  expect(links).toEqual(names.map((name) => name.toLowerCase()));
  expect(names.filter((name) => !docs.includes(`\n## ${name}\n`))).toEqual([]);
});

/** What a Worker process with these settings says as it ends with status 2. */
async function refusedAtStart(env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawnWorker({ ...harness, env, stdio: ['ignore', 'ignore', 'pipe'] });
  processes.push(child);
  let printed = '';
  child.stderr!.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await until(() => child.exitCode !== null);
  expect(child.exitCode).toBe(2);
  return printed;
}

describe('a probe', () => {
  test('is ready while the Workers poll, and not once they stop; the process lives until its POST has ended', async () => {
    const { emulator, client } = harness;
    emulator.setFaults([{ on: 'create', prompt: 'under way', times: 1, do: { kind: 'delayAfter', ms: 10_000 } }]);
    // No other may take the POST.
    await Promise.all(processes.map(kill));
    const { child, health } = await watched();
    const handle = await client.start({ model: 'z-image', prompt: 'under way' });
    const posted = async (): Promise<boolean> =>
      Object.values((await emulator.ledger()).tasks).some(({ prompt }) => prompt === 'under way');
    await until(posted);
    expect(await statusOf(`${health}/healthz`)).toBe(200);
    expect(await statusOf(`${health}/`)).toBe(404);
    child.kill('SIGTERM');
    await until(async () => (await statusOf(`${health}/readyz`)) === 503);
    expect(await statusOf(`${health}/healthz`)).toBe(200);
    await until(() => child.exitCode !== null);
    expect(child.exitCode).toBe(0);
    await watched();
    const { taskId } = await handle.result();
    const { keys } = await emulator.ledger();
    const mine = Object.values(keys).filter(({ tasks }) => tasks.includes(taskId));
    expect(mine).toMatchObject([{ posts: 1, tasks: [taskId] }]);
  });

  test('says that Temporal does not answer while the SDK still tries', async () => {
    const connection = { withDeadline: () => new Promise<never>(() => undefined), workflowService: {} as never };
    const port = await freePort();
    const server = await serveHealth(
      { host: '127.0.0.1', port },
      { connection, namespace: 'default', isRunning: () => true },
    );
    const reply = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect([reply.status, await reply.text()]).toEqual([503, expect.stringContaining('Temporal does not answer')]);
    server.close();
  });

  test.each(['RIVYA_METRICS_ADDRESS', 'RIVYA_HEALTH_ADDRESS'])(
    '%s in use ends the process at the start',
    async (name) => {
      const other = createServer();
      const port = await freePort();
      await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
      const printed = await refusedAtStart({ [name]: `127.0.0.1:${port}` });
      expect(printed).toContain(`${name}: 127.0.0.1:${port} is in use by another process. Nothing was started.`);
      other.close();
    },
  );

  test('an address that is none is refused by its name', async () => {
    const printed = await refusedAtStart({ RIVYA_HEALTH_ADDRESS: '8080' });
    expect(printed).toContain('RIVYA_HEALTH_ADDRESS: must be an IP address and a port');
  });
});
