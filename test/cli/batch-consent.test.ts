/**
 * A batch for money: over HTTPS with a key, on a terminal, where it asks before it spends. `script` gives the command a
 * terminal. The ledger says what was paid.
 */
import { execFileSync, spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { ownFolder, tasksByPrompt } from '../support/batch.js';
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
});

function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version']).includes('util-linux');
  } catch {
    return false;
  }
}
