/** The database of the Temporal Service is put back from an older copy: it knows nothing of what was paid since. */
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import type { GenerationResult } from '../../src/contract/index.js';
import { startDevServer, type EmbeddedServer } from '../../src/temporal/embedded/server.js';
import { startWorkers } from '../../src/worker/workers.js';
import { startHarness } from '../support/harness.js';

/** All that happens on one server until it is killed. */
async function live<T>(
  server: EmbeddedServer,
  work: (client: Client, connection: NativeConnection) => Promise<T>,
): Promise<T> {
  const connection = await NativeConnection.connect(server);
  const client = new Client({ connection: await Connection.connect(server) });
  try {
    return await work(client, connection);
  } finally {
    await Promise.all([client.connection.close(), connection.close()]);
    process.kill(server.pid, 'SIGKILL');
    await server.stop();
  }
}

test('with a store, its receipt brings back the same task although the API has forgotten the key', async () => {
  // Its emulator and its store outlive the server.
  await using harness = await startHarness({ workers: false, emulator: { switches: { keyLifetimeMs: 1 } } });
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-restored-'));
  const [present, older] = [path.join(directory, 'present'), path.join(directory, 'older')];
  const start = (): Promise<EmbeddedServer> =>
    startDevServer({ log: () => undefined, ui: false, port: 0, dbFilename: path.join(present, 'temporal.db') });
  const generate = async (client: Client, connection: NativeConnection): Promise<GenerationResult> => {
    const workers = await startWorkers(harness.settings, {
      connection,
      namespace: 'default',
      workflows: { workflowBundle: { codePath: inject('bundle') } },
    });
    try {
      const generations = new GenerationClient(client, { taskQueue: harness.taskQueue });
      const handle = await generations.start({ model: 'z-image', prompt: 'restored' }, { workflowId: 'restored' });
      return await handle.result();
    } finally {
      await workers.stop();
    }
  };
  await mkdir(present);
  try {
    await live(await start(), () => Promise.resolve());
    await cp(present, older, { recursive: true });
    expect(await readdir(older)).toContain('temporal.db');
    const paid = await live(await start(), generate);
    await rm(present, { recursive: true });
    await cp(older, present, { recursive: true });
    const again = await live(await start(), async (client, connection) => {
      // The restored Service has never heard of it.
      await expect(client.workflow.getHandle('restored').describe()).rejects.toThrow('not found');
      return generate(client, connection);
    });
    expect(again).toMatchObject({ taskId: paid.taskId, reused: true });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  } finally {
    await rm(directory, { recursive: true });
  }
});
