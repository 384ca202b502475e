import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ACCOUNT_MEMO_FIELD, accountWorkflowId, DEFAULT_TASK_QUEUE } from '../../src/contract/index.js';
import type { AccountState, GenerationResult } from '../../src/contract/index.js';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { drawPicture } from '../../src/emulator/picture.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand, settingsOfDev } from './command.js';

// The commands talk to a `dev` in another process, as a person would have it.
const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-dev-'));
// Many generations at a time would wait for the default limit.
const env = { XDG_DATA_HOME: path.join(cwd, 'data'), RIVYA_RATE_LIMIT_PER_MINUTE: '600' };
const sessionFile = path.join(cwd, 'data', 'rivya-temporal', 'dev.json');
const cli = (...args: string[]) => runCommand(args, { cwd, env });
let dev: CommandRun;
let address = '';

beforeAll(async () => {
  dev = new CommandRun(['dev', '--port', '0', '--ui-port', '0'], { cwd, env });
  await dev.untilSaid(/Ctrl-C ends it/);
  address = (JSON.parse(readFileSync(sessionFile, 'utf8')) as { address: string }).address;
});

/** Lets the tasks of `dev` end that have this in their prompt. */
async function endTasks(prompt: string): Promise<void> {
  const url = `${settingsOfDev(dev)['RIVYA_BASE_URL']}/__admin/end`;
  expect((await fetch(url, { method: 'POST', body: JSON.stringify({ prompt }) })).status).toBe(200);
}

afterAll(async () => {
  dev.child.kill('SIGINT');
  await dev.status;
});

describe.concurrent('generate', () => {
  it('prints one JSON document with the result and keeps the file', async () => {
    const { status, stdout, stderr } = await cli(
      'generate',
      '--model',
      'z-image',
      '--prompt',
      'a fox',
      '--id',
      'json',
      '--json',
    );
    const result = JSON.parse(stdout) as GenerationResult;
    expect(result).toMatchObject({
      workflowId: 'json',
      status: 'succeeded',
      model: 'z-image',
      finalCredits: 1,
      simulated: true,
      reused: false,
    });
    const file = fileURLToPath(result.files[0]?.uri ?? '');
    expect(statSync(file).size).toBe(result.files[0]?.bytes);
    expect(stderr).toMatch(/queued.*task_/);
    expect(status).toBe(0);
    const again = await cli('generate', '--model', 'z-image', '--prompt', 'a fox', '--id', 'json', '--json');
    expect((JSON.parse(again.stdout) as GenerationResult).taskId).toBe(result.taskId);
    const other = await cli('generate', '--model', 'z-image', '--prompt', 'a cat', '--id', 'json');
    expect(other).toMatchObject({ status: 2, stdout: '' });
  });

  it('ends with status 1 and says what became of the money when the task fails', async () => {
    const { status, stdout } = await cli('generate', '--model', 'z-image', '--prompt', 'x [[fail]]', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'failed',
      taskId: expect.stringMatching(/^task_/),
      reservedCredits: 1,
      finalCredits: 0,
      error: { code: 'GenerationFailed' },
    });
    expect(status).toBe(1);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'on %s leaves the Workflow running, says how to take it up, and wait does',
    async (signal) => {
      const id = `left-${signal}`;
      const prompt = `${id} [[stuck]]`;
      const run = new CommandRun(['generate', '--model', 'z-image', '--prompt', prompt, '--id', id], { cwd, env });
      await run.untilSaid(/task_/);
      run.child.kill(signal);
      expect(await run.status).toBe(130);
      expect(run.stderr).toContain(`${id} goes on; wait for it with: npx rivya-temporal wait ${id}`);
      const { stdout } = await cli('status', id, '--json');
      expect(JSON.parse(stdout)).toMatchObject({ workflowStatus: 'RUNNING', source: 'query' });
      await endTasks(id);
      const waited = await cli('wait', id, '--json');
      expect(JSON.parse(waited.stdout)).toMatchObject({ workflowId: id, status: 'succeeded' });
      expect(waited.status).toBe(0);
    },
  );

  it('resume, check-now, change-deadline and cancel steer it; what cannot be resumed is refused with status 2', async () => {
    const start = (id: string, prompt: string) =>
      cli('generate', '--model', 'z-image', '--prompt', prompt, '--id', id, '--no-wait');
    await start('steered', 'x [[stuck]]');
    expect(await cli('resume', 'steered')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Nothing is held here'),
    });
    expect(await cli('check-now', 'steered')).toMatchObject({ status: 0, stdout: expect.stringContaining('5 s') });
    expect(await cli('change-deadline', 'steered', '--to', '12h')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('The deadline is 12h after the first submit'),
    });
    expect(await cli('change-deadline', 'steered')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--to: is missing'),
    });
    const wrong = await cli('change-deadline', 'steered', '--to', 'soon');
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('must be from 1 s to 30 d') });
    const cancelled = await cli('cancel', 'steered');
    expect(cancelled).toMatchObject({ status: 0, stdout: expect.stringMatching(/Task task_\w+ goes on at Rivya/) });
    const waited = await cli('wait', 'steered', '--json');
    expect(waited.status).toBe(1);
    expect(JSON.parse(waited.stdout)).toMatchObject({
      error: { code: 'Cancelled' },
      taskId: expect.stringMatching(/^task_/),
    });
    expect(await cli('resume', 'nobody')).toMatchObject({ status: 2 });
  });

  it('with --no-wait starts only; status and list show it', async () => {
    const started = await cli(
      'generate',
      '--model',
      'z-image',
      '--prompt',
      'a fox',
      '--id',
      'started',
      '--no-wait',
      '--json',
    );
    expect(JSON.parse(started.stdout)).toEqual({ workflowId: 'started', status: 'started' });
    expect((await cli('wait', 'started')).stdout).toMatch(/status +succeeded[\s\S]*file .*\.png/);
    expect((await cli('status', 'started')).stdout).toMatch(/completed[\s\S]*task_/);
    const { generations } = JSON.parse((await cli('list', '--json')).stdout) as {
      generations: { workflowId: string }[];
    };
    expect(generations.map(({ workflowId }) => workflowId)).toContain('started');
  });
});

