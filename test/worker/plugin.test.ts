/**
 * Rivya beside somebody else's Worker. It is tested as it is built: the Workers load the bundle of the build.
 */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SimplePlugin } from '@temporalio/plugin';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { MemoryStore } from 'rivya-temporal/testing';
import { createRivyaWorkers, RivyaPlugin, SettingsError, type RivyaOptions } from 'rivya-temporal/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { GenerationResult } from '../../src/contract/index.js';
import { createRivyaWorkers as createFromSource } from '../../src/worker/index.js';
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

/** Names of task queues that nobody else uses: that of a user's Worker, and that of the Workers beside it. */
const queues = () => ({ taskQueue: `pipelines-${randomUUID()}`, rivya: `rivya-${randomUUID()}` });

/** Two steps of a user's Workflow. */
async function twoSteps(taskQueue: string, rivyaQueue: string): Promise<GenerationResult[]> {
  const input = (prompt: string) => ({ model: 'z-image', prompt, options: { taskQueue: rivyaQueue } });
  const args = [input(`${taskQueue} 1`), input(`${taskQueue} 2`)];
  return harness.temporal.workflow.execute('twoAtOnce', { workflowId: randomUUID(), taskQueue, args });
}

/** A Worker of a user, with their Workflows. */
const userWorker = (more: Pick<WorkerOptions, 'taskQueue'> & Partial<WorkerOptions>): Promise<Worker> =>
  Worker.create({ connection: harness.connection, namespace: harness.namespace, workflowBundle, ...more });

/** Each set of Workers looks up the models once when it starts. */
const setsSoFar = (): number =>
  harness.emulator.requests().filter((request) => request.path.endsWith('/models')).length;

describe("a user's Workflow runs generations, and the user's Worker stays as it is", () => {
  test('with the plugin', async () => {
    const { taskQueue, rivya } = queues();
    const plugins = [new RivyaPlugin({ ...options, taskQueue: rivya })];
    const worker = await userWorker({ taskQueue, activities: { mine: async () => 'mine' }, plugins });
    expect([...worker.options.activities.keys()]).toEqual(['mine']);
    const results = await worker.runUntil(twoSteps(taskQueue, rivya));
    expect(results).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
    expect(worker.getState()).toBe('STOPPED');
  });

  test('with a store of their own, which takes results, sidecars and receipts', async () => {
    const { taskQueue, rivya } = queues();
    const store = new MemoryStore();
    const trustedResultHosts = [new URL(harness.emulator.url).host];
    const plugins = [new RivyaPlugin({ ...options, taskQueue: rivya, store, trustedResultHosts })];
    const worker = await userWorker({ taskQueue, plugins });
    const [result] = await worker.runUntil(twoSteps(taskQueue, rivya));
    const [file] = result!.files;
    expect((await store.open(file!.uri))?.bytes).toBe(file!.bytes);
    expect(await store.read(file!.uri.replace('memory:', '').replace(/[.]\w+$/, '.json'))).toContain(result!.taskId);
    expect(await store.list('.rivya/receipts')).toHaveLength(1);
  });

  test('with createRivyaWorkers, which runs both queues, and stops', async () => {
    const { taskQueue, rivya } = queues();
    const { connection, namespace } = harness;
    const workers = await createRivyaWorkers({ ...options, connection, namespace, taskQueue: rivya });
    const running = workers.run();
    const worker = await userWorker({ taskQueue });
    expect(await worker.runUntil(twoSteps(taskQueue, rivya))).toHaveLength(2);
    workers.shutdown();
    await running;
  });

  test('with interceptors and sinks of theirs inside the sandbox', async () => {
    const { taskQueue, rivya } = queues();
    const seen = new Set<string>();
    const workflowModules = [fileURLToPath(new URL('interceptors.ts', import.meta.url))];
    const sinks = { seen: { workflow: { fn: (_: unknown, type: string) => void seen.add(type) } } };
    const plugins = [new RivyaPlugin({ ...options, taskQueue: rivya })];
    const worker = await userWorker({ taskQueue, plugins, sinks, interceptors: { workflowModules } });
    await worker.runUntil(twoSteps(taskQueue, rivya));
    // The account runs in the same Workers.
    expect([...seen].filter((type) => type !== 'rivyaAccount')).toEqual(['generateMedia']);
  });
});

