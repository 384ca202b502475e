/** `generate` as people type it every day: again, in a loop, from a file, to see what it would cost, for files in a folder. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workflowIdOfInput } from '../../src/client.js';
import type { GenerationResult } from '../../src/contract/index.js';
import { idempotencyKey, readInput } from '../../src/policy/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { CommandRun, MAIN, runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-generate-'));
const FOX = ['generate', '--model', 'z-image', '--prompt', 'A red fox'];
let harness: Harness;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  harness = await startHarness({ emulator: { speed: 100 } });
  const { temporalEnv, taskQueue, output, emulator } = harness;
  env = { ...temporalEnv, XDG_DATA_HOME: cwd, RIVYA_TASK_QUEUE: taskQueue, RIVYA_STORE: `file:${output}` };
  env = { ...env, RIVYA_BASE_URL: emulator.url };
  // At the same time, because each takes seconds; the tests attach to them.
  for (const workflowId of ['dry', 'film/shot 1', 'taken', 'changed', 'to open']) {
    await harness.client.start({ model: 'z-image', prompt: 'A red fox' }, { workflowId });
  }
});
afterAll(() => harness[Symbol.asyncDispose]());

const cli = (args: string[], more: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  runCommand(args, { cwd, env: { ...env, ...more } });
const paidFor = async (prompt: string): Promise<number> =>
  Object.values((await harness.emulator.ledger()).tasks).filter((task) => task.prompt === prompt).length;

describe('--id-from-input: the same request is paid once', () => {
  test('also after an interruption, and with other labels and limits; another request is paid', async () => {
    const again = ['generate', '--model', 'z-image', '--prompt', 'A hare', '--id-from-input'];
    const interrupted = new CommandRun(again, { cwd, env });
    await interrupted.untilSaid(/Workflow z-image-a-hare-/);
    interrupted.child.kill('SIGINT');
    expect(await interrupted.status).toBe(130);
    const [first, second, other] = await Promise.all([
      cli([...again, '--json']),
      cli([...again, '--json', '--label', 'shop=a', '--deadline', '1h']),
      cli([...again, '--json', '--param', 'seed:=1']),
    ]);
    expect(JSON.parse(second.stdout)).toEqual(JSON.parse(first.stdout));
    expect(JSON.parse(other.stdout)).toMatchObject({ status: 'succeeded' });
    expect(await paidFor('A hare')).toBe(2);
  });

  const golden = JSON.parse(readFileSync(new URL('../golden/ids.json', import.meta.url), 'utf8')) as {
    readonly input: unknown;
    readonly workflowId: string;
  }[];
  test.each(golden)('is $workflowId in every release', ({ input, workflowId }) => {
    expect(workflowIdOfInput(readInput(input))).toBe(workflowId);
  });
});

describe.concurrent('--prompt-file', () => {
  const promptOf = async (args: string[]): Promise<unknown> => {
    const { stdout } = await cli(['generate', '--model', 'z-image', '--dry-run', '--json', ...args]);
    const { body } = JSON.parse(stdout) as { body: string };
    return (JSON.parse(body) as { prompt: unknown }).prompt;
  };

  test('is the prompt without its last line end, with all that a shell would have changed', async () => {
    await writeFile(path.join(cwd, 'prompt.txt'), '\uFEFF"a $fox"\n\n  it\'s `red`\r\n');
    expect(await promptOf(['--prompt-file', 'prompt.txt'])).toBe('"a $fox"\n\n  it\'s `red`');
  });

  test('- is stdin', async () => {
    const args = [MAIN, 'generate', '--model', 'z-image', '--prompt-file', '-', '--dry-run', '--json'];
    const child = spawn(process.execPath, args, { cwd, env: { ...process.env, ...env } });
    child.stdin.end('a fox\n');
    let stdout = '';
    for await (const chunk of child.stdout) stdout += String(chunk);
    expect(JSON.parse(stdout)).toMatchObject({ body: '{"model":"z-image","prompt":"a fox"}' });
  });

  test.each<[string, string[], RegExp]>([
    ['that is not there', ['--prompt-file', 'nope.txt'], /--prompt-file: nope\.txt cannot be read \(ENOENT\)/],
    ['that is no text', ['--prompt-file', 'image.png'], /--prompt-file: image\.png is no text in UTF-8/],
    ['that is empty', ['--prompt-file', 'empty.txt'], /--prompt-file: is empty/],
    ['beside --prompt', ['--prompt-file', 'empty.txt', '--prompt', 'x'], /cannot be used with/],
  ])('one %s ends with status 2, and nothing is sent', async (_, args, says) => {
    await writeFile(path.join(cwd, 'image.png'), Buffer.from('89504e470d0a1a0aff', 'hex'));
    await writeFile(path.join(cwd, 'empty.txt'), '\n');
    const { status, stderr } = await cli(['generate', '--model', 'z-image', ...args]);
    expect(stderr).toMatch(says);
    expect(status).toBe(2);
  });
});

describe.concurrent('--dry-run', () => {
  // Nothing listens there.
  const noTemporal = { TEMPORAL_ADDRESS: '127.0.0.1:1', TEMPORAL_NAMESPACE: 'shop' };
  const plan = async (args: string[], more: NodeJS.ProcessEnv = {}, ends = 0) => {
    const { status, stdout } = await cli([...FOX, '--dry-run', '--json', ...args], { ...noTemporal, ...more });
    expect(status).toBe(ends);
    return JSON.parse(stdout) as Record<'workflowId' | 'body' | 'idempotencyKey', string> & { notes: string[] };
  };

  test('says the bytes, key and price of what is then posted, without Temporal', async () => {
    const said = await plan(['--id', 'dry'], { TEMPORAL_NAMESPACE: harness.namespace });
    expect(said).toMatchObject({ dryRun: true, workflowId: 'dry', startingPrice: 1, taskId: null });
    await harness.client.handle('dry').result();
    const { keys } = await harness.emulator.ledger();
    expect(keys[said.idempotencyKey]).toMatchObject({ posts: 1, bodies: [said.body] });
  });

  test('says that a random ID is paid at each start, and what to give instead', async () => {
    const { workflowId, idempotencyKey: key, notes } = await plan([]);
    expect(notes.join()).toMatch(new RegExp(`random: each start .* is paid.*--id ${workflowId}.*--id-from-input`));
    expect(key).toBe(idempotencyKey({ use: 'generation', namespace: 'shop', workflowId, number: 1 }));
    expect((await plan(['--id-from-input'])).notes.join()).not.toMatch(/random/);
  });

  test('names references in place of the addresses of their uploads', async () => {
    const { body, notes } = await plan([
      '--reference',
      'image:/in/fox.png',
      '--reference',
      'image:https://x.example/a',
    ]);
    expect(JSON.parse(body)).toMatchObject({
      params: { referenceMediaItems: [{ url: '<upload of /in/fox.png>' }, { url: 'https://x.example/a' }] },
    });
    expect(notes.join()).toMatch(/uploaded before the submit/);
  });

  test('leaves the price out where the list of models cannot be had, and says why', async () => {
    const said = await plan(['--id', 'x'], { RIVYA_BASE_URL: 'http://127.0.0.1:1' });
    expect(said).toMatchObject({
      startingPrice: null,
      notes: expect.arrayContaining([expect.stringMatching(/price/)]),
    });
  });

  test('says that a price is above --max-credits, and that a task is only waited for', async () => {
    const dear = await plan(['--id', 'x', '--model', 'kling-2-6', '--max-credits', '10'], {}, 2);
    expect(dear.notes.join()).toMatch(/--max-credits allows 10 credits, and "kling-2-6" starts at 55/);
    expect(await plan(['--id', 'x', '--task-id', 'task_1'])).toMatchObject({ taskId: 'task_1', body: null });
  });

  test('says what a Worker would refuse by the list of models, in flags, and ends with status 2', async () => {
    const { notes } = await plan(['--id', 'x', '--model', 'zimage'], {}, 2);
    expect(notes.join()).toMatch(
      /A Worker would refuse it: --model: the list of models has no "zimage" \(did you mean "z-image"/,
    );
  });

  test('is readable without --json', async () => {
    const { stdout, stderr } = await cli([...FOX, '--dry-run', '--id', 'x', '--max-attempts', '2'], noTemporal);
    expect(stdout).toMatch(/starting price +1 credit for each of 2 attempts at most/);
    expect(stdout).toMatch(/body +\{"model":"z-image","prompt":"A red fox"\}/);
    expect(stderr).toMatch(/Nothing was started, sent or paid/);
  });
});

test('a budget that a Worker refuses names the flag, also in the JSON document, and nothing is paid', async () => {
  const dear = ['generate', '--model', 'kling-2-6', '--prompt', 'An elk', '--max-credits', '10'];
  const { status, stdout, stderr } = await cli([...dear, '--json']);
  const { error } = JSON.parse(stdout) as { error: { message: string; action: string } };
  expect(error.message).toMatch(/^--max-credits allows 10 credits, and "kling-2-6" starts at 55/);
  expect(error.action).toMatch(/^Give a larger --max-credits/);
  expect(stdout + stderr).not.toContain('options.');
  expect(status).toBe(1);
  expect(await paidFor('An elk')).toBe(0);
});

describe('--output', () => {
  const folder = path.join(cwd, 'media', 'new');
  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  const reset = async (): Promise<void> => rm(folder, { recursive: true, force: true });

  test('gives the files by the ID, whole; a second time nothing changes', async () => {
    await reset();
    const again = [...FOX, '--id', 'film/shot 1', '--output', folder];
    const { status, stdout } = await cli([...again, '--json']);
    const { copies, files } = JSON.parse(stdout) as GenerationResult & { copies: { file: string }[] };
    expect(status).toBe(0);
    expect(copies).toMatchObject([{ file: expect.stringMatching(/film-shot-1-[0-9a-f]{12}-1\.png$/), problem: null }]);
    expect(sha256(await readFile(copies[0]!.file))).toBe(files[0]!.sha256);
    const second = await cli(again);
    expect(second).toMatchObject({ status: 0, stdout: expect.stringContaining(`copied  ${copies[0]!.file}`) });
    expect(await readdir(folder)).toHaveLength(1);
  });

  test('never replaces another file, and wait gives it once that is out of the way', async () => {
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, 'taken-1.png');
    await writeFile(file, 'my own');
    const { status, stdout, stderr } = await cli([...FOX, '--id', 'taken', '-o', folder]);
    expect(stdout).toMatch(/status +succeeded/);
    expect(stderr).toMatch(/taken-1\.png exists with another content, and is not replaced/);
    expect(stderr).toContain(`rivya-temporal wait taken --output ${folder}`);
    expect(status).toBe(5);
    expect(await readFile(file, 'utf8')).toBe('my own');
    await rm(file);
    expect((await cli(['wait', 'taken', '-o', folder])).status).toBe(0);
    expect((await readFile(file)).length).toBeGreaterThan(100);
  });

  test('leaves nothing of a file that is not the one of the result', async () => {
    await reset();
    const { files } = await harness.client.handle('changed').result();
    await writeFile(fileURLToPath(files[0]!.uri), 'changed');
    const { status, stderr } = await cli(['wait', 'changed', '-o', folder]);
    expect(stderr).toMatch(/its SHA-256 in the store is [0-9a-f]{64}, and the result says/);
    expect(status).toBe(5);
    expect(await readdir(folder)).toEqual([]);
    await rm(fileURLToPath(files[0]!.uri));
    expect((await cli(['wait', 'changed', '-o', folder])).stderr).toMatch(/not in the store any more/);
  });

  test.each<[string, string[], NodeJS.ProcessEnv, RegExp]>([
    ['without a store', ['-o', 'x'], { RIVYA_STORE: '' }, /--output: needs the store of the Workers/],
    ['in the place of a file', ['-o', 'file'], {}, /--output: file cannot be written \(EEXIST\)/],
    ['with --no-wait', ['-o', 'x', '--no-wait'], {}, /cannot be used with/],
  ])('%s ends with status 2 before anything is paid', async (_, args, more, says) => {
    await writeFile(path.join(cwd, 'file'), '');
    const { status, stderr } = await cli(['generate', '--model', 'z-image', '--prompt', 'An owl', ...args], more);
    expect(stderr).toMatch(says);
    expect(status).toBe(2);
    expect(await paidFor('An owl')).toBe(0);
  });
});

describe('for people', () => {
  const ESC = '\u001b';

  test.runIf(process.platform === 'linux')('a terminal has one line of progress, and its state in colour', async () => {
    const own = Object.entries(process.env).filter(([name]) => !/^(NO|FORCE)_COLOR$/.test(name));
    const command = `"${process.execPath}" "${MAIN}" generate --model z-image --prompt 'A wolf' --id wolf`;
    const script = ['-qec', command, '/dev/null'];
    const child = spawn('script', script, { cwd, env: { ...Object.fromEntries(own), ...env, TERM: 'xterm' } });
    child.stdin.end();
    let screen = '';
    for await (const chunk of child.stdout) screen += String(chunk);
    expect(screen).toContain(`wolf: ${ESC}[32msucceeded${ESC}[39m, `);
    // A terminal goes one line up and clears from there, so the line before is not seen any more.
    const parts = screen.split(`\n${ESC}[1A${ESC}[0J`);
    expect(parts.length).toBeGreaterThan(2);
    const seen = parts.map((part, n) => (n < parts.length - 1 ? part.slice(0, part.lastIndexOf('\n') + 1) : part));
    expect(seen.join('').match(/^wolf: /gm)).toHaveLength(1);
  });

  test('elsewhere each state has one plain line; FORCE_COLOR colours, NO_COLOR and --json do not', async () => {
    const piped = await cli(['generate', '--model', 'z-image', '--prompt', 'A lynx', '--id', 'lynx']);
    expect(piped.stderr.match(/^lynx: succeeded, \d/gm)).toHaveLength(1);
    expect(piped.stdout + piped.stderr).not.toContain(ESC);
    const wait = (args: string[], more: NodeJS.ProcessEnv) => cli(['wait', 'lynx', ...args], more);
    const [forced, none, json] = await Promise.all([
      wait([], { FORCE_COLOR: '1' }),
      wait([], { FORCE_COLOR: '1', NO_COLOR: '1' }),
      wait(['--json'], { FORCE_COLOR: '1' }),
    ]);
    expect(forced.stdout).toContain(`${ESC}[32msucceeded`);
    expect(none.stdout + json.stdout).not.toContain(ESC);
  });
});

test('open prints the address in the UI, and that no browser opened is no error', async () => {
  const ui = { RIVYA_UI_URL: 'http://ui.example', PATH: '' };
  const address = `http://ui.example/namespaces/${harness.namespace}/workflows/to%20open`;
  const plain = await cli(['open', 'to open'], ui);
  expect(plain).toMatchObject({ status: 0, stdout: `${address}\n`, stderr: expect.stringMatching(/ENOENT/) });
  const json = await cli(['open', 'to open', '--json'], ui);
  expect(JSON.parse(json.stdout)).toEqual({ workflowId: 'to open', url: address });
  expect(await cli(['open', 'nope'], ui)).toMatchObject({ status: 2, stdout: '' });
  const none = await cli(['open', 'to open']);
  expect(none).toMatchObject({ status: 2, stderr: expect.stringMatching(/RIVYA_UI_URL/) });
});