it.each(['wait', 'status'])('%s ends with status 2 for an ID that does not exist', async (command) => {
  const { status, stderr } = await cli(command, 'nobody');
  expect(stderr).toContain('There is no Workflow "nobody"');
  expect(status).toBe(2);
});

it('charges finds the store of dev', async () => {
  const { stdout, status } = await cli('charges', '--json');
  expect(JSON.parse(stdout)).toMatchObject({
    source: 'store',
    generations: expect.arrayContaining([expect.objectContaining({ workflowId: 'json' })]),
  });
  expect(status).toBe(0);
});

it('doctor finds everything in order and says what is of dev, and the health check is silent', async () => {
  const { status, stdout } = await cli('doctor', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ ok: true });
  expect(stdout).not.toContain('"level": "warn"');
  expect(status).toBe(0);
  const { findings } = JSON.parse(stdout) as { findings: { name: string; says: string }[] };
  const says = (name: string) => findings.find((finding) => finding.name === name)?.says;
  expect(says('API key')).toContain('emulator of "dev", as none is set here');
  expect(says('store')).toMatch(/^file:.*output can be written; that of "dev"/);
  expect(await cli('doctor', '--live')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/no API key \("dev" needs none: it asks its emulator\), so nothing was sent/),
  });
  expect(await cli('doctor', '--worker')).toEqual({ status: 0, stdout: '', stderr: '' });
});

it('a program in another language starts generateMedia by name and gets its JSON result', async () => {
  const temporal = await findServerBinary({ log: () => undefined });
  const input = JSON.stringify({ model: 'z-image', prompt: 'a fox' });
  const args = [
    'workflow',
    'execute',
    '--address',
    address,
    '--type',
    'generateMedia',
    '--task-queue',
    'rivya',
    '--workflow-id',
    'foreign',
    '--input',
    input,
    '--output',
    'json',
  ];
  const { stdout } = await promisify(execFile)(temporal, args);
  expect(JSON.parse(stdout)).toMatchObject({ result: { status: 'succeeded', model: 'z-image', simulated: true } });
});

