/** P2: what ended here goes on at Rivya, and `recover` waits for it again without a POST. The judge is the ledger. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { Receipts } from '../../src/storage/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';
import { memo } from './memo.js';

// A codec that the command line does not have.
const FOREIGN = new TextEncoder().encode('binary/foreign');
const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-recover-'));
let harness: Harness;
const tasks = new Map<string, string>();

interface Row {
  readonly workflowId: string;
  readonly outcome: string;
  readonly taskId: string | null;
}
interface Report {
  readonly dryRun: boolean;
  readonly generations: readonly Row[];
}

/** Each ID is its prompt too, so that faults and the ledger can name it. */
function inputOf(workflowId: string, more: Partial<GenerateMediaInput> = {}): GenerateMediaInput {
  return { model: 'z-image', prompt: workflowId, ...more };
}
const INPUTS = {
  terminated: inputOf('terminated', { labels: { shop: 'fox' }, options: { maxAttempts: 2 } }),
  'timed out': inputOf('timed out'),
  cancelled: inputOf('cancelled', { idempotencyKey: 'my-own-key' }),
  'too slow': inputOf('too slow', { options: { deadline: '1s' } }),
  'own/second': inputOf('own/second'),
};
const RECOVERED = Object.keys(INPUTS);
// Whoever was terminated before it read an answer cannot say that there was none.
const UNANSWERED = ['busy', 'cancelled while unanswered', 'terminated while posting'] as const;

beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      faults: [
        { on: 'create', prompt: 'cancelled while unanswered', do: { kind: 'dropAfter' } },
        { on: 'create', prompt: 'terminated while posting', do: { kind: 'delayAfter', ms: 5_000 } },
        { on: 'create', prompt: 'busy', do: { kind: 'error', code: 'rate_limited', retryAfter: '60' } },
        { on: 'create', prompt: 'failed', do: { kind: 'fail' } },
        { on: 'create', prompt: 'runs again', do: { kind: 'stuck' } },
        { on: 'create', prompt: 'was reset', do: { kind: 'stuck' } },
        // Their tasks go on until the faults are taken away.
        ...RECOVERED.map((prompt) => ({ on: 'status', prompt, do: { kind: 'status', status: 'processing' } }) as const),
      ],
    },
  });
  await Promise.all([
    (async () => {
      await startAndSeeTask('terminated', INPUTS.terminated);
      await terminate('terminated');
    })(),
    timeOut(),
    (async () => {
      await startAndSeeTask('cancelled', INPUTS.cancelled);
      await harness.client.handle('cancelled').cancel();
    })(),
    startAndSeeTask('too slow', INPUTS['too slow']),
    (async () => {
      const handle = await harness.client.start(inputOf(UNANSWERED[1]), { workflowId: UNANSWERED[1] });
      await until(() => postsOf(UNANSWERED[1]) > 0);
      await handle.cancel();
    })(),
    (async () => {
      await harness.client.start(inputOf(UNANSWERED[2]), { workflowId: UNANSWERED[2] });
      await until(() => postsOf(UNANSWERED[2]) > 0);
      await terminate(UNANSWERED[2]);
    })(),
    (async () => {
      const handle = await harness.client.start(inputOf('busy'), { workflowId: 'busy' });
      await until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.lastFailure != null);
      await terminate('busy');
    })(),
    ownWorkflow(),
    startAndSeeTask('done', inputOf('done')),
    startAndSeeTask('failed', inputOf('failed')),
    (async () => {
      await startAndSeeTask('runs again', inputOf('runs again'));
      await terminate('runs again');
      await startAndSeeTask('runs again', inputOf('runs again'));
    })(),
    (async () => {
      await startAndSeeTask('was reset', inputOf('was reset'));
      await resetToStart(harness.temporal, 'was reset');
    })(),
    harness.temporal.workflow.start('generateMedia', {
      workflowId: 'refused',
      taskQueue: harness.taskQueue,
      args: [{ model: 'z-image' }],
    }),
  ]);
  // The list trails what has happened.
  const ended = "ExecutionStatus != 'Running' AND ExecutionStatus != 'Completed' AND ExecutionStatus != 'TimedOut'";
  await until(async () => (await listed(ended)) === 12);
  await until(async () => (await listed("ExecutionStatus = 'TimedOut'")) > 0);
  await until(async () => (await listed("ExecutionStatus = 'Completed'")) === 2);
});
afterAll(() => harness[Symbol.asyncDispose]());

