/** The report for the support of the API says what happened to each call, and nothing private. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-support-'));
let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      faults: [
        { on: 'create', prompt: 'secret heron', times: 1, do: { kind: 'error', code: 'internal_error' } },
        { on: 'create', prompt: 'slow heron', do: { kind: 'error', code: 'public_api_disabled', retryAfter: '600' } },
        { on: 'create', prompt: 'held heron', do: { kind: 'error', code: 'insufficient_credits' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const support = (id: string): Promise<Finished> =>
  runCommand(['status', id, '--support'], { cwd, env: { ...harness.temporalEnv, XDG_DATA_HOME: cwd } });

test('a generation that succeeded: each call with its code and request ID, over two runs, and no prompt, label, link or key', async () => {
  const workflowId = 'my-secret-project';
  const input = { model: 'z-image', prompt: 'secret heron', labels: { customer: 'private-customer' } };
  const first = await harness.client.start(input, { workflowId });
  const { taskId, urls, idempotencyKey } = await first.result();
  await harness.temporal.workflow.start('generateMedia', {
    workflowId,
    taskQueue: harness.taskQueue,
    args: [input],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
  });
  await harness.temporal.workflow.getHandle(workflowId).result();
  // The list trails the end.
  await until(async () => (await support(workflowId)).stdout.includes('run 2 of 2'));
  const { stdout, status } = await support(workflowId);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^rivya-temporal \d/);
  expect(stdout).toContain(`task: ${taskId}`);
  expect(stdout).toMatch(
    /POST \/generations {2}failed: internal_error, HTTP status 500, requestId req_\w+, the last in vain of 1/,
  );
  expect(stdout).toMatch(new RegExp(`POST /generations {2}answered, status \\w+, task ${taskId}\n`));
  expect(stdout).toContain(`POST /generations  not sent, task ${taskId} is known from before`);
  expect(stdout).toMatch(new RegExp(`GET /generations/\\{id\\} {2}answered, status succeeded, task ${taskId}`));
  expect(stdout).toContain(`…${idempotencyKey!.slice(-12)}`);
  const secrets = ['secret', 'heron', 'private-customer', ...urls, harness.emulator.apiKey, idempotencyKey!];
  for (const secret of secrets) expect(stdout).not.toContain(secret);
});

test('a hold is named by its code; a Workflow without a task says so', async () => {
  const handle = await harness.client.start({ model: 'z-image', prompt: 'held heron' }, { workflowId: 'held' });
  await until(async () => (await stateOf(handle)).phase === 'held');
  await until(async () => (await support('held')).stdout.includes('run 1 of 1'));
  const { stdout } = await support('held');
  expect(stdout).toContain('task: none known');
  expect(stdout).toContain('state here: held by insufficient_credits');
  expect(stdout).toMatch(/POST \/generations {2}failed: insufficient_credits, HTTP status 402, requestId req_\w+/);
});

test('a submit that is being repeated shows its last failure; a key of the caller stays his own', async () => {
  const handle = await harness.client.start(
    { model: 'z-image', prompt: 'slow heron', idempotencyKey: 'acme-7' },
    { workflowId: 'slow' },
  );
  await until(async () => (await handle.describe()).raw.pendingActivities?.[0]?.lastFailure != null);
  const { stdout } = await support('slow');
  expect(stdout).toMatch(/now {2}POST \/generations {2}attempt \d+ is .*failed: public_api_disabled, HTTP status 503/);
  expect(stdout).toContain('idempotency key: one of the caller');
  expect(stdout).not.toContain('acme-7');
});

test('no such ID ends with status 2', async () => {
  expect(await support('nobody')).toMatchObject({ status: 2, stdout: '' });
});
