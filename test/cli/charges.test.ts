/** `charges` against what the emulator's ledger says was really paid. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Charge, Totals } from '../../src/cli/charges.js';
import { memoOf } from '../../src/client.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { safeName } from '../../src/storage/names.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-charges-'));
const DOUBLED = 'doubled';
const FAULTS: Fault[] = [
  { on: 'create', prompt: 'second attempt', times: 1, do: { kind: 'fail' } },
  { on: 'create', prompt: 'still running', do: { kind: 'stuck' } },
  { on: 'create', prompt: 'never answered', do: { kind: 'dropAfter' } },
  { on: 'create', prompt: 'cut off', do: { kind: 'delayAfter', ms: 60_000 } },
  { on: 'create', prompt: 'posted again', times: 2, do: { kind: 'dropAfter' } },
];
const tasks = new Map<string, string>();
let harness: Harness;

interface Document {
  readonly source: string;
  readonly period: { readonly from: string; readonly to: string };
  readonly notes: readonly string[];
  readonly totals: Totals;
  readonly generations: readonly Charge[];
}

beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      switches: { keyLifetimeMs: 1 },
      faults: [{ on: 'status', prompt: 'taken up', do: { kind: 'status', status: 'processing' } }],
    },
  });
  // Its end is told by a reply that the emulator would not make: failed, and charged all the same.
  await Promise.all([start('charged'), start('taken up')]);
  await taskOf('taken up');
  await terminate('taken up');
  const ended = {
    id: await taskOf('charged'),
    status: 'failed',
    model: 'z-image',
    reserved_credits: 1,
    final_credits: 1,
  };
  const body = JSON.stringify(ended);
  harness.emulator.setFaults([
    ...FAULTS,
    { on: 'status', prompt: 'charged', do: { kind: 'reply', status: 200, body } },
  ]);
  await Promise.all([
    start('plain', { labels: { team: '=cmd()' } }).then(() => finish('plain')),
    start('plain 2', { labels: { team: 'blue' } }).then(() => finish('plain 2')),
    start('second attempt', { labels: { team: 'blue' }, options: { maxAttempts: 2 } }).then(() =>
      finish('second attempt'),
    ),
    start('still running').then(() => taskOf('still running')),
    start('taken up', { taskId: tasks.get('taken up')! }).then(() => finish('taken up')),
    (async () => {
      await start('never answered');
      await until(() => postsOf('never answered') > 0);
      await harness.client.handle('never answered').cancel();
    })(),
    (async () => {
      await start('cut off');
      await until(() => postsOf('cut off') > 0);
      await terminate('cut off');
    })(),
    (async () => {
      await start('posted again', { options: { idempotencyWindow: '1s' } });
      const handle = harness.client.handle('posted again');
      // Each lost reply holds it, unless the machine is quick enough to post again within the window.
      await until(async () => {
        const held = (await memo('posted again'))?.hold?.code === 'SubmitUnresolved';
        if (held) await handle.resume({ reason: 'not in the Studio' }).catch(() => undefined);
        return (await memo('posted again'))?.taskId != null;
      });
      await finish('posted again');
    })(),
    doubleCharge(),
    harness.temporal.workflow.execute('twoSteps', {
      workflowId: 'poster',
      taskQueue: harness.taskQueue,
      args: ['sketch', 'print'].map((prompt) => ({
        ...inputOf(prompt, { labels: { team: 'blue' } }),
        options: { taskQueue: harness.taskQueue },
      })),
    }),
    harness.temporal.workflow.execute('oneChat', {
      workflowId: 'question',
      taskQueue: harness.taskQueue,
      args: [{ model: 'gpt-5-2-chat', message: 'Fox?', options: { taskQueue: harness.taskQueue } }],
    }),
    harness.client
      .handle('charged')
      .result()
      .catch(() => undefined),
  ]);
  await until(async () => (await harness.temporal.workflow.count("ExecutionStatus = 'Running'")).count === 1);
});
afterAll(() => harness[Symbol.asyncDispose]());

function inputOf(prompt: string, more: Partial<GenerateMediaInput> = {}): GenerateMediaInput {
  return { model: 'z-image', prompt, ...more };
}

/** By name, as any program may: our client would refuse some of what is to be counted here. */
async function start(workflowId: string, more: Partial<GenerateMediaInput> = {}): Promise<void> {
  const { taskQueue } = harness;
  const args = [inputOf(workflowId, more)];
  await harness.temporal.workflow.start('generateMedia', { workflowId, taskQueue, args });
}

