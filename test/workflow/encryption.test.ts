/**
 * Payloads encrypted by the settings: the Service keeps no prompt, every command still reads what it needs, and a key that is
 * gone stops generations without paying for anything. The judge is the raw history, and the ledger of the emulator.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import { encryptedDataConverter } from '../../src/codec/converter.js';
import { readSettings } from '../../src/config.js';
import type { Fault } from '../../src/emulator/index.js';
import { createRivyaWorkers, RivyaPlugin } from '../../src/worker/index.js';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { runCommand, type Finished } from '../cli/command.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const [K1, K2] = ['k1', 'k2'].map((id) => `${id}:${randomBytes(32).toString('base64')}`) as [string, string];
const SECRET = 'secret fox';

/** A namespace, Workers and a client by these keys, and the commands with them. */
class Encrypted implements AsyncDisposable {
  readonly harness: Harness;
  readonly #running: RunningWorkers[] = [];
  private constructor(harness: Harness) {
    this.harness = harness;
  }

  static async start(faults: Fault[] = [], attributes = true): Promise<Encrypted> {
    const emulator = { durations: { image: 800 }, faults };
    return new Encrypted(await startHarness({ emulator, workers: false, attributes }));
  }

  async work(keys: string, roles?: string): Promise<RunningWorkers> {
    const { settings, connection, namespace } = this.harness;
    const { encryption, roles: some } = readSettings({
      RIVYA_ENCRYPTION_KEYS: keys,
      ...(roles !== undefined && { RIVYA_WORKER_ROLES: roles }),
    });
    const place = { connection, namespace, account: false };
    const running = await startWorkers({ ...settings, encryption, roles: some }, place);
    this.#running.push(running);
    return running;
  }

  client(keys: string): Client {
    const { connection, options } = this.harness.temporal;
    const dataConverter = encryptedDataConverter({ RIVYA_ENCRYPTION_KEYS: keys });
    return new Client({ connection, namespace: options.namespace, dataConverter });
  }

  generations(keys: string): GenerationClient {
    return new GenerationClient(this.client(keys), { taskQueue: this.harness.taskQueue });
  }

  readonly cwd = mkdtempSync(path.join(tmpdir(), 'rivya-encryption-'));
  cli(keys: string | null, ...args: string[]): Promise<Finished> {
    const { temporalEnv, emulator, output, taskQueue } = this.harness;
    const env = {
      ...temporalEnv,
      XDG_DATA_HOME: this.cwd,
      RIVYA_BASE_URL: emulator.url,
      RIVYA_API_KEY: emulator.apiKey,
      RIVYA_STORE: `file:${output}`,
      RIVYA_TASK_QUEUE: taskQueue,
      ...(keys !== null && { RIVYA_ENCRYPTION_KEYS: keys }),
    };
    return runCommand(args, { cwd: this.cwd, env });
  }

