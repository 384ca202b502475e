import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-usage-'));
const notADirectory = path.join(cwd, 'file');
writeFileSync(notADirectory, '');
// Nothing listens there: whoever tries to connect ends with 3, so 2 proves that it was not even tried.
const env = { XDG_DATA_HOME: cwd, TEMPORAL_ADDRESS: `127.0.0.1:${await closedPort()}` };
const generate = ['generate', '--model', 'z-image', '--prompt', 'a fox'];

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.concurrent('P8: bad input ends with status 2, names the place, and sends nothing', () => {
  it.each<[string, string[], RegExp, Record<string, string>?]>([
    ['an unknown command', ['nope'], /nope/],
    ['an unknown option', [...generate, '--nope'], /--nope/],
    ['an argument too many', ['list', 'x'], /too many arguments/],
    ['no model', ['generate', '--prompt', 'x'], /--model: is missing/],
    ['neither prompt nor params', ['generate', '--model', 'z-image'], /--prompt: is missing/],
    ['an empty prompt', ['generate', '--model', 'z-image', '--prompt', ''], /--prompt: is empty/],
    ['params that are not JSON', [...generate, '--param', 'a:={'], /--param a: is not JSON/],
    ['an inexact number', [...generate, '--param', 'seed:=12345678901234567890'], /--param seed: /],
    ['an inexact number in JSON', [...generate, '--param', 'a:={"seed":1e400}'], /--param a\.seed: /],
    ['a param that is given twice', [...generate, '--param', 'a=1', '--param', 'a:="2"'], /--param a: .*twice/],
    ['a long Workflow ID', [...generate, '--id', 'é'.repeat(128)], /--id: is longer than 255 bytes/],
    [
      'several at once',
      [
        ...generate,
        '--deadline',
        'a while',
        '--max-attempts',
        '99',
        '--max-credits',
        'x',
        '--param',
        'a',
        '--label',
        'b',
      ],
      /^--param: .*\. --label: .*\. --max-attempts: must .*\. --deadline: must .*\. --max-credits: must .* Nothing was sent/,
    ],
    ['no attempts', [...generate, '--max-attempts', '0'], /--max-attempts: must be/],
    ['no credits', [...generate, '--max-credits', '0'], /--max-credits: must be/],
    ['a deadline that is none', [...generate, '--deadline', 'soon'], /--deadline: must be/],
    ['another word for a hold', [...generate, '--on-action-needed', 'stop'], /--on-action-needed: must be/],
    ['an unknown store', generate, /RIVYA_STORE: .*ftp:/, { RIVYA_STORE: 'ftp://x' }],
    ['plain HTTP to another host', generate, /RIVYA_BASE_URL: .*HTTPS/, { RIVYA_BASE_URL: 'http://example.com' }],
    [
      'a directory that cannot be written',
      ['worker'],
      /RIVYA_STORE: .*cannot be written/,
      { RIVYA_API_KEY: 'k', RIVYA_STORE: `file:${notADirectory}/x` },
    ],
    ['a Worker without a key', ['worker'], /RIVYA_API_KEY/],
    ['a data directory that cannot be made', ['dev', '--data-dir', `${notADirectory}/x`], /--data-dir: /],
    ['a port that is none', ['dev', '--port', '65536'], /--port/],
    ['a status that is none', ['list', '--status', 'lost'], /--status.*held:<code>/],
    ['a label without a value', ['list', '--label', 'shop'], /label.*name=value/],
    ['a limit of 0', ['list', '--limit', '0'], /--limit/],
    ['a query that is empty', ['recover', '--query', ''], /--query: is empty/],
    ['neither an ID nor a query', ['resume'], /workflow-id, --query: give one of them, not 0/],
    ['an ID and a query', ['cancel', 'fox', '--query', 'x'], /workflow-id, --query: give one of them, not 2/],
    ['an empty query for many', ['check-now', '--query', ' '], /--query: is empty/],
    ['one step for many', ['resume', '--query', 'x', '--step', 'a'], /--step: .*cannot go with --query/],
    ['one task for many', ['resume', '--query', 'x', '--task-id', 'task_1'], /--task-id: .*cannot go with --query/],
    ['an empty reason for many', ['resume', '--query', 'x', '--reason', '', '--yes'], /reason: /],
    ['a time that is none', ['charges', '--since', 'soon'], /--since.*7d/],
    ['a day that does not exist', ['charges', '--since', '2026-02-30'], /--since.*day of the calendar/],
    ['such a day with a time', ['charges', '--since', '2026-06-31T12:00:00Z'], /--since.*day of the calendar/],
    ['a group that is no label', ['charges', '--group-by', 'team'], /label\.team/],
    ['receipts without a store', ['charges', '--from', 'store'], /RIVYA_STORE/],
    ['a rate of 0', ['account', 'set-rate', '0'], /rate: must be .* from 1 to 100000.* account stop/],
    ['a rate below 0', ['account', 'set-rate', '-5'], /-5/],
    ['a rate above 100,000', ['account', 'set-rate', '100001'], /rate: must be .* from 1 to 100000/],
    ['a rate that is no number', ['account', 'set-rate', 'many'], /rate: must be .*"many"/],
    ['no rate', ['account', 'set-rate'], /calls-a-minute/],
    ['an unknown cause', ['account', 'release', 'nope'], /code: must be one of .*insufficient_credits.*rate_limited/],
    ['an empty reason for a stop', ['account', 'stop', '--reason', ' '], /--reason: is empty/],
    ['an unknown command of the account', ['account', 'nope'], /nope|too many arguments/],
    ['an unknown command of a group', ['batch', 'nope'], /nope/],
    ['no such batch', ['batch', 'report', 'nope', '--store', `file:${cwd}`], /no batch "nope" in the store file:/],
    ['a store that is none', ['batch', 'report', 'spring', '--store', 'ftp://x'], /--store: .*ftp:/],
    ['an unknown category', ['models', '--category', 'smell'], /--category/],
    ['an unknown switch', ['emulator', '--switch', 'nope=1'], /nope/],
    ['faults that are no array', ['emulator', '--faults', '{}'], /--faults/],
    ['credits without a key', ['credits'], /no API key/, { RIVYA_BASE_URL: 'http://127.0.0.1:1' }],
  ])('%s', async (_, args, says, settings = {}) => {
    const { status, stdout, stderr } = await runCommand(args, { cwd, env: { ...env, ...settings } });
    expect(stderr).toMatch(says);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(status).toBe(2);
  });

  it('says it as one JSON document with --json', async () => {
    const { status, stdout } = await runCommand(['generate', '--prompt', 'x', '--json'], { cwd, env });
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'error',
      error: { message: expect.stringContaining('--model') },
    });
  });
});

