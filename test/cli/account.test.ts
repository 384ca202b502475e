/** `account` on a real server, with the account that real Workers start: what it shows, and each request, with Workers and without. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountWorkflowId, type AccountState } from '../../src/contract/index.js';
import type { RunningWorkers } from '../../src/worker/workers.js';
import { images, newBatch } from '../support/batch.js';
import { bundleWith } from '../support/bundle.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-account-'));
let harness: Harness;
let env: NodeJS.ProcessEnv;
let workers: RunningWorkers;

interface Shown {
  readonly status: string;
  readonly isFresh: boolean;
  readonly isRunning: boolean;
  readonly problem: string | null;
  readonly state: AccountState;
  readonly look: { readonly heldBy: Record<string, number>; readonly pollers: { readonly api: readonly string[] } };
  readonly whatToDo: readonly string[];
}

const cli = (...args: string[]) => runCommand(args, { cwd, env });
const account = (...args: string[]) => cli('account', ...args);
async function shown(): Promise<Shown & { readonly exit: number | null }> {
  const { status, stdout, stderr } = await account('--json');
  expect(stdout, stderr).not.toBe('');
  return { ...(JSON.parse(stdout) as Shown), exit: status };
}
const whenShown = (fits: (one: Awaited<ReturnType<typeof shown>>) => boolean): Promise<void> =>
  until(async () => fits(await shown()));

beforeAll(async () => {
  harness = await startHarness({ workers: false, emulator: { credits: 10 } });
  env = { ...harness.temporalEnv, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: harness.taskQueue };
});
afterAll(() => harness?.[Symbol.asyncDispose]());

/** A batch that runs and starts nothing. Returns its ID. */
async function pausedBatch(): Promise<string> {
  const { batchId, files, manifest } = await newBatch(harness, { batchId: 'paused', inputs: images(1) });
  const settings = { maxInFlight: 1, maxCredits: null, maxFailures: null };
  await files.writeHead({ version: 1, manifest: manifest.sha256, settings, name: null, balance: null });
  await harness.temporal.workflow.signalWithStart('rivyaBatch', {
    workflowId: batchId,
    taskQueue: harness.taskQueue,
    args: [{ manifest: manifest.sha256, settings }],
    signal: 'pause',
  });
  return batchId;
}

test('before the first Worker there is none, and it says how to get one', async () => {
  const none = await account();
  expect(none).toMatchObject({ status: 2, stdout: '' });
  expect(none.stderr).toMatch(
    /There is no account on task queue .*A Worker with the role "api" starts it: .*rivya-temporal worker/,
  );
  expect(await account('allow')).toMatchObject({ status: 2, stderr: expect.stringContaining('There is no account') });
});

test('a stop before the first Worker stands when there is one', async () => {
  expect(await account('stop')).toMatchObject({ status: 0, stderr: expect.stringContaining('until one does') });
  workers = await harness.startWorkers();
  await whenShown(({ status }) => status === 'stopped');
  expect((await account('allow')).status).toBe(0);
  await whenShown(({ status }) => status === 'ok');
});

test('it shows rate, Workers and what to do, as text and as JSON', async () => {
  await whenShown(({ state }) => Object.keys(state.workers).length === 1);
  const { stdout, status } = await account();
  expect(stdout).toMatch(/^Account of .*-api: ok\n/);
  expect(stdout).toMatch(/what to do +Nothing: it goes on by itself\./);
  expect(stdout).toMatch(/rate +Workers were told [\d,]+ a minute/);
  expect(status).toBe(0);
  expect(await shown()).toMatchObject({ exit: 0, status: 'ok', isFresh: true, isRunning: true, look: { heldBy: {} } });
});

test('stop and allow: status 4 with the reason while it is stopped; a second stop is answered with a sentence', async () => {
  expect(await account('stop', '--reason', 'lunch')).toMatchObject({ status: 0, stdout: expect.stringMatching(/\w+/) });
  expect(await shown()).toMatchObject({
    exit: 4,
    status: 'stopped',
    whatToDo: [expect.stringContaining('account allow')],
  });
  expect((await account()).stdout).toMatch(/stopped .*lunch/s);
  const again = await account('stop');
  expect(again.stdout + again.stderr).toMatch(/\w+ .*stopped/i);
  expect((await account('allow')).status).toBe(0);
  await whenShown(({ status }) => status === 'ok');
});

test('what is held by credits is counted, with status 4, until credits come', async () => {
  await harness.emulator.setCredits(undefined, 0);
  await harness.client.start({ model: 'z-image', prompt: 'a fox' }, { workflowId: 'held-fox' });
  await whenShown(({ exit, look }) => exit === 4 && look.heldBy['insufficient_credits'] === 1);
  expect((await account()).stdout).toMatch(/held: insufficient_credits[^]*held +1 insufficient_credits/);
  expect((await cli('doctor')).stdout).toMatch(/warn +account: .*Add credits to the account/);
  await harness.emulator.setCredits(undefined, 10);
  expect((await account('release', 'insufficient_credits')).status).toBe(0);
  expect((await harness.client.handle('held-fox').result()).status).toBe('succeeded');
  await whenShown(({ status }) => status === 'ok');
});

