/** The truth about ends and waits: what a command says has happened has happened, and what has not comes with its reason. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-ends-'));
let harness: Harness;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  harness = await startHarness({
    account: false,
    workers: false,
    emulator: {
      faults: [
        { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
        { on: 'create', prompt: 'fails', do: { kind: 'fail' } },
        { on: 'create', prompt: 'slow answer', do: { kind: 'delayAfter', ms: 20_000 } },
        { on: 'create', prompt: 'busy', do: { kind: 'error', code: 'rate_limited', retryAfter: '2' } },
      ],
    },
  });
  env = { ...harness.temporalEnv, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: harness.taskQueue };
});
afterAll(() => harness[Symbol.asyncDispose]());

function start(workflowId: string): Promise<unknown> {
  return harness.client.start({ model: 'z-image', prompt: workflowId }, { workflowId });
}

function cli(...args: string[]): Promise<Finished> {
  return runCommand(args, { cwd, env });
}

async function taskOf(workflowId: string): Promise<string> {
  const taskId = async () => memoOf(await harness.client.handle(workflowId).describe())?.taskId ?? null;
  await until(async () => (await taskId()) !== null);
  return (await taskId()) ?? '';
}

test('cancel without a Worker is only requested, and takes effect when one runs', async () => {
  await start('early');
  const { status, stdout } = await cli('cancel', 'early');
  expect(stdout).toMatch(/is requested and has not taken effect yet: No Worker with the role "workflows"/);
  expect(stdout).not.toMatch(/Cancelled\./);
  expect(status).toBe(0);
  await harness.startWorkers();
  await until(async () => (await harness.client.handle('early').describe()).status.name === 'CANCELLED');
  expect(await cli('cancel', 'early')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/had ended before \(cancelled\): nothing was cancelled/),
  });
});

test('cancel of a completed one says so, with status 2', async () => {
  await start('done');
  await harness.client.handle('done').result();
  const { status, stdout } = await cli('cancel', 'done', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    error: { message: expect.stringMatching(/had ended before \(completed\)/) },
  });
  expect(status).toBe(2);
});

test('cancel names the task that goes on, and status says it again', async () => {
  await start('stuck');
  const taskId = await taskOf('stuck');
  const cancelled = await cli('cancel', 'stuck', '--json');
  expect(JSON.parse(cancelled.stdout)).toMatchObject({
    workflowId: 'stuck',
    applied: true,
    message: expect.stringContaining(`Cancelled. Task ${taskId} goes on at Rivya`),
  });
  const { stdout } = await cli('status', 'stuck');
  expect(stdout).toMatch(/Workflow +cancelled/);
  expect(stdout).toMatch(new RegExp(`reason +.*Task ${taskId} goes on at Rivya`));
  expect(stdout).toMatch(/money +credits reserved: 1/);
});

test('cancel during a POST waits for its answer and says so', async () => {
  await start('slow answer');
  await until(() => harness.emulator.requests().some(({ body }) => body.includes('slow answer')));
  const { stdout } = await cli('cancel', 'slow answer', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    applied: false,
    message: expect.stringContaining('submit that is under way'),
  });
  await harness.client
    .handle('slow answer')
    .result()
    .catch(() => undefined);
  const status = await cli('status', 'slow answer', '--json');
  expect(JSON.parse(status.stdout)).toMatchObject({
    workflowStatus: 'CANCELLED',
    taskId: expect.stringMatching(/^task_/),
  });
});

test('status of a failed one says why, and what was paid', async () => {
  await start('fails');
  await harness.client
    .handle('fails')
    .result()
    .catch(() => undefined);
  const { status, stdout } = await cli('status', 'fails');
  // The link once, although the message goes through the Workflow, the client and the command.
  expect(stdout).toMatch(/reason +GenerationFailed: .*\(see rivya-temporal\/docs\/reference\.md#generationfailed\)$/m);
  expect(stdout.match(/reference\.md/g)).toHaveLength(1);
  expect(stdout).toMatch(/task +task_/);
  expect(stdout).toMatch(/money +credits reserved: 1, final: 0/);
  expect(status).toBe(0);
});

test('while a submit is repeated, status and whoever waits say the last failure and since when', async () => {
  await start('busy');
  const wait = new CommandRun(['wait', 'busy'], { cwd, env });
  await wait.untilSaid(/busy: .*rate_limited.*\(attempt \d+ since 2/);
  wait.child.kill('SIGINT');
  expect(await wait.status).toBe(130);
  expect(wait.stderr.match(/\(attempt/g)).toHaveLength(1);
  const { stdout } = await cli('status', 'busy', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    phase: 'submitting',
    reason: expect.stringMatching(/rate_limited.*\(attempt \d+ since 2.*Z; the last one failed at 2.*Z\)/),
  });
});

test('a submit that waits for its turn within the rate limit is told from one without a Worker', async () => {
  await using slow = await startHarness({ env: { RIVYA_RATE_LIMIT_PER_MINUTE: '1' } });
  const ids = ['one', 'two', 'three'];
  await Promise.all(ids.map((id) => slow.client.start({ model: 'z-image', prompt: id }, { workflowId: id })));
  const list = async () => {
    const own = { ...env, ...slow.temporalEnv, RIVYA_TASK_QUEUE: slow.taskQueue };
    return (await runCommand(['list'], { cwd, env: own })).stdout;
  };
  const turn = / waits for its turn within the rate limit \(since 2.*Z\)$/m;
  await expect.poll(list, { timeout: 180_000 }).toMatch(turn);
});
