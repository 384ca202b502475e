import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { CommandRun } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-demo-'));
const env = { XDG_DATA_HOME: path.join(cwd, 'data') };
let run: CommandRun | null = null;

afterEach(() => {
  if (run?.child.exitCode === null) run.child.kill('SIGKILL');
});

/** Servers answer no more when their processes are gone. */
async function refuses(url: string): Promise<boolean> {
  return fetch(url).then(
    () => false,
    () => true,
  );
}

it('demo makes three real files, also where a key is set, says that it was simulated, and leaves nothing running', async () => {
  // It must not spend: this API would refuse the connection.
  const spending = { RIVYA_API_KEY: 'rvya_sk_real', RIVYA_BASE_URL: 'http://127.0.0.1:1' };
  run = new CommandRun(['demo'], { cwd, env: { ...env, ...spending } });
  await run.untilSaid(/UI at (http\S+)/);
  const ui = /UI at (http:\/\/[\d.:]+)/.exec(run.stderr)?.[1] ?? '';
  const emulator = /emulator at (http:\/\/[\d.:]+)/.exec(run.stderr)?.[1] ?? '';
  expect((await fetch(ui)).status).toBe(200);
  expect(await run.status).toBe(0);
  expect(run.stdout.match(/status +succeeded/g)).toHaveLength(3);
  expect(run.stdout.match(/Temporal +http\S+\/namespaces\/default\/workflows\//g)).toHaveLength(3);
  expect(run.stdout).toMatch(/All of this was simulated/);
  for (const phase of [/queued, .*credits reserved/, /processing, /]) expect(run.stderr).toMatch(phase);
  const files = readdirSync(path.join(cwd, 'output', 'demo'), { recursive: true, encoding: 'utf8' }).filter(
    // Receipts and sidecars are beside the files.
    (name) => !['', '.json'].includes(path.extname(name)) && !name.startsWith('.rivya'),
  );
  expect(files.map((name) => path.extname(name)).toSorted()).toEqual(['.mp3', '.mp4', '.png']);
  const png = files.find((name) => name.endsWith('.png')) ?? '';
  expect(
    readFileSync(path.join(cwd, 'output', 'demo', png))
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
  expect(await refuses(ui)).toBe(true);
  expect(await refuses(emulator)).toBe(true);
});

it('demo that is interrupted ends with 130 and leaves nothing running', async () => {
  run = new CommandRun(['demo'], { cwd, env });
  await run.untilSaid(/task_/);
  const ui = /UI at (http:\/\/[\d.:]+)/.exec(run.stderr)?.[1] ?? '';
  run.child.kill('SIGINT');
  expect(await run.status).toBe(130);
  expect(run.stderr).toMatch(/nothing was paid and nothing goes on/);
  expect(await refuses(ui)).toBe(true);
});