test.each([
  ['owl-1', ['owl-1']],
  ['owl-2', ['--query', "WorkflowId = 'owl-2'", '--yes']],
])('resume, once there are credits, has the account ask first: %s does not hold again', async (workflowId, args) => {
  await harness.emulator.setCredits(undefined, 0);
  const owl = await harness.client.start({ model: 'z-image', prompt: 'an owl' }, { workflowId });
  // Once the account has seen that there are none, it knows a top-up from credits that were there at the refusal.
  await whenShown(({ exit, look, state: { balance, causes } }) => {
    const since = causes.find(({ code }) => code === 'insufficient_credits')?.since;
    const hasLooked = since !== undefined && balance?.credits === 0 && balance.askedAt > since;
    return exit === 4 && look.heldBy['insufficient_credits'] === 1 && hasLooked;
  });
  await harness.emulator.setCredits(undefined, 10);
  const resumed = await cli('resume', ...args);
  expect(resumed.status, resumed.stdout + resumed.stderr).toBe(0);
  expect((await owl.result()).status).toBe('succeeded');
  const { events } = await harness.temporal.workflow.getHandle(workflowId).fetchHistory();
  const submits = events?.filter(
    ({ activityTaskScheduledEventAttributes: of }) => of?.activityType?.name === 'rivyaSubmit',
  );
  expect(submits).toHaveLength(2);
  await whenShown(({ status }) => status === 'ok');
});

test('a cause that is not there cannot be released: status 2, and says so', async () => {
  const { status, stderr } = await account('release', 'api_key_revoked');
  expect(stderr).toMatch(/api_key_revoked/);
  expect(status).toBe(2);
});

test('set-rate sets the rate of all Workers, doctor says whose it is, and default gives it back', async () => {
  expect((await account('set-rate', '30', '--reason', 'night')).status).toBe(0);
  await whenShown(({ state }) => state.rate.set === 30 && state.rate.by === 'person');
  expect((await cli('doctor')).stdout).toMatch(
    /warn +rate: 30 calls a minute, set by a person.*night.*set-rate default/,
  );
  const { stdout } = await cli('batch', 'status', await pausedBatch(), '--store', `file:${harness.output}`);
  expect(stdout).toMatch(/calls +30 calls a minute, set by a person.*night.*rivya-temporal account/);
  expect((await account('set-rate', 'default')).status).toBe(0);
  await whenShown(({ state }) => state.rate.set === null);
});

test('refresh asks for the balance', async () => {
  await harness.emulator.setCredits(undefined, 7);
  expect((await account('refresh')).status).toBe(0);
  await whenShown(({ state }) => state.balance?.credits === 7);
});

test('--watch shows a line, and its page at the end', async () => {
  const watch = new CommandRun(['account', '--watch'], { cwd, env });
  await watch.untilSaid(/-api: ok, /);
  watch.child.kill('SIGINT');
  expect(await watch.status).toBe(0);
  expect(watch.stdout).toMatch(/^Account of /);
});

test('credits and models are asked through the queue, in a Workflow that no list shows', async () => {
  const keyless = await cli('credits', '--json');
  expect(JSON.parse(keyless.stdout), keyless.stderr).toEqual({ simulated: true, currentCredits: 7 });
  const { stdout } = await cli('models', 'z-image', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ models: [{ id: 'z-image' }] });
  const reads = async (): Promise<number> =>
    (await harness.temporal.workflow.count("WorkflowType = 'rivyaRead'")).count;
  await until(async () => (await reads()) === 2);
  for (const command of ['list', 'charges']) {
    const listed = await cli(command, '--json');
    expect(listed.stdout).not.toMatch(/rivya-read|rivya-account/);
  }
});

test('with another key than that of the Workers, a command asks for its own account', async () => {
  harness.emulator.setKeys([{ key: harness.emulator.apiKey }, { key: 'rvya_sk_other', account: 'other' }]);
  await harness.emulator.setCredits('other', 99);
  const other = { ...env, RIVYA_API_KEY: 'rvya_sk_other', RIVYA_BASE_URL: harness.emulator.url };
  const { stdout, stderr } = await runCommand(['credits'], { cwd, env: other });
  expect(stdout.trim(), stderr).toBe('99');
});

test('with no Worker it shows what the memo says, a request waits as a Signal, and credits are asked directly', async () => {
  await workers.stop();
  const stopped = await account('stop', '--reason', 'the night');
  expect(stopped).toMatchObject({ status: 0, stderr: expect.stringContaining('waits as a Signal') });
  expect(await shown()).toMatchObject({ isFresh: false, status: 'ok' });
  const direct = { ...env, RIVYA_API_KEY: harness.emulator.apiKey, RIVYA_BASE_URL: harness.emulator.url };
  expect((await runCommand(['credits'], { cwd, env: direct })).stdout.trim()).toBe('7');
  workers = await harness.startWorkers();
  await whenShown(({ status }) => status === 'stopped');
  expect((await account('allow')).status).toBe(0);
});

test('an account whose Workflow Tasks fail is not called ok, and a stop says that nothing is stopped yet', async () => {
  await workers.stop();
  const bundle = await bundleWith([
    ['workflows/rivya-account.ts', 'const run = new', "throw new Error('broken');\n  const run = new"],
  ]);
  const failing = await harness.startWorkers({ bundle });
  await whenShown(({ problem }) => problem?.includes('broken') === true);
  const { status, stdout } = await account();
  expect(status).toBe(4);
  expect(stdout).toMatch(/^Account of .*: stands still\n.*stands still, so it releases nobody.*broken/);
  expect(await account('stop')).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/NOTHING IS STOPPED YET.* --queue-rps-limit 0/),
  });
  const steps = await cli('status', accountWorkflowId(harness.taskQueue));
  expect(steps.stdout).toMatch(/its Workflow Tasks fail \(attempt \d+\): broken/);
  await failing.stop();
  workers = await harness.startWorkers();
  await whenShown((one) => one.status === 'stopped' && one.problem === null);
  expect((await account('allow')).status).toBe(0);
});

test('an account that was terminated says so; the next report of a Worker starts it again', async () => {
  await harness.temporal.workflow.getHandle(accountWorkflowId(harness.taskQueue)).terminate();
  await whenShown(({ isRunning, status }) => isRunning && status === 'ok');
  expect((await account()).status).toBe(0);
});