async function finish(workflowId: string): Promise<void> {
  await harness.client.handle(workflowId).result();
}

async function terminate(workflowId: string): Promise<void> {
  await harness.temporal.workflow.getHandle(workflowId).terminate('test');
}

async function memo(workflowId: string): Promise<ReturnType<typeof memoOf>> {
  return memoOf(await harness.client.handle(workflowId).describe());
}

async function taskOf(workflowId: string): Promise<string> {
  await until(async () => (await memo(workflowId))?.taskId != null);
  const taskId = (await memo(workflowId))?.taskId ?? '';
  tasks.set(workflowId, taskId);
  return taskId;
}

/** All had forgotten it, so it was paid once more; then a backup of the store was put back. */
async function doubleCharge(): Promise<void> {
  await start(DOUBLED);
  await finish(DOUBLED);
  const key = (await memo(DOUBLED))?.idempotencyKey ?? '';
  const host = safeName(new URL(harness.emulator.url).host);
  const receipts = path.join(harness.output, '.rivya', 'receipts', host, safeName(key));
  const backup = path.join(cwd, 'backup');
  renameSync(receipts, backup);
  const { workflowService } = harness.temporal;
  const workflowExecution = { workflowId: DOUBLED, runId: '' };
  await workflowService.deleteWorkflowExecution({ namespace: harness.namespace, workflowExecution });
  await until(() =>
    memo(DOUBLED).then(
      () => false,
      () => true,
    ),
  );
  await start(DOUBLED);
  await finish(DOUBLED);
  cpSync(backup, receipts, { recursive: true, force: false });
}

function postsOf(prompt: string): number {
  return harness.emulator.requests().filter(({ method, body }) => method === 'POST' && body.includes(prompt)).length;
}

function charges(...args: string[]): Promise<Finished> {
  return chargesOf(harness.output, ...args);
}

function chargesOf(output: string, ...args: string[]): Promise<Finished> {
  const env = {
    ...harness.temporalEnv,
    RIVYA_STORE: `file:${output}`,
    RIVYA_BASE_URL: harness.emulator.url,
    XDG_DATA_HOME: cwd,
  };
  return runCommand(['charges', ...args], { cwd, env });
}

async function read(...args: string[]): Promise<Document & { status: number | null; of: (id: string) => Charge[] }> {
  const { stdout, status } = await charges('--json', ...args);
  const document = JSON.parse(stdout) as Document;
  return { ...document, status, of: (id) => document.generations.filter(({ workflowId }) => workflowId === id) };
}

function flagsOf(charge: Charge | undefined): string[] {
  return charge?.flags.map(({ code }) => code) ?? [];
}

describe.concurrent.each(['store', 'temporal'])('charges --from %s', (source) => {
  test('tells every paid task of the ledger that has an answer, and flags what is wrong', async () => {
    const { of, status, totals, notes, period, ...found } = await read('--from', source);
    expect(found.source).toBe(source);
    for (const id of ['plain', 'plain 2', 'poster/first', 'poster/second']) {
      expect(of(id), id).toMatchObject([{ tasks: [{ settled: true, finalCredits: 1 }], flags: [] }]);
    }
    expect(flagsOf(of('second attempt')[0])).toEqual(['severalAttempts']);
    expect(of('second attempt')[0]?.tasks).toMatchObject([
      { attempt: 1, status: 'failed' },
      { attempt: 2, status: 'succeeded' },
    ]);
    expect(of('still running')[0]?.tasks).toMatchObject([{ settled: false, reservedCredits: 1 }]);
    expect(of('taken up')[0]?.tasks).toMatchObject([
      { taskId: tasks.get('taken up'), settled: true, finalCredits: 1, idempotencyKey: expect.any(String) },
    ]);
    expect(flagsOf(of('charged')[0])).toEqual(['failedButCharged']);
    for (const id of ['never answered', 'cut off']) expect(flagsOf(of(id)[0]), id).toEqual(['mayBePaid']);
    expect(of('posted again')[0]?.flags).toMatchObject([
      { code: 'riskAccepted', message: expect.stringContaining('not in the Studio') },
    ]);
    // Only the receipts know of both payments.
    expect(flagsOf(of(DOUBLED)[0])).toEqual(source === 'store' ? ['paidTwice'] : []);
    expect(status).toBe(source === 'store' ? 1 : 0);

    const ledger = await harness.emulator.ledger();
    const answered = ['plain', 'plain 2', 'second attempt', 'still running', 'taken up', 'charged', 'sketch', 'print'];
    const paid = Object.entries(ledger.tasks).filter(([, { prompt }]) => answered.includes(prompt ?? ''));
    const told = found.generations
      .filter(({ workflowId }) => !['posted again', 'question/ask', DOUBLED].includes(workflowId))
      .flatMap((one) => one.tasks);
    expect(told.map(({ taskId }) => taskId).toSorted()).toEqual(paid.map(([taskId]) => taskId).toSorted());
    expect(totals).toMatchObject({ tasks: paid.length + (source === 'store' ? 4 : 3), unsettledTasks: 1 });

    const [answer] = Object.values(ledger.chats);
    expect(of('question/ask')).toMatchObject([
      { model: answer!.model, tasks: [{ settled: true, finalCredits: expect.any(Number) }] },
    ]);
    expect(notes.join(' ')).toMatch(source === 'store' ? /receipts in file:.*oldest is of/ : /kept for 1 days/);
    expect(Date.parse(period.from)).toBeLessThan(Date.parse(period.to));
  });
});

