/** A batch in the middle of which Temporal forgets everything: its database is lost. The records in the store are the truth. */
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { startWorkers } from '../../src/worker/workers.js';
import { images, newBatch, onceEach, tasksByPrompt, type TestBatch } from '../support/batch.js';
import { startHarness } from '../support/harness.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

test('an emptied Temporal costs nothing: items that ended stay ended, those that ran are found by their receipts', async () => {
  // Its emulator and its store outlive both servers.
  await using harness = await startHarness({
    workers: false,
    emulator: { durations: { image: 800 }, faults: [unfinished('heron 2')] },
  });
  const inputs = images(30);
  const { output, taskQueue } = harness;
  const live = async (work: (batch: TestBatch, temporal: Client) => Promise<void>): Promise<void> => {
    const server = await startDevServer({ log: () => undefined, ui: false, port: 0 });
    const connection = await NativeConnection.connect(server);
    const temporal = new Client({ connection: await Connection.connect(server) });
    const workflows = { workflowBundle: { codePath: inject('bundle') } };
    const workers = await startWorkers(harness.settings, { connection, namespace: 'default', workflows });
    try {
      await work(await newBatch({ output, temporal, taskQueue }, { batchId: 'emptied', inputs }), temporal);
    } finally {
      await workers.stop();
      await Promise.all([temporal.connection.close(), connection.close()]);
      await server.stop();
    }
  };
  let lost: TestBatch | undefined;
  await live(async (batch) => {
    await batch.start({ maxInFlight: 10 });
    await until(async () => (await batch.outcomes()).length >= 6);
    // Some have ended and others run: each of those has a task by now.
    await until(async () => (await harness.emulator.ledger()).paidTasks > (await batch.outcomes()).length);
    await batch.handle.terminate('test');
    lost = batch;
  });
  const records = (await lost!.outcomes()).length;
  const tasks = (await harness.emulator.ledger()).paidTasks;
  harness.emulator.setFaults([]);
  expect(records).toBeLessThan(30);
  expect(tasks).toBeGreaterThan(records);
  await live(async (batch, temporal) => {
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({ counts: { items: 30, succeeded: 30 }, spentCredits: 30 });
    expect(await batch.outcomes()).toHaveLength(30);
    // Those with a record are not even started.
    const { count } = await temporal.workflow.count("RivyaBatchId = 'emptied'");
    expect(count).toBe(30 - records);
  });
  expect(await tasksByPrompt(harness)).toEqual(onceEach(inputs));
});