describe('one set of Workers for a connection, a namespace and a task queue', () => {
  test('given to the connection and to two Workers, it runs once, until the last of them ends', async () => {
    const { rivya } = queues();
    const plugin = () => new RivyaPlugin({ ...options, taskQueue: rivya });
    const connection = await NativeConnection.connect({ address: harness.address, plugins: [plugin()] });
    const names = [queues().taskQueue, queues().taskQueue];
    const before = setsSoFar();
    const workers = await Promise.all(
      names.map((taskQueue) => userWorker({ connection, taskQueue, plugins: [plugin()] })),
    );
    const [first, second] = workers.map((worker) => worker.run());
    await Promise.all(names.map((taskQueue) => twoSteps(taskQueue, rivya)));
    expect(setsSoFar() - before).toBe(1);
    workers[0]!.shutdown();
    await first;
    expect(await twoSteps(names[1]!, rivya)).toHaveLength(2);
    workers[1]!.shutdown();
    await second;
    // It has ended, so the next Worker gets another.
    const { taskQueue } = queues();
    const later = await userWorker({ connection, taskQueue });
    expect(await later.runUntil(twoSteps(taskQueue, rivya))).toHaveLength(2);
    expect(setsSoFar() - before).toBe(2);
    await connection.close();
  });

  test('createRivyaWorkers twice is one set, which stops when both have shut it down', async () => {
    const { taskQueue, rivya } = queues();
    const { connection, namespace } = harness;
    const before = setsSoFar();
    const make = () => createRivyaWorkers({ ...options, connection, namespace, taskQueue: rivya });
    const [one, other] = [await make(), await make()];
    const runs = [one.run(), other.run()];
    one.shutdown();
    one.shutdown();
    await runs[0];
    const worker = await userWorker({ taskQueue });
    expect(await worker.runUntil(twoSteps(taskQueue, rivya))).toHaveLength(2);
    // One that is asked for while the set ends waits for the end.
    other.shutdown();
    const third = await make();
    third.shutdown();
    await Promise.all([...runs, third.run()]);
    await until(() => setsSoFar() > before + 1);
    expect(setsSoFar() - before).toBe(2);
  });

  test('two plugins with a task queue each are two sets, as for two accounts', async () => {
    const { taskQueue, rivya } = queues();
    const second = `${rivya}-2`;
    const plugins = [rivya, second].map((name) => new RivyaPlugin({ ...options, taskQueue: name }));
    const worker = await userWorker({ taskQueue, plugins });
    const both = Promise.all([twoSteps(taskQueue, rivya), twoSteps(taskQueue, second)]);
    expect((await worker.runUntil(both)).flat()).toHaveLength(4);
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

  test.each<[string, number, (ours: RivyaPlugin) => SimplePlugin[], (ours: RivyaPlugin) => SimplePlugin[]]>([
    ['of the Worker', 2, () => [], (ours) => [other(), ours, other()]],
    ['of the connection', 3, (ours) => [other(), ours, other()], () => [other()]],
  ])('each other plugin %s applies once, to all Workers', async (_, times, ofConnection, ofWorker) => {
    const { taskQueue, rivya } = queues();
    const ours = new RivyaPlugin({ ...options, taskQueue: rivya });
    const connection = await NativeConnection.connect({ address: harness.address, plugins: ofConnection(ours) });
    const worker = await userWorker({ connection, taskQueue, plugins: ofWorker(ours) });
    await worker.runUntil(until(() => Counting.seen.has(`${rivya}-api`)));
    for (const queue of [taskQueue, rivya, `${rivya}-api`]) expect(Counting.seen.get(queue)).toBe(times);
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

  test("the user's Worker on a queue of ours, with the plugin and without it", async () => {
    const { taskQueue } = queues();
    const refused = { name: 'SettingsError', message: expect.stringMatching(/^taskQueue: .*task queue of its own/) };
    const plugins = [new RivyaPlugin({ ...options, taskQueue })];
    for (const queue of [taskQueue, `${taskQueue}-api`]) {
      await expect(userWorker({ taskQueue: queue, plugins })).rejects.toMatchObject(refused);
    }
    const { connection, namespace } = harness;
    const worker = await userWorker({ taskQueue });
    const beside = worker.runUntil(createRivyaWorkers({ ...options, connection, namespace, taskQueue }));
    await expect(beside).rejects.toMatchObject(refused);
  });

  test.each<[string, RivyaOptions & { dataConverter?: object }]>([
    ['policy', { policy: { models: ['z-image'] } }],
    ['apiKey', { apiKey: 'rvya_sk_of_another_account' }],
    // From outside they look the same.
    ['store', { store: new MemoryStore() }],
    ['dataConverter', { dataConverter: { payloadCodecs: [] } }],
  ])('a second set with another %s on one task queue', async (name, another) => {
    const { rivya } = queues();
    const { connection, namespace } = harness;
    const ours: RivyaOptions = { ...options, store: new MemoryStore(), taskQueue: rivya, roles: ['api'] };
    const common = { ...ours, connection, namespace };
    const first = await createFromSource(common);
    const error = await createFromSource({ ...common, ...another }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'SettingsError', message: expect.stringContaining(`${name}: this process`) });
    expect(error).not.toMatchObject({ message: expect.stringContaining('rvya_sk') });
    first.shutdown();
    await first.run();
  });

  test.each(['workflowsPath', 'workflowBundle', 'activities'])('%s for createRivyaWorkers', async (name) => {
    const { connection, namespace } = harness;
    const made = createRivyaWorkers({ ...options, connection, namespace, [name]: {} });
    await expect(made).rejects.toThrow(new RegExp(`^${name}: .*Worker of yours`));
  });

  test('an option that there is none of: a policy that is misspelt would be no policy', () => {
    expect(() => new RivyaPlugin({ ...options, polcy: {} } as RivyaOptions)).toThrow(/polcy: no such option/);
  });
});

describe('what cannot work beside the Worker ends it too', () => {
  const running = async (ours: RivyaOptions, theirs: SimplePlugin[] = []): Promise<unknown> => {
    const { taskQueue, rivya } = queues();
    const worker = await userWorker({
      taskQueue,
      plugins: [new RivyaPlugin({ ...options, taskQueue: rivya, ...ours }), ...theirs],
    });
    return worker.run().catch((error: unknown) => error);
  };

  test('a store that cannot be written, also where another process calls the API', async () => {
    const file = path.join(harness.output, 'a file');
    await writeFile(file, '');
    expect(await running({ roles: ['workflows', 'results'], store: `file:${file}/below` })).toMatchObject({
      name: 'SettingsError',
      message: expect.stringContaining('RIVYA_STORE'),
    });
  });

  test.each(['rivyaStore', 'rivyaSubmit'])('a plugin with an Activity %s, which is one of ours', async (name) => {
    const theirs = new SimplePlugin({ name: 'theirs', activities: { [name]: async () => 'theirs' } });
    const ended = await running({}, [theirs]);
    expect(ended).toMatchObject({ name: 'SettingsError', message: expect.stringContaining(name) });
  });
});