async function startAndSeeTask(workflowId: string, input: GenerateMediaInput): Promise<void> {
  await harness.client.start(input, { workflowId });
  await until(async () => (await memoAndStatus(workflowId)).taskId !== null);
}

/** A run timeout is one of the few things that only time brings: long enough to see the task, also on a busy machine. */
async function timeOut(): Promise<void> {
  const workflowId = 'timed out';
  const { taskQueue } = harness;
  for (let seconds = 4; ; seconds *= 2) {
    const timeout = `${seconds}s` as const;
    const args = [{ ...INPUTS[workflowId], options: { deadline: timeout } }];
    const options = { workflowId, taskQueue, args, workflowRunTimeout: timeout };
    await harness.temporal.workflow.start('generateMedia', options);
    await until(async () => (await memoAndStatus(workflowId)).status === 'TIMED_OUT');
    if ((await memoAndStatus(workflowId)).taskId !== null) return;
  }
}

/** A Workflow of the user with two steps, one after the other, that is terminated with the second. */
async function ownWorkflow(): Promise<void> {
  const { taskQueue } = harness;
  const args = ['own/first', 'own/second'].map((prompt) => inputOf(prompt, { options: { taskQueue } }));
  await harness.temporal.workflow.start('twoSteps', { workflowId: 'own', taskQueue, args });
  await until(async () => (await listed("WorkflowId = 'own/second'")) === 1);
  await until(async () => (await memoAndStatus('own/second')).taskId !== null);
  await terminate('own');
  await terminate('own/second');
}

async function memoAndStatus(workflowId: string): Promise<{ taskId: string | null; status: string }> {
  const description = await harness.client.handle(workflowId).describe();
  const taskId = memoOf(description)?.taskId ?? null;
  if (taskId !== null) tasks.set(workflowId, taskId);
  return { taskId, status: description.status.name };
}

async function terminate(workflowId: string): Promise<void> {
  await harness.temporal.workflow.getHandle(workflowId).terminate('test');
}

async function listed(query: string): Promise<number> {
  return (await harness.temporal.workflow.count(query)).count;
}

function postsOf(prompt: string): number {
  return harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(prompt)).length;
}

function allPosts(): number {
  return harness.emulator.requests().filter(({ method }) => method === 'POST').length;
}

async function activitiesOf(workflowId: string): Promise<unknown[]> {
  const { events } = await harness.temporal.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
}

async function receiptsOf(workflowId: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { answers: paid } of new Receipts(harness.settings.store!, harness.emulator.url).all()) {
    found.push(...paid.filter((task) => task.workflowId === workflowId));
  }
  return found;
}

function recover(...args: string[]): Promise<Finished> {
  return recoverWith({}, ...args);
}

function recoverWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Finished> {
  return run(env, 'recover', ...args);
}

