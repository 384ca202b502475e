/** Output: one JSON document of each command that goes on, and no silence where it cannot be written. */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { CommandRun, MAIN, runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-output-'));

describe('stdout', () => {
  const shell = (line: string): Promise<{ status: number; stderr: string }> =>
    new Promise((resolve) => {
      const command = line.replace('rivya-temporal', `"${process.execPath}" "${MAIN}"`);
      const child = execFile('bash', ['-c', command], { cwd }, (_error, _stdout, stderr) => {
        resolve({ status: child.exitCode ?? -1, stderr });
      });
    });

  test.runIf(process.platform === 'linux')('a full disk is said, with a status that is not 0', async () => {
    const { status, stderr } = await shell('rivya-temporal --help > /dev/full');
    expect(stderr).toMatch(/could not be written.*ENOSPC.*What the command did is done/);
    expect(status).toBe(1);
  });

  test('a pipe that nobody reads is no error', async () => {
    expect(await shell('rivya-temporal --help | true; exit ${PIPESTATUS[0]}')).toEqual({ status: 0, stderr: '' });
  });
});

describe('commands that go on print one JSON document when they are ready', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({ workers: false });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  /** Runs it until it is ready, ends it, and gives the document. */
  async function documentOf(args: string[], env: NodeJS.ProcessEnv): Promise<unknown> {
    const run = new CommandRun([...args, '--json'], { cwd, env: { XDG_DATA_HOME: cwd, ...env } });
    await until(() => run.stdout.endsWith('}\n') || run.child.exitCode !== null);
    run.child.kill('SIGTERM');
    expect(await run.status, run.stderr).toBe(0);
    return JSON.parse(run.stdout);
  }

  test('emulator', async () => {
    expect(await documentOf(['emulator'], {})).toMatchObject({
      RIVYA_BASE_URL: expect.stringMatching(/^http/),
      RIVYA_API_KEY: 'rvya_sk_emulator',
    });
  });

  test('worker', async () => {
    const { emulator, taskQueue, temporalEnv } = harness;
    const env = { ...temporalEnv, RIVYA_TASK_QUEUE: taskQueue, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: 'k' };
    expect(await documentOf(['worker'], env)).toMatchObject({ taskQueue, roles: ['workflows', 'results', 'api'] });
  });

  test('worker, where its settings are wrong', async () => {
    const { status, stdout } = await runCommand(['worker', '--json'], { cwd, env: { ...harness.temporalEnv } });
    expect(JSON.parse(stdout)).toMatchObject({ error: { message: expect.stringContaining('RIVYA_API_KEY') } });
    expect(status).toBe(2);
  });

  test('dev', async () => {
    const ports = ['--port', '0', '--ui-port', '0', '--emulator-port', '0'];
    const dev = await documentOf(['dev', '--memory', ...ports], {});
    expect(dev).toMatchObject({ simulated: true, taskQueue: 'rivya', address: expect.stringMatching(/:\d+$/) });
  });
});

test('demo --json prints one document with its three results', async () => {
  const { status, stdout } = await runCommand(['demo', '--json'], { cwd, env: { XDG_DATA_HOME: cwd } });
  const { simulated, generations } = JSON.parse(stdout) as { simulated: boolean; generations: { status: string }[] };
  expect(simulated).toBe(true);
  expect(generations.map((one) => one.status)).toEqual(['succeeded', 'succeeded', 'succeeded']);
  expect(status).toBe(0);
});