  /** All that the Service keeps of a Workflow, as somebody without a key reads it: also what is in Base64. */
  async kept(workflowId: string): Promise<string> {
    const { workflow, workflowService, options } = this.harness.temporal;
    const [namespace, execution] = [options.namespace, { workflowId }];
    const described = await workflowService.describeWorkflowExecution({ namespace, execution });
    const history = await workflow.getHandle(workflowId).fetchHistory();
    const all = JSON.stringify([history, described], (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    const texts = [...all.matchAll(/[A-Za-z0-9+/]{16,}={0,2}/g)].map(([found]) => Buffer.from(found, 'base64'));
    return all + texts.map((bytes) => bytes.toString('latin1')).join();
  }

  async tasksOf(prompt: string): Promise<string[]> {
    const { tasks } = await this.harness.emulator.ledger();
    return Object.keys(tasks).filter((id) => tasks[id]!.prompt === prompt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((workers) => workers.stop()));
    await this.harness[Symbol.asyncDispose]();
  }
}

describe('with keys in the settings', () => {
  let encrypted: Encrypted;
  beforeAll(async () => {
    encrypted = await Encrypted.start([
      { on: 'create', prompt: `${SECRET} fails`, do: { kind: 'fail' } },
      { on: 'create', prompt: `${SECRET} refused`, do: { kind: 'error', code: 'validation_failed', message: SECRET } },
      { on: 'create', prompt: `${SECRET} held`, times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
      { on: 'create', prompt: `${SECRET} bulk`, times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
    ]);
    await encrypted.work(K1);
  });
  afterAll(() => encrypted[Symbol.asyncDispose]());

  const start = (workflowId: string, prompt: string) =>
    encrypted.generations(K1).start({ model: 'z-image', prompt, labels: { team: 'secret team' } }, { workflowId });
  const secrets = ['secret', 'task_', 'http://', 'https://', 'did not succeed'];
  /** What stays in the clear of these: search attributes hold the task ID, and the UI finds generations by it. */
  const expectSecret = async (workflowId: string, others: readonly string[] = []): Promise<void> => {
    const kept = await encrypted.kept(workflowId);
    expect(kept).toContain('binary/encrypted');
    const clear = secrets.filter((secret) => !others.includes(secret) && kept.includes(secret));
    expect(clear, workflowId).toEqual([]);
  };

  test('no prompt, label, link or message is in the history of a generation, whether it succeeds, fails or is refused', async () => {
    const done = await start('done', SECRET);
    const { taskId, files } = await done.result();
    expect(files[0]!.uri).toContain('file:');
    await expect((await start('fails', `${SECRET} fails`)).result()).rejects.toThrow('task_');
    await expect((await start('refused', `${SECRET} refused`)).result()).rejects.toThrow(/validation_failed|secret/);
    for (const id of ['done', 'fails', 'refused']) await expectSecret(id, ['task_']);
    const kept = await encrypted.kept('done');
    // The attribute, and nothing else.
    expect(kept.split(taskId).length - 1).toBeGreaterThan(0);

    await resetToStart(encrypted.client(K1), 'done');
    expect(await done.result()).toMatchObject({ taskId, reused: true });
    const other = start('done', 'another');
    await expect(other.then((handle) => handle.result())).rejects.toMatchObject({ code: 'InputChanged' });
    expect(await encrypted.tasksOf(SECRET)).toEqual([taskId]);
  });

  test('commands with the keys read, steer and release; without them they say that the key is missing', async () => {
    const held = await start('held', `${SECRET} held`);
    const bulk = await start('bulk', `${SECRET} bulk`);
    for (const handle of [held, bulk]) await until(async () => (await handle.state())?.phase === 'held');
    const status = await encrypted.cli(K1, 'status', 'held', '--json');
    expect(JSON.parse(status.stdout)).toMatchObject({ hold: { code: 'insufficient_credits' } });
    const list = await encrypted.cli(K1, 'list', '--status', 'held', '--json');
    expect(list.stdout).toContain('"held"');

    const blind = await encrypted.cli(null, 'status', 'held');
    expect(blind.stderr + blind.stdout).toContain('encrypted with the key "k1", which is not there');
    expect(blind.status).not.toBe(0);

    const resumed = await encrypted.cli(K1, 'resume', 'held');
    expect(resumed.status, resumed.stderr).toBe(0);
    const query = "WorkflowId = 'bulk'";
    const released = await encrypted.cli(K1, 'resume', '--query', query, '--yes');
    expect(released.stdout).toBe('1 resumed, 0 left.\n');
    for (const handle of [held, bulk]) await handle.result();
    const waited = await encrypted.cli(K1, 'wait', 'held', '--json');
    expect(JSON.parse(waited.stdout)).toMatchObject({ status: 'succeeded', workflowId: 'held' });
    for (const id of ['held', 'bulk']) await expectSecret(id, ['task_']);
    expect(await encrypted.tasksOf(`${SECRET} bulk`)).toHaveLength(1);

    const charges = await encrypted.cli(K1, 'charges', '--from', 'temporal', '--json');
    expect(charges.stdout).toContain((await encrypted.tasksOf(`${SECRET} held`))[0]);
    const unread = await encrypted.cli(null, 'charges', '--from', 'temporal', '--json');
    expect(unread.status).toBe(5);
  });

  test('a cut-off run is found and waited for again', async () => {
    encrypted.harness.emulator.setFaults([
      { on: 'status', prompt: `${SECRET} cut`, do: { kind: 'status', status: 'processing' } },
    ]);
    const handle = await start('cut', `${SECRET} cut`);
    await until(async () => (await handle.state())?.taskId != null);
    await encrypted.harness.temporal.workflow.getHandle('cut').terminate();
    encrypted.harness.emulator.setFaults([]);
    await until(async () => (await encrypted.cli(K1, 'recover')).stdout.includes('cut'));
    const recovered = await encrypted.cli(K1, 'recover', '--yes', '--json');
    expect(recovered.stdout).toContain('cut');
    expect(await encrypted.tasksOf(`${SECRET} cut`)).toHaveLength(1);
  });

  test('a batch runs, is asked and steered; neither it nor its items name a prompt', async () => {
    const names = ['one', 'two', 'three'].map((name) => `${SECRET} ${name}`);
    const rows = names.map((name) => `z-image,${name}`);
    writeFileSync(path.join(encrypted.cwd, 'in.csv'), ['model,prompt', ...rows, ''].join('\n'));
    const run = await encrypted.cli(K1, 'batch', 'run', 'in.csv', '--yes');
    expect(run.status, run.stderr).toBe(0);
    const status = await encrypted.cli(K1, 'batch', 'status', 'in', '--json');
    expect(JSON.parse(status.stdout)).toMatchObject({ phase: 'done', done: 3 });
    for (const name of names) expect(await encrypted.tasksOf(name)).toHaveLength(1);
    await expectSecret('in', ['task_']);
    const temporal = encrypted.client(K1);
    const items: string[] = [];
    for await (const { workflowId } of temporal.workflow.list({ query: "WorkflowId STARTS_WITH 'in/'" })) {
      items.push(workflowId);
    }
    expect(items).toHaveLength(3);
    // An item is named by its prompt unless the file has IDs.
    for (const id of items) {
      const kept = (await encrypted.kept(id)).replaceAll(/secret-fox-\w+/g, '');
      expect(kept).not.toMatch(/secret/);
    }
  });

  test('the longest summaries still fit', async () => {
    const prompt = '🦊'.repeat(100);
    const workflowId = 'f'.repeat(200);
    expect(await (await start(workflowId, prompt)).result()).toMatchObject({ status: 'succeeded' });
    writeFileSync(path.join(encrypted.cwd, 'long.csv'), 'model,prompt\nz-image,long\n');
    const run = await encrypted.cli(K1, 'batch', 'run', 'long.csv', '--id', 'b'.repeat(100), '--yes');
    expect(run.status, run.stderr).toBe(0);
  });

  test('a Worker of yours needs the same keys, or is refused at start', async () => {
    const { connection, namespace } = encrypted.harness;
    process.env['RIVYA_ENCRYPTION_KEYS'] = K1;
    try {
      const ours = { apiKey: 'x', taskQueue: 'other' };
      const plugins = [new RivyaPlugin(ours)];
      const worker = Worker.create({
        connection,
        namespace,
        taskQueue: 'mine',
        activities: { a: async () => 1 },
        plugins,
      });
      await expect(worker).rejects.toThrow(/^RIVYA_ENCRYPTION_KEYS: your Worker has no dataConverter/);
      const workers = createRivyaWorkers({ ...ours, connection, namespace, dataConverter: { payloadCodecs: [] } });
      await expect(workers).rejects.toThrow(/^RIVYA_ENCRYPTION_KEYS: the dataConverter of your Worker/);
    } finally {
      delete process.env['RIVYA_ENCRYPTION_KEYS'];
    }
  });
});

describe.concurrent('a key that is gone', () => {
  test('stops a generation that runs, is named in its history, and costs nothing; it goes on when the key is back', async () => {
    await using encrypted = await Encrypted.start([
      { on: 'create', prompt: SECRET, times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
    ]);
    const first = await encrypted.work(K1);
    const handle = await encrypted.generations(K1).start({ model: 'z-image', prompt: SECRET }, { workflowId: 'gone' });
    await until(async () => (await handle.state())?.phase === 'held');
    await first.stop();

    const without = await encrypted.work(K2);
    await encrypted.harness.temporal.workflow.getHandle('gone').signal('resume');
    const failed = async (): Promise<string> => {
      const { events } = await encrypted.harness.temporal.workflow.getHandle('gone').fetchHistory();
      return (events ?? []).map((event) => event.workflowTaskFailedEventAttributes?.failure?.message ?? '').join('');
    };
    await until(async () => (await failed()) !== '');
    expect(await failed()).toMatch(/key "k1", which is not there \(the keys here: "k2"\)\. Nothing is submitted, paid/);
    const status = await encrypted.cli(K1, 'status', 'gone');
    expect(status.stdout + status.stderr).toMatch(
      /its Workflow Tasks fail \(attempt \d+\): .*key "k1", which is not there/,
    );
    expect(await encrypted.tasksOf(SECRET)).toEqual([]);
    await without.stop();

    await encrypted.work(`${K2},${K1}`);
    const { taskId } = await encrypted.generations(`${K2},${K1}`).handle('gone').result();
    expect(await encrypted.tasksOf(SECRET)).toEqual([taskId]);
    const kept = await encrypted.kept('gone');
    expect(kept).toContain('k2');
    expect(kept).not.toContain(SECRET);
  });

  test('at the Worker that calls the API alone, is named by status; the generation goes on when the key is back', async () => {
    await using encrypted = await Encrypted.start();
    await encrypted.work(`${K2},${K1}`, 'workflows,results');
    const without = await encrypted.work(K1, 'api');
    const generations = encrypted.generations(`${K2},${K1}`);
    const handle = await generations.start({ model: 'z-image', prompt: SECRET }, { workflowId: 'api' });
    await until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.lastFailure != null);
    const [call] = (await handle.describe()).raw.pendingActivities!;
    expect(call!.lastFailure!.message).toContain('key "k2", which is not there');
    const status = await encrypted.cli(`${K2},${K1}`, 'status', 'api');
    expect(status.stdout + status.stderr).toContain('key "k2", which is not there');
    expect(await encrypted.tasksOf(SECRET)).toEqual([]);
    await without.stop();
    await encrypted.work(`${K1},${K2}`, 'api');
    const { taskId } = await handle.result();
    expect(await encrypted.tasksOf(SECRET)).toEqual([taskId]);
  });

  test('of a Worker without any keys, is named too', async () => {
    await using encrypted = await Encrypted.start();
    const { harness } = encrypted;
    const plain = await startWorkers(harness.settings, {
      connection: harness.connection,
      namespace: harness.namespace,
    });
    const handle = await encrypted.generations(K1).start({ model: 'z-image', prompt: SECRET }, { workflowId: 'none' });
    await until(async () => (await encrypted.kept('none')).includes('which is not there (the keys here: none)'));
    expect(await encrypted.tasksOf(SECRET)).toEqual([]);
    await plain.stop();
    await encrypted.work(K1);
    const { taskId } = await handle.result();
    expect(await encrypted.tasksOf(SECRET)).toEqual([taskId]);
  });
});

test('generations that began in the clear go on when keys are set, and what they write from then on is encrypted', async () => {
  await using encrypted = await Encrypted.start([
    { on: 'create', prompt: SECRET, times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
  ]);
  const { harness } = encrypted;
  const plain = await startWorkers(harness.settings, { connection: harness.connection, namespace: harness.namespace });
  const handle = await harness.client.start({ model: 'z-image', prompt: SECRET }, { workflowId: 'before' });
  await until(async () => (await handle.state())?.phase === 'held');
  await plain.stop();
  await encrypted.work(K1);
  const same = encrypted.generations(K1).handle('before');
  await same.resume();
  const { taskId } = await same.result();
  expect(await encrypted.tasksOf(SECRET)).toEqual([taskId]);
  expect(await encrypted.kept('before')).toContain('binary/encrypted');
});
