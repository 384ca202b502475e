/** The environment that users test their own Workflows in. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { createTestEnvironment, fakeActivities } from 'rivya-temporal/testing';
import { startDevServer } from '../../src/temporal/embedded/server.js';
import { CommandRun } from '../cli/command.js';
import { createTimeSkipping } from '../support/time-skipping.js';

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
const workflowBundle = { codePath: inject('bundle') };
const input = { model: 'veo3-1-lite', prompt: 'A fox' };

test('by itself it starts a server, outlives a stop of its Workers, and leaves nothing behind', async () => {
  const env = await createTestEnvironment({ emulator: { durations: { video: 3_000 } } });
  const handle = await env.generations.start(input, { workflowId: 'fox' });
  await expect.poll(async () => (await env.emulator.ledger()).paidTasks, { timeout: 180_000 }).toBe(1);
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
      emulator: { durations: { video: 3_600_000 } },
    });
    expect(env.env).toMatchObject({ TEMPORAL_ADDRESS: server.address, TEMPORAL_NAMESPACE: 'default' });
    const handle = await env.generations.start(input, { workflowId: 'fox' });
    expect((await handle.result()).statusChecks).toBeGreaterThan(10);
    await env.dispose();
    expect((await server.client.workflow.getHandle('fox').describe()).status.name).toBe('COMPLETED');

    const wrong = createTestEnvironment({ environment: server, env: { RIVYA_RATE_LIMIT_PER_MINUTE: 'many' } });
    await expect(wrong).rejects.toMatchObject({ name: 'SettingsError' });
  } finally {
    await server.teardown();
  }
});

describe('nobody else sees what a test starts', () => {
  afterEach(() => void vi.unstubAllEnvs());
  const urls = ['https://cdn.example/fox.png'];

  /** A Worker of somebody else. Tells which Activities it was given. */
  async function stranger(
    connection: NativeConnection,
    namespace: string,
    taskQueue: string,
  ): Promise<{ readonly seen: readonly string[]; stop(): Promise<void> }> {
    const seen: string[] = [];
    const activities = { default: async () => void seen.push('Activity') };
    const options = { connection, namespace, activities, identity: 'stranger' };
    const workers = [
      await Worker.create({ ...options, taskQueue, workflowBundle }),
      await Worker.create({ ...options, taskQueue: `${taskQueue}-api` }),
    ];
    const runs = workers.map((worker) => worker.run());
    const stop = async (): Promise<void> => {
      for (const worker of workers) worker.shutdown();
      await Promise.all(runs);
    };
    return { seen, stop };
  }

  test('with TEMPORAL_ADDRESS set, a Worker that polls `rivya` in the default namespace there never sees it', async () => {
    const server = await startDevServer({ log: () => undefined, ui: false, port: 0 });
    const connection = await NativeConnection.connect({ address: server.address });
    const other = await stranger(connection, 'default', 'rivya');
    vi.stubEnv('TEMPORAL_ADDRESS', server.address);
    vi.stubEnv('TEMPORAL_NAMESPACE', 'default');
    // Two at a time on one server, with one queue and one Workflow ID, do not meet either.
    const outcomes = [urls, ['https://cdn.example/other.png']];
    const results = outcomes.map(async (links) => {
      await using env = await createTestEnvironment({ fake: fakeActivities({ '*': { urls: links } }) });
      const handle = await env.generations.start(input, { workflowId: 'fox' });
      return (await handle.result()).urls;
    });
    expect(await Promise.all(results)).toEqual(outcomes);
    const client = new Client({ connection });
    expect((await client.workflowService.listWorkflowExecutions({ namespace: 'default' })).executions).toEqual([]);
    expect(other.seen).toEqual([]);
    await other.stop();
    await connection.close();
    await server.stop();
  });

  test.each([
    ['that somebody polls', 'films', 'films'],
    ['beside one for steps without a queue of their own that somebody polls', 'films', 'rivya'],
  ])('an environment on a queue %s is refused', async (_, taskQueue, polled) => {
    const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
    const namespace = await ownNamespace(connection);
    const environment = { client: new Client({ connection, namespace }), nativeConnection: connection };
    const fake = fakeActivities({ '*': { urls } });
    // Another test is no stranger, also where the Service still lists its Workers.
    for (const workflowId of ['first', 'second']) {
      await using env = await createTestEnvironment({ environment, rivyaTaskQueue: taskQueue, fake });
      const handle = await env.generations.start(input, { workflowId });
      expect((await handle.result()).urls).toEqual(urls);
    }
    const other = await stranger(connection, namespace, polled);
    const refused = (): Promise<Error | null> =>
      createTestEnvironment({ environment, rivyaTaskQueue: taskQueue, fake }).then(
        (env) => env.dispose().then(() => null),
        (error: Error) => error,
      );
    // The Service knows of a Worker from its first poll on.
    await expect.poll(refused, { timeout: 180_000 }).toMatchObject({ name: 'SettingsError' });
    expect((await refused())?.message).toMatch(
      new RegExp(
        `Worker stranger polls the task queue ${polled}(-api)? in the namespace ${namespace}.*Nothing was started`,
      ),
    );
    expect(other.seen).toEqual([]);
    await other.stop();
    await connection.close();
  });

  test('a server without namespaces of one’s own is refused, and the error says what to do', async () => {
    const server = await createTimeSkipping();
    vi.stubEnv('TEMPORAL_ADDRESS', server.address);
    const refused = createTestEnvironment();
    await expect(refused).rejects.toThrow(/does not give it one .*Pass `environment`/);
    await expect(refused).rejects.toMatchObject({ name: 'SettingsError' });
    await server.teardown();
  });
});

