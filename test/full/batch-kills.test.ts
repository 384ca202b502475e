/** A batch of 300 with faults, while its Worker, its Workflow and the Temporal server with its database file are killed. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import { freePort } from '../../src/temporal/embedded/ready.js';
import { startDevServer, type EmbeddedServer } from '../../src/temporal/embedded/server.js';
import { newBatch, onceEach, tasksByPrompt } from '../support/batch.js';
import { startHarness } from '../support/harness.js';
import { kill, spawnWorker } from '../support/worker-process.js';

const ITEMS = 300;
// A fault for some of the items; each ends well.
const FAULTS = ['', '', '', ' [[drop-reply]]', ' [[status-error:1]]', ' [[code:rate_limited:1]]', ''];

test(
  'every item is paid once and recorded once',
  async () => {
    await using harness = await startHarness({
      workers: false,
      emulator: { credits: 10_000, durations: { image: 5_000 } },
    });
    const directory = await mkdtemp(path.join(tmpdir(), 'rivya-batch-kills-'));
    const port = await freePort();
    const dbFilename = path.join(directory, 'temporal.db');
    const serve = (): Promise<EmbeddedServer> => startDevServer({ log: () => undefined, ui: false, port, dbFilename });
    let server = await serve();
    const connect = async (): Promise<Client> => new Client({ connection: await Connection.connect(server) });
    let temporal = await connect();
    const { output, taskQueue, emulator } = harness;
    const work = (): ChildProcess =>
      spawnWorker({
        emulator,
        output,
        taskQueue,
        temporalEnv: { TEMPORAL_ADDRESS: server.address },
        env: { RIVYA_RATE_LIMIT_PER_MINUTE: '60000' },
      });
    let worker = work();
    const inputs = Array.from({ length: ITEMS }, (_, n) => ({
      model: 'z-image',
      prompt: `kill ${n + 1}.${FAULTS[n % FAULTS.length]}`,
    }));
    const batchOf = () => newBatch({ output, temporal, taskQueue }, { batchId: 'kills', inputs });
    let batch = await batchOf();
    await batch.start();
    const killed = { worker: 0, workflow: 0, server: 0 };
    const victims = ['worker', 'workflow', 'server'] as const;
    try {
      for (let turn = 0; (await batch.outcomes()).length < ITEMS && turn < 60; turn++) {
        await sleep(3_000 + Math.random() * 8_000);
        const victim = victims[turn % victims.length]!;
        if ((await batch.handle.describe()).status.name !== 'RUNNING') break;
        killed[victim] += 1;
        if (victim === 'worker') {
          await kill(worker);
          worker = work();
        } else if (victim === 'workflow') {
          await batch.handle.terminate('test');
          await batch.start();
        } else {
          await temporal.connection.close();
          process.kill(server.pid, 'SIGKILL');
          await server.stop();
          server = await serve();
          temporal = await connect();
          batch = await batchOf();
        }
      }
      expect(await batch.handle.result()).toMatchObject({
        counts: { items: ITEMS, succeeded: ITEMS },
        spentCredits: ITEMS,
      });
      expect(await tasksByPrompt(harness)).toEqual(onceEach(inputs));
      const outcomes = await batch.outcomes();
      expect(outcomes).toHaveLength(ITEMS);
      expect(new Set(outcomes.map(({ taskId }) => taskId)).size).toBe(ITEMS);
      for (const [name, count] of Object.entries(killed)) expect(count, name).toBeGreaterThan(0);
      console.log(`Killed: ${JSON.stringify(killed)}`);
    } finally {
      await kill(worker);
      await temporal.connection.close();
      await server.stop();
      await rm(directory, { recursive: true });
    }
  },
  20 * 60_000,
);