test.each(['store', 'temporal'])('charges --from %s --id-prefix shows a pipeline with its steps', async (source) => {
  const { generations, totals, status } = await read('--from', source, '--id-prefix', 'poster');
  expect(generations.map(({ workflowId }) => workflowId).toSorted()).toEqual(['poster/first', 'poster/second']);
  expect(totals).toMatchObject({ generations: 2, tasks: 2, finalCredits: 2 });
  expect(status).toBe(0);
});

test('a broken receipt is named with its Workflow ID and status 5, and the others are told', async () => {
  const output = path.join(cwd, 'broken');
  cpSync(harness.output, output, { recursive: true });
  const folders = path.join(output, '.rivya', 'receipts', safeName(new URL(harness.emulator.url).host));
  const plain = path.join(folders, safeName((await memo('plain'))?.idempotencyKey ?? ''));
  writeFileSync(
    path.join(
      plain,
      readdirSync(plain).find((name) => name.startsWith('task-'))!,
    ),
    '{"version": 1',
  );
  mkdirSync(path.join(folders, 'lost'));
  writeFileSync(path.join(folders, 'lost', 'submit.json'), 'NaN');
  const { stdout, status } = await chargesOf(output, '--json', '--id-prefix', 'plain');
  const { generations, unread } = JSON.parse(stdout) as Document & { unread: { workflowId: string | null }[] };
  // Its submit is still known, and now nothing answers it.
  expect(generations.map((one) => [one.workflowId, flagsOf(one)])).toEqual(
    expect.arrayContaining([
      ['plain', ['mayBePaid']],
      ['plain 2', []],
    ]),
  );
  const why = expect.stringMatching(/receipt .* cannot be read/);
  expect(unread).toHaveLength(2);
  for (const workflowId of ['plain', null]) expect(unread).toContainEqual({ workflowId, why });
  expect(status).toBe(5);
});

describe.concurrent('charges', () => {
  test('reads the store where there is one; people see the tasks, the flags and what is covered', async () => {
    const { stdout, status } = await charges();
    expect(stdout).toMatch(/^plain 2 +z-image +1 +task_\w+ +succeeded +1 +1 /m);
    expect(stdout).toMatch(/^poster\/first /m);
    expect(stdout).toMatch(/^! doubled: Attempt 1 was paid 2 times: task_\w+ \(succeeded\), task_\w+/m);
    expect(stdout).toMatch(/^From the receipts in file:/m);
    expect(stdout).toMatch(/Not settled: the final credits of 1 task /);
    expect(status).toBe(1);
  });

  test('as CSV has a line for each task and no formula', async () => {
    const { stdout, stderr } = await charges('--csv', '--since', '1d');
    const lines = stdout.trimEnd().split('\r\n');
    expect(lines[0]).toMatch(/^namespace,workflowId,model,attempt,idempotencyKey,taskId,status,/);
    expect(lines.filter((line) => line.includes('second attempt'))).toHaveLength(2);
    expect(lines.find((line) => line.includes('never answered'))).toMatch(/,mayBePaid,/);
    expect(stderr).toContain('From the receipts');
    const groups = await charges('--csv', '--group-by', 'label.team');
    expect(groups.stdout).toMatch(/^team,generations,tasks,.*\r\n,8,.*\r\n'=cmd\(\),1,1,1,1,0,0\r\nblue,4,5,/);
  });

  test('--since leaves out what was paid before', async () => {
    const later = new Date(Date.now() + 3_600_000).toISOString();
    expect(await read('--since', later)).toMatchObject({ status: 0, generations: [], totals: { tasks: 0 } });
  });
});