describe.concurrent('without Temporal or the API', () => {
  it.each(['generate', 'wait', 'status', 'list', 'worker'])(
    '%s ends with status 3 and one sentence',
    async (command) => {
      const args =
        { generate, wait: ['wait', 'x'], status: ['status', 'x'], list: ['list'], worker: ['worker'] }[command] ?? [];
      const { status, stderr } = await runCommand(args, { cwd, env: { ...env, RIVYA_API_KEY: 'rvya_sk_secret' } });
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(/Temporal cannot be reached at .*rivya-temporal dev/);
      expect(stderr).not.toContain('secret');
      expect(status).toBe(3);
    },
  );

  it('models and credits end with status 3, and no key is shown', async () => {
    const settings = {
      ...env,
      RIVYA_BASE_URL: `http://127.0.0.1:${await closedPort()}`,
      RIVYA_API_KEY: 'rvya_sk_secret',
    };
    for (const command of ['models', 'credits']) {
      const { status, stderr } = await runCommand([command], { cwd, env: settings });
      expect(stderr).not.toContain('secret');
      expect(status).toBe(3);
    }
  });
});

it('a misspelt setting is one warning on stderr, of a command and of a Worker, and no error', async () => {
  const misspelt = { XDG_DATA_HOME: cwd, RIVYA_RATE_LIMIT: '5', RIVYA_API_KEY: '' };
  const warning =
    'Warning: RIVYA_RATE_LIMIT is no setting, so it has no effect. Did you mean RIVYA_RATE_LIMIT_PER_MINUTE?';
  const emulator = await startEmulator();
  const command = await runCommand(['models', '--json'], { cwd, env: { ...misspelt, RIVYA_BASE_URL: emulator.url } });
  expect(command).toMatchObject({ status: 0, stderr: `${warning}\n` });
  await emulator.close();
  const program = fileURLToPath(new URL('../../dist/worker.js', import.meta.url));
  const worker = spawnSync(process.execPath, [program], {
    cwd,
    env: { ...process.env, ...misspelt },
    encoding: 'utf8',
  });
  expect(worker.stderr).toMatch(new RegExp(`^${warning.replace('?', '\\?')}\nRIVYA_API_KEY: `));
  expect(worker.status).toBe(2);
});

