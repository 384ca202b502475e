/** Rivya in somebody else's Worker: what the plugin adds to it, and what it leaves alone. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SimplePlugin } from '@temporalio/plugin';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { GenerationResult } from '../../src/contract/index.js';
import { createRivyaWorkers, RivyaPlugin, SettingsError, type RivyaOptions } from '../../src/worker/index.js';
import { MemoryStore } from '../../src/testing/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

const workflowBundle = { codePath: inject('bundle') };

let harness: Harness;
let options: RivyaOptions;
beforeAll(async () => {
  harness = await startHarness({ workers: false });
  const { apiKey, url } = harness.emulator;
  // The result host is private here, so results stay links.
  options = { apiKey, baseUrl: url, rateLimitPerMinute: 60_000, store: null };
});
afterAll(() => harness[Symbol.asyncDispose]());

/** Two steps of a user's Workflow. */
async function twoSteps(taskQueue: string, rivyaQueue: string): Promise<GenerationResult[]> {
  const input = (prompt: string) => ({ model: 'z-image', prompt, options: { taskQueue: rivyaQueue } });
  const args = [input(`${taskQueue} 1`), input(`${taskQueue} 2`)];
  return harness.temporal.workflow.execute('twoAtOnce', { workflowId: randomUUID(), taskQueue, args });
}

/** Each Worker for the API looks up the models once when it starts. */
const apiWorkersSoFar = (): number =>
  harness.emulator.requests().filter((request) => request.path.endsWith('/models')).length;

describe.concurrent("a user's Workflow runs generations in the user's Worker", () => {
  test('with the plugin: its own Activities stay, and those for the API run on <queue>-api beside it', async () => {
    const taskQueue = `host-${randomUUID()}`;
    const plugins = [new RivyaPlugin(options)];
    const activities = { mine: async () => 'mine' };
    const { connection, namespace } = harness;
    const worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle, activities, plugins });
    expect([...worker.options.activities.keys()]).toEqual(['mine', 'rivyaStore', 'rivyaResult']);
    const results = await worker.runUntil(twoSteps(taskQueue, taskQueue));
    expect(results).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
    expect(worker.getState()).toBe('STOPPED');
  });

  test('with the plugin and a queue of another name: everything runs beside the Worker', async () => {
    const taskQueue = `host-${randomUUID()}`;
    const rivyaQueue = `rivya-${randomUUID()}`;
    const { connection, namespace } = harness;
    // From the build, which has our Workflows in a bundle of their own.
    const built = new URL('../../dist/src/worker/index.js', import.meta.url).href;
    const { RivyaPlugin: Built } = (await import(built)) as { readonly RivyaPlugin: typeof RivyaPlugin };
    const plugins = [new Built({ ...options, taskQueue: rivyaQueue })];
    const worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle, plugins });
    expect([...worker.options.activities.keys()]).toEqual([]);
    expect(await worker.runUntil(twoSteps(taskQueue, rivyaQueue))).toHaveLength(2);
  });

  test('with a store of their own, which takes results, sidecars and receipts', async () => {
    const taskQueue = `host-${randomUUID()}`;
    const store = new MemoryStore();
    const { connection, namespace } = harness;
    const trustedResultHosts = [new URL(harness.emulator.url).host];
    const plugins = [new RivyaPlugin({ ...options, store, trustedResultHosts })];
    const worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle, plugins });
    const [result] = await worker.runUntil(twoSteps(taskQueue, taskQueue));
    const [file] = result!.files;
    expect((await store.open(file!.uri))?.bytes).toBe(file!.bytes);
    expect(await store.read(file!.uri.replace('memory:', '').replace(/[.]\w+$/, '.json'))).toContain(result!.taskId);
    expect(await store.list('.rivya/receipts')).toHaveLength(1);
  });

  test('with createRivyaWorkers, which runs both queues, and stops', async () => {
    const taskQueue = `host-${randomUUID()}`;
    const { connection, namespace } = harness;
    const workers = await createRivyaWorkers({ ...options, connection, namespace, taskQueue, workflowBundle });
    const running = workers.run();
    expect(await twoSteps(taskQueue, taskQueue)).toHaveLength(2);
    workers.shutdown();
    await running;
  });
});

