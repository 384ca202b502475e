/**
 * A batch for money: over HTTPS with a key, on a terminal, where it asks before it spends. `script` gives the command a
 * terminal. The ledger says what was paid.
 */
import { execFileSync, spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { TEST_HOST } from '../api/certificate.js';
import { images, newBatch, ownFolder, tasksByPrompt } from '../support/batch.js';
import { startHarness } from '../support/harness.js';
import { startHttpsApi } from '../support/https-api.js';
import { until } from '../support/until.js';
import { MAIN } from './command.js';

describe.runIf(hasScript()).concurrent('on a terminal, a batch asks before it spends', () => {
  test.each([
    ['yes starts it, and each item is paid once', 'y\r', { status: 0, paid: { fox: 1, owl: 1 } }],
    ['any other answer pays nothing', 'n\r', { status: 2, paid: {} }],
    ['the end of the input (Ctrl-D) pays nothing', '\u0004', { status: 2, paid: {} }],
    ['Ctrl-C pays nothing', '\u0003', { status: 130, paid: {} }],
  ])('%s', async (_, answer, expected) => {
    const emulator = await startEmulator();
    const { cwd, env } = ownFolder(emulator, ['fox', 'owl']);
    await using api = await startHttpsApi(emulator.url, cwd);
    const command = `'${process.execPath}' '${MAIN}' batch run in.csv --store file:out --max-credits 10`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd, env: { ...process.env, ...env, ...api.env } });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const status = new Promise((resolve) => child.once('close', resolve));
    await until(() => /Start 2 items\? \[y\/N\] /.test(said));
    expect(await tasksByPrompt({ emulator })).toEqual({});
    child.stdin.write(answer);
    expect(await status, said).toBe(expected.status);
    expect(await tasksByPrompt({ emulator })).toEqual(expected.paid);
    await emulator.close();
  });

  test('a batch that another command has started meanwhile is left as it is', async () => {
    await using harness = await startHarness({ workers: false });
    const { cwd, env } = ownFolder(harness.emulator, ['owl']);
    await using api = await startHttpsApi(harness.emulator.url, cwd);
    const fox = { batchId: 'in', inputs: images(1, 'fox'), api: TEST_HOST };
    const { files, manifest, start } = await newBatch(harness, fox);
    const settings = { maxInFlight: 50, maxCredits: null, maxFailures: null };
    const head = { version: 1, manifest: manifest.sha256, settings, name: null, balance: null } as const;
    await files.writeHead(head);
    const places = {
      ...harness.temporalEnv,
      RIVYA_STORE: `file:${harness.output}`,
      RIVYA_TASK_QUEUE: harness.taskQueue,
    };
    const command = `'${process.execPath}' '${MAIN}' batch add in in.csv --max-credits 10`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd,
      env: { ...process.env, ...env, ...api.env, ...places },
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const status = new Promise((resolve) => child.once('close', resolve));
    await until(() => /Start 1 items\? \[y\/N\] /.test(said));
    await start();
    child.stdin.write('y\r');
    expect(await status, said).toBe(2);
    expect(said).toMatch(/runs by now.*Nothing was started/);
    expect(await files.head()).toEqual(head);
    expect(await tasksByPrompt(harness)).toEqual({});
  });
});

function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version']).includes('util-linux');
  } catch {
    return false;
  }
}
