/** The examples, as somebody runs them who has read no more than their README. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ledger } from '../../src/emulator/index.js';
import { CommandRun, settingsOfDev } from '../cli/command.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const EXAMPLES = path.join(ROOT, 'examples');
const TSC = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

let directory: string;
let dev: CommandRun;
/** The settings that `dev` prints for other terminals. */
let env: Record<string, string>;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-examples-'));
  // In place of what `npm install` brings: this package, as it was built.
  const link = path.join(EXAMPLES, 'node_modules', 'rivya-temporal');
  await mkdir(path.dirname(link), { recursive: true });
  if (!existsSync(link)) await symlink(ROOT, link, 'junction');
  const home = { XDG_DATA_HOME: path.join(directory, 'data'), RIVYA_RATE_LIMIT_PER_MINUTE: '600' };
  const ports = ['--port', '0', '--ui-port', '0', '--emulator-port', '0'];
  dev = new CommandRun(['dev', ...ports], { cwd: directory, env: home });
  await dev.untilSaid(/Ctrl-C ends it/);
  env = settingsOfDev(dev);
});
afterAll(async () => {
  dev.child.kill('SIGINT');
  await dev.status;
  await rm(directory, { recursive: true });
});

/** Compiles an example and runs it to its end. */
async function start(name: string, ...args: string[]): Promise<string> {
  const cwd = path.join(EXAMPLES, name);
  await run(process.execPath, [TSC], { cwd });
  const { stdout } = await run(process.execPath, ['dist/main.js', ...args], { cwd, env: { ...process.env, ...env } });
  return stdout;
}

async function paid(): Promise<Pick<Ledger, 'tasks' | 'chats'>> {
  const response = await fetch(`${env['RIVYA_BASE_URL']}/__admin/ledger`);
  return (await response.json()) as Ledger;
}

async function tasksOf(word: string): Promise<number> {
  return Object.values((await paid()).tasks).filter(({ prompt }) => prompt?.includes(word)).length;
}

describe.concurrent('an example', () => {
  test('writes a prompt by chat, makes an image and a video from it, and stores both', async () => {
    const film = JSON.parse(await start('prompt-to-video', 'a heron')) as Record<string, string>;
    expect(film).toMatchObject({ prompt: expect.stringContaining('heron'), credits: expect.any(Number) });
    for (const file of [film['image']!, film['video']!]) expect(existsSync(fileURLToPath(file))).toBe(true);
    expect(await tasksOf('heron')).toBe(1);
    expect(await tasksOf('The camera moves')).toBe(1);
    expect(Object.values((await paid()).chats)).toHaveLength(1);
  });

  test('lets a person pick one of four drafts, and runs the expensive model for that one alone', async () => {
    const said = await start('pick-a-draft', 'A lighthouse', '3');
    expect(said).toMatch(/draft 4: http.*\nDraft 3 it is\.\nfinished: file:.* \(5 credits\)/);
    expect(await tasksOf('A lighthouse, sketch')).toBe(4);
    expect(await tasksOf('A lighthouse, finished')).toBe(1);
  });

  test('makes an image a day by a Schedule, and another one when it is triggered again', async () => {
    expect(await start('daily-schedule')).toMatch(/^fox-of-the-day-\d{4}-.*: file:/);
    // Two triggers within one second would be one ID, and so one generation.
    await start('daily-schedule');
    expect(await tasksOf('A fox, as it may look today')).toBe(2);
  });

  test('calls generateMedia by name from Python', async () => {
    const cwd = path.join(EXAMPLES, 'python');
    const packages = path.join(directory, 'python');
    const install = ['-m', 'pip', 'install', '--quiet', '--target', packages, '--requirement', 'requirements.txt'];
    await run('python3', install, { cwd });
    const python = { ...process.env, ...env, PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' };
    const { stdout } = await run('python3', ['main.py', 'a kite'], { cwd, env: python });
    expect(JSON.parse(stdout)).toMatchObject({ taskId: expect.stringMatching(/^task_/), credits: 1 });
    expect(await tasksOf('A poster of a kite')).toBe(1);
  });
});
