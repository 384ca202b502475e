/** Whoever waits is told which Worker is missing, and what it needs. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/harness.js';
import { CommandRun, runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-workers-'));
let harness: Harness;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' } });
  const { taskQueue, temporalEnv, emulator } = harness;
  const api = { RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey };
  env = { ...temporalEnv, ...api, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: taskQueue };
});
afterAll(() => harness[Symbol.asyncDispose]());

function cli(...args: string[]): Promise<Finished> {
  return runCommand(args, { cwd, env });
}

test('generate, status and doctor name the queue without a Worker and its role, until there is one', async () => {
  await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
  const args = ['generate', '--model', 'z-image', '--prompt', 'a fox', '--id', 'fox'];
  const generate = new CommandRun(args, { cwd, env });
  const missing = `No Worker with the role "api" polls task queue "${harness.taskQueue}-api"`;
  await generate.untilSaid(/No Worker/);
  expect(generate.stderr).toContain(missing);
  const [status, json, list, doctor] = await Promise.all([
    cli('status', 'fox'),
    cli('status', 'fox', '--json'),
    cli('list', '--status', 'running'),
    cli('doctor'),
  ]);
  expect(status.stdout).toContain(missing);
  expect(JSON.parse(json.stdout)).toMatchObject({ source: 'query', noWorker: [expect.stringContaining(missing)] });
  expect(list.stdout).toMatch(/^fox +running.*No Worker with the role "api"/m);
  expect(doctor.stdout).toContain(`warn  Workers for API calls: ${missing}`);
  // A namespace of the tests keeps closed Workflows for a day.
  expect(doctor.stdout).toMatch(
    /^warn {2}memory: there is no store.*1 day\(s\) only: a step is remembered only that long/m,
  );
  await harness.startWorkers({ roles: new Set(['api']) });
  expect(await generate.status).toBe(0);
  expect(generate.stderr.match(/No Worker/g)).toHaveLength(1);
  expect((await cli('status', 'fox')).stdout).not.toContain('no Worker');
});

test('a chat is listed, shown and waited for like a generation', async () => {
  const { taskQueue, temporal } = harness;
  const question = { model: 'gpt-5-2-chat', message: 'Fox?', options: { taskQueue } };
  await temporal.workflow.execute('oneChat', { workflowId: 'own', taskQueue, args: [question] });
  const [list, status, wait] = await Promise.all([
    cli('list', '--json'),
    cli('status', 'own/ask'),
    cli('wait', 'own/ask'),
  ]);
  const chat = expect.objectContaining({ workflowId: 'own/ask', type: 'rivyaChat', phase: 'succeeded' });
  expect(JSON.parse(list.stdout)).toMatchObject({ generations: expect.arrayContaining([chat]) });
  expect(status.stdout).toMatch(/phase +succeeded/);
  expect(wait.stdout).toMatch(/^ {2}answer +\S/m);
  expect([list.status, status.status, wait.status]).toEqual([0, 0, 0]);
});