describe('given more than once it applies once', () => {
  test('to the connection and to the Worker, as one plugin or as two', async () => {
    const plugin = new RivyaPlugin(options);
    const { namespace } = harness;
    const connection = await NativeConnection.connect({ address: harness.address, plugins: [plugin] });
    for (const again of [plugin, new RivyaPlugin(options)]) {
      const taskQueue = `host-${randomUUID()}`;
      const before = apiWorkersSoFar();
      const worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle, plugins: [again] });
      await worker.runUntil(until(() => apiWorkersSoFar() > before));
      expect(apiWorkersSoFar() - before).toBe(1);
    }
    // And beside Workers that are ours already.
    const taskQueue = `host-${randomUUID()}`;
    const before = apiWorkersSoFar();
    const workers = await createRivyaWorkers({
      ...options,
      connection,
      namespace,
      taskQueue,
      workflowBundle,
      plugins: [plugin],
    });
    const running = workers.run();
    await until(() => apiWorkersSoFar() > before);
    workers.shutdown();
    await running;
    expect(apiWorkersSoFar() - before).toBe(1);
    await connection.close();
  });

  /** Adds one interceptor to a Worker, and notes how many it has then. */
  class Counting extends SimplePlugin {
    static readonly seen = new Map<string, number>();
    override configureWorker(worker: WorkerOptions): WorkerOptions {
      const activity = [...(worker.interceptors?.activity ?? []), () => ({})];
      Counting.seen.set(worker.taskQueue, activity.length);
      return { ...worker, interceptors: { ...worker.interceptors, activity } };
    }
  }
  const other = (): Counting => new Counting({ name: 'other' });
  const rivya = (): RivyaPlugin => new RivyaPlugin(options);

  test.each([
    ['of the Worker', 2, () => [], () => [other(), rivya(), other()]],
    ['of the Worker, between two of ours', 2, () => [], () => [rivya(), other(), rivya(), other()]],
    ['of the connection', 3, () => [other(), rivya(), other()], () => [other()]],
  ])('and so does each other plugin %s, to either Worker', async (_, times, ofConnection, ofWorker) => {
    const { address, namespace } = harness;
    const connection = await NativeConnection.connect({ address, plugins: ofConnection() });
    const taskQueue = `host-${randomUUID()}`;
    const worker = await Worker.create({ connection, namespace, taskQueue, workflowBundle, plugins: ofWorker() });
    await worker.runUntil(until(() => Counting.seen.has(`${taskQueue}-api`)));
    expect(Counting.seen.get(taskQueue)).toBe(times);
    expect(Counting.seen.get(`${taskQueue}-api`)).toBe(times);
    await connection.close();
  });
});

describe('what cannot work is refused at start, by name', () => {
  test.each<[string, RivyaOptions]>([
    ['baseUrl', { baseUrl: 'http://example.com' }],
    ['apiKey', { apiKey: 'with space' }],
    ['apiKey', { apiKey: '' }],
    ['keyFile', { keyFile: '/does/not/exist' }],
    ['rateLimitPerMinute', { rateLimitPerMinute: 0 }],
    ['store', { store: 'ftp://host' }],
    ['taskQueue', { taskQueue: ' ' }],
    ['roles', { roles: [] }],
    ['s3Endpoint', { s3Endpoint: 'minio.local' }],
    ['trustedResultHosts', { trustedResultHosts: ['http://host/path'] }],
    ['trustedResultHosts', { trustedResultHosts: [''] }],
    ['maxResultBytes', { maxResultBytes: 0 }],
    ['sidecarPrompts', { sidecarPrompts: 'none' as never }],
    ['referenceRoots', { referenceRoots: ['relative'] }],
    ['referenceRoots', { referenceRoots: ['/data/a,b'] }],
    ['policy', { policy: { models: 'all' } as never }],
    ['policy', { policy: { maxCredits: 1 } as never }],
    ['RIVYA_API_KEY', {}],
  ])('%s of %j', (name, wrong) => {
    const key = 'apiKey' in wrong || 'keyFile' in wrong || name === 'RIVYA_API_KEY' ? {} : { apiKey: 'rvya_sk_a' };
    expect(() => new RivyaPlugin({ ...key, ...wrong })).toThrow(SettingsError);
    expect(() => new RivyaPlugin({ ...key, ...wrong })).toThrow(name);
  });

  test.each<[string, RivyaOptions, RivyaOptions]>([
    ['taskQueue', { taskQueue: 'media' }, { taskQueue: 'video' }],
    ['policy', {}, { policy: { models: ['z-image'] } }],
    ['apiKey', {}, { apiKey: 'rvya_sk_of_another_account' }],
    // From outside they look the same.
    ['store', { store: new MemoryStore() }, { store: new MemoryStore() }],
  ])('a second plugin with another %s: one of them would do nothing', async (name, one, another) => {
    const { address, namespace } = harness;
    const [first, second] = [new RivyaPlugin({ ...options, ...one }), new RivyaPlugin({ ...options, ...another })];
    const places = [
      { ofConnection: [], ofWorker: [first, second] },
      { ofConnection: [first], ofWorker: [second] },
      { ofConnection: [first, second], ofWorker: [] },
    ];
    for (const { ofConnection, ofWorker } of places) {
      const connection = await NativeConnection.connect({ address, plugins: ofConnection });
      const taskQueue = `host-${randomUUID()}`;
      const created = Worker.create({ connection, namespace, taskQueue, workflowBundle, plugins: ofWorker });
      const error = await created.catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: 'SettingsError', message: expect.stringContaining(`options (${name})`) });
      expect(error).toMatchObject({ message: expect.stringMatching(/A Worker takes one.*createRivyaWorkers/) });
      expect(error).not.toMatchObject({ message: expect.stringContaining('rvya_sk') });
      await connection.close();
    }
  });

  test('two plugins of one object that was changed in between', () => {
    const shared = { ...options, taskQueue: 'media' };
    const first = new RivyaPlugin(shared);
    shared.taskQueue = 'video';
    const plugins = [first, new RivyaPlugin(shared)];
    const configured = () =>
      first.configureWorker({ connection: { plugins: [] } as never, taskQueue: 'queue', plugins });
    expect(configured).toThrow(/taskQueue.*A Worker takes one/);
  });

  test('an Activity of one of our names, from the user or from a plugin that comes later', async () => {
    const { connection, namespace } = harness;
    const mine = { rivyaStore: async () => 'mine' };
    const plugin = new RivyaPlugin(options);
    const common = { connection, namespace, taskQueue: `host-${randomUUID()}`, workflowBundle };
    const refused = expect.objectContaining({ name: 'SettingsError', message: expect.stringContaining('rivyaStore') });
    await expect(Worker.create({ ...common, activities: mine, plugins: [plugin] })).rejects.toEqual(refused);
    await expect(createRivyaWorkers({ ...common, ...options, activities: mine })).rejects.toEqual(refused);
    // The SDK spreads the activities of a plugin over all others without a word.
    const later = new SimplePlugin({ name: 'later', activities: mine });
    const own = await NativeConnection.connect({ address: harness.address });
    const worker = await Worker.create({ ...common, connection: own, plugins: [plugin, later] });
    await expect(worker.run()).rejects.toEqual(refused);
  });
});

