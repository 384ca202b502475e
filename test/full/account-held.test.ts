/** Causes that all generations share: many are held at no cost, one release ends it, and each is paid once. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { NativeConnection } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { ACCOUNT_QUERY, type AccountState } from '../../src/contract/index.js';
import type { EmulatorOptions, RecordedRequest } from '../../src/emulator/index.js';
import { startWorkers } from '../../src/worker/workers.js';
import { accountOf, accountState, countOf, reportsTo, untilKnown } from '../support/switchboard.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const MINUTE = 60_000;
const startMany = (harness: Harness, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      harness.client.start({ model: 'z-image', prompt: `fox ${index}` }, { workflowId: `fox-${index}` }),
    ),
  );
const isCreate = ({ method, path: asked }: RecordedRequest): boolean =>
  method === 'POST' && asked.endsWith('/generations');
/** Submits and probes: what a held cause may cost. */
const isTry = (request: RecordedRequest): boolean => isCreate(request) || request.path.endsWith('/credits');

/** Probes of the cause that stands. The memo is written only where something has changed. */
async function probesOf(harness: Harness): Promise<number> {
  const { causes } = await accountOf(harness).query<AccountState>(ACCOUNT_QUERY);
  return causes[0]?.probes ?? 0;
}

/** Each generation was paid once, and no key was paid twice. */
async function expectPaidOnceEach({ emulator }: Harness, count: number): Promise<void> {
  const { paidTasks, keys, tasks } = await emulator.ledger();
  expect(paidTasks).toBe(count);
  expect(Object.values(keys).filter((key) => key.tasks.length > 1)).toEqual([]);
  expect(new Set(Object.values(tasks).map(({ prompt }) => prompt)).size).toBe(count);
}

/** Tries from the time on when all are held: at most one a minute. */
function expectQuiet({ emulator }: Harness, since: number): void {
  const tries = emulator.requests().filter((request) => isTry(request) && request.at > since);
  const minutes = Math.ceil((Date.now() - since) / MINUTE);
  expect(tries.length).toBeLessThanOrEqual(minutes + 1);
}

test('credits that run out hold all, cost a call a minute, and a top-up releases all', async () => {
  const options: EmulatorOptions = { credits: 5, rateLimitPerMinute: 100_000 };
  await using harness = await startHarness({ emulator: options });
  await untilKnown(harness);
  const handles = await startMany(harness, 30);
  await until(async () => (await countOf(harness, 'held:insufficient_credits')) === 25);
  const held = Date.now();
  await until(async () => (await probesOf(harness)) >= 2);
  expectQuiet(harness, held);
  // The introduction of the Worker, the first refusal, and at most one in 15 s until the memo named it.
  expect(await reportsTo(harness)).toBeLessThanOrEqual(3);
  await harness.emulator.setCredits(undefined, 1_000);
  const results = await Promise.all(handles.map((handle) => handle.result()));
  expect(results.every(({ attempts }) => attempts === 1)).toBe(true);
  await until(async () => (await accountState(harness))?.causes.length === 0);
  await expectPaidOnceEach(harness, 30);
});

test('a key that is rotated through its file releases all that the old one held', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-key-'));
  const file = path.join(directory, 'key');
  const [old, fresh] = ['rvya_sk_old', 'rvya_sk_fresh'];
  try {
    await writeFile(file, `${old}\n`);
    await using harness = await startHarness({
      emulator: { keys: [{ key: old, state: 'revoked' }, { key: fresh }], rateLimitPerMinute: 100_000 },
      env: { RIVYA_API_KEY: '', RIVYA_API_KEY_FILE: file },
    });
    await untilKnown(harness);
    const handles = await startMany(harness, 200);
    await until(async () => (await countOf(harness, 'held:api_key_revoked')) === 200);
    const held = Date.now();
    await until(async () => (await probesOf(harness)) >= 1);
    expectQuiet(harness, held);
    await writeFile(`${file}.new`, fresh);
    await rename(`${file}.new`, file);
    await Promise.all(handles.map((handle) => handle.result()));
    await expectPaidOnceEach(harness, 200);
    // The account knows by which key this Worker pays now.
    await until(async () => {
      const { causes = [], workers = {} } = (await accountState(harness)) ?? {};
      const [worker] = Object.values(workers);
      return causes.length === 0 && worker !== undefined && worker.fingerprint !== null;
    });
    expect((await accountState(harness))?.rateLimited.lastHour).toBe(0);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the stop switch under load: no new POST within 15 s, checks and results go on, and then each is paid once', async () => {
  // Two submits a second, by two Workers.
  await using harness = await startHarness({
    emulator: { durations: { image: 20_000 }, rateLimitPerMinute: 100_000 },
    env: { RIVYA_RATE_LIMIT_PER_MINUTE: '120' },
  });
  const connection = await NativeConnection.connect({ address: harness.address });
  const settings = { ...harness.settings, roles: new Set(['api'] as const) };
  const other = await startWorkers(settings, { connection, namespace: harness.namespace, identity: 'other' });
  try {
    await untilKnown(harness, 2);
    const handles = await startMany(harness, 40);
    const creates = () => harness.emulator.requests().filter(isCreate);
    await until(() => creates().length >= 10);
    await accountOf(harness).executeUpdate('stopSubmits', { args: [{ reason: 'costs too much' }] });
    const stopped = Date.now();
    // All that were not posted are held, and all that were posted end well.
    await until(async () => {
      const posted = Object.values((await harness.emulator.ledger()).tasks);
      const held = await countOf(harness, 'held:stopped');
      return held + posted.length === 40 && posted.every(({ status }) => status === 'succeeded');
    });
    await until(
      async () =>
        (await countOf(harness, 'held:stopped')) ===
        (await harness.temporal.workflow.count("WorkflowType = 'generateMedia' AND ExecutionStatus = 'Running'")).count,
    );
    const late = creates().filter(({ at }) => at > stopped + 15_000);
    expect(late).toEqual([]);
    expect(creates().length).toBeLessThan(40);
    await accountOf(harness).executeUpdate('allowSubmits');
    const results = await Promise.all(handles.map((handle) => handle.result()));
    expect(results.every(({ attempts, files }) => attempts === 1 && files.length === 1)).toBe(true);
    await expectPaidOnceEach(harness, 40);
    expect(creates()).toHaveLength(40);
  } finally {
    await other.stop();
    await connection.close();
  }
});