it('credits and models ask the API of the settings', async () => {
  const emulator = await startEmulator({ credits: 77, switches: { modelParams: 'key' } });
  // Without a Temporal whose Workers could ask.
  const settings = { XDG_DATA_HOME: cwd, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: emulator.apiKey };
  expect((await runCommand(['credits'], { cwd, env: settings })).stdout).toBe('77\n');
  const models = await runCommand(['models', '--category', 'audio', '--json'], { cwd, env: settings });
  expect(JSON.parse(models.stdout)).toMatchObject({ simulated: true, models: [{ category: 'audio' }, {}, {}] });
  const effect = 'elevenlabs-sound-effect-v2';
  const one = await runCommand(['models', effect], { cwd, env: settings });
  const facts = new RegExp(
    [
      `^${effect}\n`,
      'starting price +3 credits \\(METERED\\)\n',
      'inputs +text ',
      'longest prompt +5000 ',
      '--param loop= +select, false \\| true, default false\n',
      '--param duration_seconds:= +number, 0.5 to 22, default 3\n',
    ].join('.*'),
    's',
  );
  expect(one).toMatchObject({ status: 0, stdout: expect.stringMatching(facts) });
  const all = await runCommand(['models'], { cwd, env: settings });
  expect(all.stdout).toMatch(/^MODEL .*INPUTS .*PARAMS\nz-image +image +1 .*aspect_ratio\n/);
  const mistyped = await runCommand(['models', 'sora2'], { cwd, env: settings });
  expect(mistyped).toMatchObject({ status: 2, stderr: expect.stringContaining('did you mean "sora-2"?') });
  const refused = await runCommand(['credits'], { cwd, env: { ...settings, RIVYA_API_KEY: 'rvya_sk_other' } });
  expect(refused).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/Check RIVYA_API_KEY .* run the command again/),
  });
  expect(refused.stderr).not.toMatch(/Worker|resume/);
  await emulator.close();
});

it('every command has help with an example, and prints JSON when asked', async () => {
  const { status, stdout } = await runCommand(['--help'], { cwd });
  expect(status).toBe(0);
  const namesIn = (help: string): string[] =>
    Array.from(help.matchAll(/^ {2}([a-z-]+) .*/gm), ([, name]) => name ?? '').filter((name) => name !== 'help');
  const { stdout: group } = await runCommand(['batch', '--help'], { cwd });
  const commands = [...namesIn(stdout), ...namesIn(group).map((name) => `batch ${name}`)];
  expect(commands).toEqual(
    expect.arrayContaining([
      'demo',
      'dev',
      'worker',
      'generate',
      'list',
      'status',
      'wait',
      'models',
      'credits',
      'emulator',
      'doctor',
      'batch report',
    ]),
  );
  for (const command of commands) {
    const help = await runCommand([...command.split(' '), '--help'], { cwd });
    expect(help.stdout).toContain(`$ npx rivya-temporal ${command}`);
    expect(help.stdout).toContain('--json');
    expect(help.status).toBe(0);
  }
});

it('the file of a dev that was killed leads nobody astray', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'rivya-cli-stale-'));
  mkdirSync(path.join(home, 'rivya-temporal'));
  const session = {
    pid: process.pid,
    address: `127.0.0.1:${await closedPort()}`,
    uiUrl: null,
    baseUrl: 'http://127.0.0.1:1',
    taskQueue: 'q',
    store: null,
    directory: null,
  };
  writeFileSync(path.join(home, 'rivya-temporal', 'dev.json'), JSON.stringify(session));
  // The process ID lives (it is ours), but nothing listens: the usual address is tried, or the API asked.
  const { stderr } = await runCommand(['credits'], {
    cwd,
    env: { XDG_DATA_HOME: home },
  });
  expect(stderr).toMatch(/no API key/);
});