describe('generate that meets a cause which all share', () => {
  const open = async (): Promise<boolean> => {
    const connection = await Connection.connect({ address });
    const { memo } = await accountOf(connection).describe();
    await connection.close();
    const { causes = [] } = (memo?.[ACCOUNT_MEMO_FIELD] ?? {}) as Partial<AccountState>;
    return causes.length > 0;
  };
  const accountOf = (connection: Connection) =>
    new Client({ connection }).workflow.getHandle(accountWorkflowId(DEFAULT_TASK_QUEUE));
  /** The credits of the emulator were never gone, so no more of them end the cause. */
  async function release(): Promise<void> {
    await until(open);
    const connection = await Connection.connect({ address });
    await accountOf(connection).executeUpdate('release', { args: [{ code: 'insufficient_credits' }] });
    await connection.close();
  }

  it('ends with status 4 at the first hold without a terminal, and says what to do', async () => {
    const { status, stdout, stderr } = await cli(
      'generate',
      '--model',
      'z-image',
      '--prompt',
      'x [[code:insufficient_credits]]',
      '--id',
      'held',
      '--json',
    );
    expect(JSON.parse(stdout)).toMatchObject({
      workflowId: 'held',
      status: 'held',
      taskId: null,
      error: { code: 'insufficient_credits' },
    });
    expect(stderr).toContain('rivya-temporal wait held');
    expect(status).toBe(4);
    expect((await cli('list', '--status', 'held')).stdout).toMatch(/^held +held/m);
    expect((await cli('cancel', 'held')).status).toBe(0);
    await release();
  });

  it('goes on when the account releases it', async () => {
    await until(async () => !(await open()));
    await cli('generate', '--model', 'z-image', '--prompt', 'x [[code:insufficient_credits:1]]', '--id', 'mended');
    expect(await cli('resume', 'mended', '--task-id', 'task_x')).toMatchObject({ status: 2 });
    await release();
    await until(async () => (await cli('status', 'mended', '--json')).stdout.includes('"succeeded"'));
    expect(await cli('wait', 'mended')).toMatchObject({ status: 0 });
  });
});

describe('dev with a data directory of its own', () => {
  const home = path.join(cwd, 'home');
  const files = path.join(cwd, 'files');
  const kept = path.join(cwd, 'kept');
  let own: CommandRun;

  beforeAll(async () => {
    mkdirSync(files);
    const args = ['--port', '0', '--ui-port', '0', '--emulator-port', '0', '--reference-root', cwd];
    own = new CommandRun(['dev', '--data-dir', kept, ...args], { cwd: files, env: { XDG_DATA_HOME: home } });
    await own.untilSaid(/Ctrl-C ends it/);
  });
  afterAll(async () => {
    own.child.kill('SIGINT');
    await own.status;
  });

  it('is reached from another terminal by the one line that it prints, and from one of the same user without it', async () => {
    const stranger = { XDG_DATA_HOME: path.join(cwd, 'stranger'), ...settingsOfDev(own) };
    const elsewhere = { cwd: tmpdir(), env: stranger };
    const generate = ['generate', '--model', 'z-image', '--prompt', 'a fox', '--id', 'far', '--json'];
    const { stdout } = await runCommand(generate, elsewhere);
    const {
      files: [file],
    } = JSON.parse(stdout) as GenerationResult;
    expect(fileURLToPath(file?.uri ?? '')).toContain(files);
    for (const terminal of [elsewhere, { cwd: tmpdir(), env: { XDG_DATA_HOME: home } }]) {
      expect((await runCommand(['list'], terminal)).stdout).toMatch(/^far +completed/m);
      expect((await runCommand(['status', 'far'], terminal)).stdout).toContain(
        `${settingsOfDev(own)['RIVYA_UI_URL']}/`,
      );
      const charges = JSON.parse((await runCommand(['charges', '--json'], terminal)).stdout) as object;
      expect(charges).toMatchObject({ source: 'store', generations: [{ workflowId: 'far' }] });
    }
  });

  it('says which rate limit applies: the documented default', () => {
    expect(own.stderr).toContain('at most 60 API calls a minute (RIVYA_RATE_LIMIT_PER_MINUTE)');
  });

  it('reads references below --reference-root, and no others', async () => {
    const [inside, outside] = [
      path.join(cwd, 'fox.png'),
      path.join(mkdtempSync(path.join(tmpdir(), 'rivya-')), 'a.png'),
    ];
    for (const file of [inside, outside]) writeFileSync(file, drawPicture('a fox', 'z-image', {}));
    const terminal = { cwd, env: { XDG_DATA_HOME: home } };
    const edit = ['generate', '--model', 'gpt-image-2', '--prompt', 'a fox', '--reference'];
    const [read, refused] = await Promise.all(
      [inside, outside].map((file) => runCommand([...edit, `image:${file}`], terminal)),
    );
    expect(read?.status).toBe(0);
    expect(refused).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--reference\[0\].*RIVYA_REFERENCE_ROOTS/),
    });
  });

  it('keeps that directory to itself, and leaves the commands to a dev that was there before', async () => {
    const args = ['dev', '--port', '0', '--ui-port', '0', '--emulator-port', '0'];
    const same = await runCommand([...args, '--data-dir', kept], { cwd: files, env });
    // It is not found by its file, which belongs to another home: the database is locked.
    expect(same).toMatchObject({ status: 2, stderr: expect.stringContaining('uses the same database file') });
    const third = new CommandRun([...args, '--memory'], { cwd: files, env: { XDG_DATA_HOME: home } });
    await third.untilSaid(/All that another terminal needs first: export[^]*Ctrl-C ends it/);
    third.child.kill('SIGINT');
    expect(await third.status).toBe(0);
    expect((await runCommand(['status', 'far'], { cwd, env: { XDG_DATA_HOME: home } })).status).toBe(0);
  });
});