describe('the settings for a Worker process of your own', () => {
  afterEach(() => void vi.unstubAllEnvs());

  test('lead it to the server of the environment, and its work is done there', async () => {
    const env = await createTestEnvironment({ workers: false });
    // It inherits nothing that names a server.
    const worker = new CommandRun(['worker'], { cwd: env.output, env: env.env });
    const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox' }, { workflowId: 'fox' });
    // A Worker that ends has found no server, and nobody does the work.
    const ended = worker.status.then((status) => `ended with ${status}: ${worker.stderr}`);
    expect(await Promise.race([handle.result(), ended])).toMatchObject({ status: 'succeeded' });
    expect((await env.emulator.ledger()).paidTasks).toBe(1);
    worker.child.kill('SIGTERM');
    await ended;
    await env.dispose();
  });

  const address = inject('temporalAddress');
  /** Those of an environment in which nothing runs. */
  async function settings(options: Parameters<typeof createTestEnvironment>[0]): Promise<NodeJS.ProcessEnv> {
    const env = await createTestEnvironment({ ...options, fake: undefined, workers: false });
    await env.dispose();
    return env.env;
  }

  test('name the server of Temporal’s own settings, and a namespace of the environment alone', async () => {
    vi.stubEnv('TEMPORAL_ADDRESS', address);
    vi.stubEnv('TEMPORAL_NAMESPACE', 'default');
    const TEMPORAL_NAMESPACE: unknown = expect.stringMatching(/^rivya-test-/);
    expect(await settings({})).toMatchObject({ TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE });
  });

  test('name the server and the namespace of a client, unless you do', async () => {
    const connection = await Connection.connect({ address });
    const nativeConnection = await NativeConnection.connect({ address });
    const environment = { client: new Client({ connection, namespace: 'films' }), nativeConnection };
    expect(await settings({ environment })).toMatchObject({ TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'films' });
    const other = { TEMPORAL_ADDRESS: 'proxy:7233', TEMPORAL_NAMESPACE: 'other' };
    expect(await settings({ environment, env: other })).toMatchObject(other);
    expect(
      await settings({ environment: { ...environment, address: 'proxy:7233', namespace: 'other' } }),
    ).toMatchObject(other);
    await Promise.all([connection.close(), nativeConnection.close()]);
  });

  test('name no server where the connection tells none: a wrong one would be worse', async () => {
    const nativeConnection = await NativeConnection.connect({ address });
    const client = new Client({ connection: nativeConnection });
    const env = await settings({ environment: { client, nativeConnection } });
    expect(env).not.toHaveProperty('TEMPORAL_ADDRESS');
    expect(env).toMatchObject({ TEMPORAL_NAMESPACE: 'default' });
    await nativeConnection.close();
  });
});

async function ownNamespace({ workflowService }: NativeConnection): Promise<string> {
  const namespace = `test-${randomUUID()}`;
  const workflowExecutionRetentionPeriod = { seconds: 86_400 as never };
  await workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  return namespace;
}