describe('what cannot work beside the Worker ends it too', () => {
  const running = async (plugins: SimplePlugin[]): Promise<unknown> => {
    const { namespace, address } = harness;
    const connection = await NativeConnection.connect({ address });
    const worker = await Worker.create({
      connection,
      namespace,
      taskQueue: `host-${randomUUID()}`,
      workflowBundle,
      plugins,
    });
    return worker.run().then(
      () => 'it ran',
      (error: unknown) => error,
    );
  };

  test('a store that cannot be written, also where another process calls the API', async () => {
    const file = path.join(harness.output, 'a file');
    await writeFile(file, '');
    const plugin = new RivyaPlugin({ ...options, roles: ['workflows', 'results'], store: `file:${file}/below` });
    expect(await running([plugin])).toMatchObject({
      name: 'SettingsError',
      message: expect.stringContaining('RIVYA_STORE'),
    });
  });

  test('an Activity of one of our names on <queue>-api, from a plugin', async () => {
    const theirs = new SimplePlugin({ name: 'theirs', activities: { rivyaSubmit: async () => 'theirs' } });
    const ended = await running([new RivyaPlugin(options), theirs]);
    expect(ended).toMatchObject({ name: 'SettingsError', message: expect.stringContaining('rivyaSubmit') });
  });

  test('an option that there is none of: a policy that is misspelt would be no policy', () => {
    expect(() => new RivyaPlugin({ ...options, polcy: {} } as RivyaOptions)).toThrow(/polcy: no such option/);
  });
});

describe('workflowsPath', () => {
  const plugin = new RivyaPlugin({ apiKey: 'rvya_sk_a' });
  const configured = (more: Partial<WorkerOptions>): WorkerOptions =>
    plugin.configureWorker({ connection: { plugins: [] } as never, taskQueue: 'queue', plugins: [plugin], ...more });

  test('is ours only where the user brings no Workflows', () => {
    expect(configured({}).workflowsPath).toMatch(/workflows\/index\.js$/);
    expect(configured({ workflowsPath: '/mine.js' }).workflowsPath).toBe('/mine.js');
    expect(configured({ workflowBundle: { code: 'mine' } })).not.toHaveProperty('workflowsPath');
    expect(plugin.configureReplayWorker({ workflowsPath: '/mine.js' }).workflowsPath).toBe('/mine.js');
    expect(plugin.configureReplayWorker({}).workflowsPath).toMatch(/workflows\/index\.js$/);
  });
});
