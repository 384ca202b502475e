/** What a memo does not tell, or not to this command: the history does, and what cannot be read is counted. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { expect, test } from 'vitest';
import { chargesOf } from '../../src/cli/charges.js';
import { recordsOfTemporal } from '../../src/cli/charges-sources.js';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

function run({ temporalEnv }: Harness, ...args: string[]): Promise<Finished> {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-charges-'));
  return runCommand(args, { cwd, env: { ...temporalEnv, XDG_DATA_HOME: cwd } });
}

test.concurrent('a second attempt that only the history knows is not a first one that was paid twice', async () => {
  await using harness = await startHarness({
    workers: false,
    env: { RIVYA_STORE: '' },
    emulator: {
      faults: [
        { on: 'create', times: 1, do: { kind: 'fail' } },
        { on: 'create', do: { kind: 'delayAfter', ms: 4_000 } },
      ],
    },
  });
  const workflows = await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
  await harness.startWorkers({ roles: new Set(['api']) });
  const input = { model: 'z-image', prompt: 'again', options: { maxAttempts: 2 } };
  const handle = await harness.client.start(input, { workflowId: 'again' });
  await until(async () => (await harness.emulator.ledger()).paidTasks === 2);
  // The answer comes to the history, and no Worker reads it.
  await workflows.stop();
  await until(async () => (await handle.describe()).raw.pendingActivities?.length === 0);
  await harness.temporal.workflow.getHandle('again').terminate();
  await until(async () => (await harness.temporal.workflow.count("ExecutionStatus = 'Terminated'")).count === 1);
  const { records } = await recordsOfTemporal({ client: harness.temporal, namespace: harness.namespace });
  const [charge] = chargesOf(records);
  expect(charge?.flags.map(({ code }) => code)).toEqual(['severalAttempts']);
  expect(charge?.tasks).toMatchObject([
    { attempt: 1, status: 'failed', settled: true },
    { attempt: 2, settled: false },
  ]);
  expect(await run(harness, 'charges', '--from', 'temporal')).toMatchObject({ status: 0 });
});

/** A codec that the command line does not have. */
const foreign: PayloadCodec = {
  encode: (payloads: Payload[]) =>
    Promise.resolve(
      payloads.map((payload) => ({ ...payload, metadata: { encoding: new TextEncoder().encode('binary/foreign') } })),
    ),
  decode: (payloads: Payload[]) => Promise.resolve(payloads),
};

test.concurrent('a memo under a codec that is missing here is counted, and the others are read', async () => {
  await using harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: { faults: [{ on: 'create', do: { kind: 'stuck' } }] },
  });
  const { temporal, namespace } = harness;
  const dataConverter = { payloadCodecs: [foreign] };
  const other = new Client({ connection: temporal.connection, namespace, dataConverter });
  const encrypted = { workflowId: 'encrypted', taskQueue: 'nobody', memo: { rivya: {} }, args: [{}] };
  await other.workflow.start('generateMedia', encrypted);
  const plain = await harness.client.start({ model: 'z-image', prompt: 'plain' }, { workflowId: 'plain' });
  await until(async () => memoOf(await plain.describe())?.taskId != null);
  const { taskId } = memoOf(await plain.describe())!;
  for (const workflowId of ['encrypted', 'plain']) await temporal.workflow.getHandle(workflowId).terminate();
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Terminated'")).count === 2);
  const [charges, recover, people] = await Promise.all([
    run(harness, 'charges', '--from', 'temporal', '--json'),
    run(harness, 'recover', '--json'),
    run(harness, 'recover'),
  ]);
  expect(JSON.parse(charges.stdout)).toMatchObject({
    generations: [{ workflowId: 'plain', tasks: [{ taskId }] }],
    notes: expect.arrayContaining([expect.stringMatching(/Not read.*1 run\(s\) of generations, under a codec/)]),
  });
  expect(JSON.parse(recover.stdout)).toMatchObject({
    generations: [{ workflowId: 'plain', taskId }],
    unreadGenerations: ['encrypted'],
    errors: [],
  });
  expect(people.stderr).toMatch(/Not read, under a codec.*1 generation\(s\)/);
  expect([charges.status, recover.status]).toEqual([0, 0]);
});