it('prints where Temporal is for Workers of your own, which is not at the default port', async () => {
  const told = settingsOfDev(dev);
  expect(told).toMatchObject({ TEMPORAL_ADDRESS: address, RIVYA_BASE_URL: expect.stringMatching(/^http:/) });
  expect(address).not.toMatch(/:7233$/);
  // There is one only where Temporal's settings name it.
  expect(told).not.toHaveProperty('TEMPORAL_NAMESPACE');
  // It has nothing else to find the server by; the queue of its own leaves the work of other tests alone.
  const elsewhere = { XDG_DATA_HOME: path.join(cwd, 'elsewhere'), RIVYA_TASK_QUEUE: 'mine' };
  const worker = new CommandRun(['worker'], { cwd, env: { ...told, ...elsewhere } });
  await worker.untilSaid(/^Worker .*, task queue mine/m);
  worker.child.kill('SIGKILL');
  await worker.status;
  expect(worker.stderr).toContain(`at ${address}, namespace default`);
});

it('prints the namespace too where it is another one', async () => {
  const connection = await Connection.connect({ address });
  const workflowExecutionRetentionPeriod = { seconds: 86_400 as never };
  await connection.workflowService.registerNamespace({ namespace: 'films', workflowExecutionRetentionPeriod });
  await connection.close();
  const temporal = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'films' };
  const args = ['dev', '--memory', '--data-dir', path.join(cwd, 'films'), '--emulator-port', '0'];
  const other = new CommandRun(args, { cwd, env: { ...env, ...temporal } });
  await other.untilSaid(/Ctrl-C ends it/);
  other.child.kill('SIGINT');
  expect(await other.status).toBe(0);
  expect(settingsOfDev(other)).toMatchObject(temporal);
});

it('a second dev on the same data directory is told so', async () => {
  const { status, stderr } = await cli('dev');
  expect(stderr).toMatch(/Another "dev"/);
  expect(status).toBe(2);
});

it('dev keeps its file to itself, ends with Ctrl-C, and the next one goes on where it was', async () => {
  expect(statSync(sessionFile).mode & 0o777).toBe(0o600);
  await cli('generate', '--model', 'z-image', '--prompt', 'kept [[stuck]]', '--id', 'kept', '--no-wait');
  const { stdout } = await cli('status', 'kept', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ workflowStatus: 'RUNNING' });
  dev.child.kill('SIGINT');
  expect(await dev.status).toBe(0);
  expect(existsSync(sessionFile)).toBe(false);
  dev = new CommandRun(['dev', '--port', '0', '--ui-port', '0'], { cwd, env });
  await dev.untilSaid(/Ctrl-C ends it/);
  await endTasks('kept');
  const waited = await cli('wait', 'kept', '--json');
  expect(JSON.parse(waited.stdout)).toMatchObject({ status: 'succeeded' });
});