function run(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Finished> {
  const settings = { ...harness.temporalEnv, XDG_DATA_HOME: cwd };
  return runCommand(args, { cwd, env: { ...settings, ...env } });
}

function byId(a: Row, b: Row): number {
  return a.workflowId.localeCompare(b.workflowId);
}

function withNaN(data: Uint8Array | null | undefined): Uint8Array {
  return Buffer.from(
    Buffer.from(data ?? [])
      .toString()
      .replace('"NaN"', 'NaN'),
  );
}

function rowsOf({ stdout }: Finished): Row[] {
  return (JSON.parse(stdout) as Report).generations.toSorted(byId);
}

function expected(outcome: string): unknown[] {
  const found = RECOVERED.map((workflowId) => ({ workflowId, outcome, taskId: tasks.get(workflowId) }));
  const unanswered = UNANSWERED.map((workflowId) => ({ workflowId, outcome: 'unanswered', taskId: null }));
  const rows = [...found, ...unanswered].toSorted((a, b) => a.workflowId.localeCompare(b.workflowId));
  return rows.map((row) => expect.objectContaining(row));
}

describe('recover', () => {
  let posts = 0;

  test('without --yes says what it would do and starts nothing', async () => {
    posts = allPosts();
    const running = await listed("ExecutionStatus = 'Running'");
    const [dry, people] = await Promise.all([recover('--json'), recover()]);
    expect(rowsOf(dry)).toEqual(expected('wouldTakeUp'));
    expect(dry.status).toBe(0);
    expect(people.stdout).toContain(tasks.get('terminated'));
    expect(people.stdout).toMatch(/^too slow +failed \(DeadlinePassed\) +task_/m);
    expect(people.stdout).toMatch(/^terminated while posting .*left alone: nobody answered its submit$/m);
    expect(people.stderr).toContain('--yes');
    expect(await listed("ExecutionStatus = 'Running'")).toBe(running);
    for (const workflowId of RECOVERED) {
      expect((await harness.client.handle(workflowId).describe()).status.name).not.toBe('RUNNING');
    }
  });

  test('--query and --limit narrow it; a query that is none ends with status 2', async () => {
    // In our parentheses it would choose other Workflows than by itself.
    const breaksOut = "WorkflowId = 'terminated') OR (WorkflowId = 'done'";
    const [one, limited, ...wrong] = await Promise.all([
      recover('--query', "WorkflowId = 'terminated' OR WorkflowId = 'done'", '--json'),
      recover('--limit', '1', '--json'),
      recover('--query', 'nonsense'),
      recover('--query', breaksOut),
      recover('--query', "WorkflowId = 'terminated' ORDER BY StartTime"),
    ]);
    expect(rowsOf(one).map(({ workflowId }) => workflowId)).toEqual(['terminated']);
    expect(JSON.parse(limited.stdout)).toMatchObject({ complete: false, errors: [] });
    expect(rowsOf(limited).filter(({ taskId }) => taskId !== null)).toHaveLength(1);
    for (const refused of wrong)
      expect(refused).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining('--query') });
  });

  test('with --yes delivers every paid task under its own Workflow ID, without a POST', async () => {
    harness.emulator.setFaults([]);
    const done = await recover('--yes', '--json');
    expect(rowsOf(done)).toEqual(expected('takenUp'));
    expect(done.status).toBe(0);
    const results = await Promise.all(RECOVERED.map((workflowId) => harness.client.handle(workflowId).result()));
    for (const [index, workflowId] of RECOVERED.entries()) {
      expect(results[index]).toMatchObject({ taskId: tasks.get(workflowId), reused: true, files: [expect.anything()] });
    }
    // Not even a submit that would have been answered from memory.
    for (const workflowId of RECOVERED) expect(await activitiesOf(workflowId)).not.toContain('rivyaSubmit');
    expect(allPosts()).toBe(posts);
    const ledger = await harness.emulator.ledger();
    for (const workflowId of [
      ...RECOVERED,
      ...UNANSWERED.slice(1),
      'done',
      'own/first',
      'failed',
      'runs again',
      'was reset',
    ]) {
      const paid = Object.values(ledger.tasks).filter(({ prompt }) => prompt === workflowId);
      expect(paid, workflowId).toHaveLength(1);
    }
    for (const workflowId of ['runs again', 'was reset']) {
      expect((await harness.client.handle(workflowId).describe()).status.name).toBe('RUNNING');
    }
  });

  test('and the original input then finds the result instead of paying or being refused', async () => {
    for (const [workflowId, input] of Object.entries(INPUTS)) {
      const handle = await harness.client.start(input, { workflowId });
      expect(await handle.result()).toMatchObject({ taskId: tasks.get(workflowId) });
    }
    const other = harness.client.start(inputOf('another prompt'), { workflowId: 'terminated' });
    await expect(other).rejects.toMatchObject({ code: 'InputChanged' });
    expect(allPosts()).toBe(posts);
  });

  test('a second time finds only what it leaves alone', async () => {
    const again = await recover('--yes', '--json');
    expect(rowsOf(again).map(({ outcome }) => outcome)).toEqual(UNANSWERED.map(() => 'unanswered'));
    expect(again.status).toBe(0);
    expect(allPosts()).toBe(posts);
  });

  test('with the store, finds the task of a POST that outlived its Workflow in its receipt', async () => {
    const workflowId = 'terminated while posting';
    const { tasks: all } = await harness.emulator.ledger();
    const paid = Object.keys(all).find((taskId) => all[taskId]?.prompt === workflowId);
    await until(async () => (await receiptsOf(workflowId)).length === 1);
    const store = { RIVYA_STORE: `file:${harness.output}`, RIVYA_BASE_URL: harness.emulator.url };
    const done = await recoverWith(store, '--yes', '--json', '--query', `WorkflowId = '${workflowId}'`);
    expect(rowsOf(done)).toEqual([expect.objectContaining({ workflowId, outcome: 'takenUp', taskId: paid })]);
    expect(await harness.client.handle(workflowId).result()).toMatchObject({ taskId: paid });
    expect(allPosts()).toBe(posts);
  });

  test('goes on with the others when one cannot be taken up, names it, and ends with status 1', async () => {
    const known = { rivya: memo({ taskId: 'task_x', status: 'queued' }) };
    const { taskQueue } = harness;
    const args = [{ model: 'z-image', prompt: 'x', future: true }];
    await harness.temporal.workflow.start('generateMedia', {
      workflowId: 'of the future',
      taskQueue,
      args,
      memo: known,
    });
    await until(async () => (await listed("WorkflowId = 'of the future' AND ExecutionStatus = 'Failed'")) === 1);
    const mixed = await recover('--yes', '--json');
    expect(mixed.status).toBe(1);
    expect(JSON.parse(mixed.stdout)).toMatchObject({
      generations: [{ outcome: 'unanswered' }, { outcome: 'unanswered' }],
      errors: [{ workflowId: 'of the future', taskId: 'task_x', message: expect.stringContaining('future') }],
    });
    expect(mixed.stderr).toContain('of the future (task task_x) was left as it is');
  });

  test('what cannot be read is counted and named, with status 5, and the others are read', async () => {
    const { temporal, namespace } = harness;
    const foreign: PayloadCodec = {
      encode: (payloads) => Promise.resolve(payloads.map((one) => ({ ...one, metadata: { encoding: FOREIGN } }))),
      decode: (payloads) => Promise.resolve(payloads),
    };
    // Python writes a number that JSON does not have.
    const python: PayloadCodec = {
      encode: (payloads) => Promise.resolve(payloads.map((one) => ({ ...one, data: withNaN(one.data) }))),
      decode: (payloads) => Promise.resolve(payloads),
    };
    const leave = async (workflowId: string, codec: PayloadCodec | null, rivya: unknown): Promise<void> => {
      const dataConverter = { payloadCodecs: codec === null ? [] : [codec] };
      const other = new Client({ connection: temporal.connection, namespace, dataConverter });
      const args = [inputOf(workflowId, { params: { seed: 'NaN' } })];
      await other.workflow.start('generateMedia', {
        workflowId,
        taskQueue: 'nobody',
        memo: { rivya, theirs: 1 },
        args,
      });
      await terminate(workflowId);
    };
    await Promise.all([
      leave('unread encrypted', foreign, {}),
      leave('unread python', python, memo({ taskId: 'task_p', status: 'queued' })),
      leave('unread memo', python, 'NaN'),
      leave('unread of others', null, { mine: true }),
      leave('unread made up', null, { ...memo({ taskId: 'task_m' }), mayPostSince: { firstPostedAt: 1e300 } }),
      leave('unread but good', null, memo({ taskId: 'task_g', status: 'queued' })),
    ]);
    const query = "WorkflowId STARTS_WITH 'unread'";
    await until(async () => (await listed(`${query} AND ExecutionStatus = 'Terminated'`)) === 6);
    const [found, people, charges, list] = await Promise.all([
      recover('--json', '--query', query),
      recover('--query', query),
      run({}, 'charges', '--from', 'temporal', '--json'),
      run({}, 'list', '--json', '--limit', '100'),
    ]);
    const why = {
      'unread encrypted': /decoded: .*binary\/foreign/,
      'unread made up': /none of ours: its "mayPostSince"/,
      'unread memo': /decoded: .*JSON/,
      'unread of others': /none of ours: its "phase"/,
    };
    const named = Object.entries(why).map(([workflowId, text]) =>
      expect.objectContaining({ workflowId, why: expect.stringMatching(text) }),
    );
    const input = {
      workflowId: 'unread python',
      taskId: 'task_p',
      why: expect.stringMatching(/input.*decoded: .*JSON/),
    };
    const { unread, generations } = JSON.parse(found.stdout) as Report & { unread: Row[] };
    expect(unread.toSorted(byId)).toEqual([...named, input]);
    expect(generations).toMatchObject([{ workflowId: 'unread but good', taskId: 'task_g', outcome: 'wouldTakeUp' }]);
    expect(people.stderr).toMatch(/^5 not read: .*unread python \(its task is task_p; the input/m);
    const told = JSON.parse(charges.stdout) as Report & { unread: Row[]; notes: string[] };
    expect(told.unread.toSorted(byId)).toEqual(named);
    expect(told.notes).toEqual(expect.arrayContaining([expect.stringMatching(/^4 not read: .*is missing here/)]));
    for (const workflowId of ['done', 'unread python', 'unread but good']) {
      expect(told.generations, workflowId).toContainEqual(expect.objectContaining({ workflowId }));
    }
    const seen = (JSON.parse(list.stdout) as Report).generations.map(({ workflowId }) => workflowId);
    expect(seen).toEqual(expect.arrayContaining(['unread encrypted', 'done', 'own/second']));
    for (const { status } of [found, people, charges]) expect(status).toBe(5);
  });
});
