/** The environment that users test their own Workflows in. */
import { connect } from 'node:net';
import { once } from 'node:events';
import type { Connection } from '@temporalio/client';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { SettingsError } from '../../src/config.js';
import { createTestEnvironment } from '../../src/testing/index.js';
import { createTimeSkipping } from '../support/time-skipping.js';

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
const workflowBundle = { codePath: inject('bundle') };
const input = { model: 'veo3-1-lite', prompt: 'A fox' };

test('by itself it starts a server, outlives a stop of its Workers, and leaves nothing behind', async () => {
  const env = await createTestEnvironment({ workflowBundle, emulator: { durations: { video: 3_000 } } });
  const handle = await env.generations.start(input, { workflowId: 'fox' });
  await expect.poll(async () => (await env.emulator.ledger()).paidTasks, { timeout: 60_000 }).toBe(1);
  await env.stopWorkers();
  await env.startWorkers();
  expect((await handle.result()).files[0]?.uri).toContain(env.output);
  expect((await env.emulator.ledger()).paidTasks).toBe(1);
  const { address } = (env.client.connection as Connection).options;
  const ports = [env.emulator.url, `http://${address}`].map((url) => new URL(url).port);
  await env.dispose();
  for (const port of ports) {
    const [error] = (await once(connect(Number(port), '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
  }
  // A second end does nothing.
  await env.dispose();
});

test('on a server that skips time a video of an hour takes a moment, and the server stays its owner’s', async () => {
  const server = await createTimeSkipping();
  try {
    const env = await createTestEnvironment({
      environment: server,
      workflowBundle,
      emulator: { durations: { video: 3_600_000 } },
    });
    const handle = await env.generations.start(input, { workflowId: 'fox' });
    expect((await handle.result()).statusChecks).toBeGreaterThan(10);
    await env.dispose();
    expect((await server.client.workflow.getHandle('fox').describe()).status.name).toBe('COMPLETED');

    const wrong = createTestEnvironment({ environment: server, env: { RIVYA_RATE_LIMIT_PER_MINUTE: 'many' } });
    await expect(wrong).rejects.toBeInstanceOf(SettingsError);
  } finally {
    await server.teardown();
  }
});
