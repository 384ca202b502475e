/** `doctor --live`: what it says of an account is true, and no account can make it spend more than two tasks. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { createRivyaClient, staticKey } from '../../src/api/index.js';
import { doctorLive } from '../../src/cli/commands/doctor.js';
import { confirmSpending } from '../../src/cli/terminal.js';
import { askAccount, assess } from '../../src/cli/live.js';
import {
  ALL_SCOPES,
  startEmulator,
  type Emulator,
  type EmulatorOptions,
  type Fault,
} from '../../src/emulator/index.js';
import { CommandRun, runCommand } from './command.js';

const KEY = 'rvya_sk_emulator.of-this/test=';
const HIDDEN_BALANCE = [{ key: KEY, scopes: ALL_SCOPES.filter((scope) => scope !== 'credits:read') }];
const LIVE = ['doctor', '--live', '--yes', '--json'];
const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-doctor-live-'));
const forgets = { keyLifetimeMs: 1 };

// Tests at the same time share one list.
const open: Emulator[] = [];
afterAll(async () => {
  for (const one of open) await one.close();
});

async function account(options: EmulatorOptions = {}) {
  const emulator = await startEmulator({ keys: [{ key: KEY }], ...options });
  open.push(emulator);
  return { emulator, env: { XDG_DATA_HOME: cwd, RIVYA_BASE_URL: emulator.url, RIVYA_API_KEY: KEY } };
}

function posts(emulator: Emulator): number {
  return emulator.requests().filter(({ method }) => method === 'POST').length;
}

/** Runs the command with consent. Whatever the account does, the key is not shown. */
async function doctor(options: EmulatorOptions, args = LIVE) {
  const { emulator, env } = await account(options);
  const { status, stdout, stderr } = await runCommand(args, { cwd, env });
  expect(stdout + stderr).not.toContain(KEY);
  const report = (args === LIVE ? JSON.parse(stdout) : {}) as Partial<ReturnType<typeof assess>>;
  const says = Object.fromEntries(report.findings?.map((one) => [one.name, `${one.level}: ${one.says}`]) ?? []);
  const { paidTasks } = await emulator.ledger();
  return { status, stdout, stderr, report, says, counts: { paidTasks, posts: posts(emulator) } };
}

/** A fault of the nth create, counted from 0. */
function nth(skip: number, action: Fault['do'], times = 1): Fault {
  return { on: 'create', skip, times, do: action };
}

const TASK = { kind: 'id', id: 'task_first' } as const;
const SAME_TASK = { status: 200, body: '{"id":"task_first","reserved_credits":1}' };

describe.concurrent('what an account does with a repeated submit', () => {
  it('an account that replays is told so: one paid task', async () => {
    const { status, report, says, stderr, counts } = await doctor({});
    expect(report).toMatchObject({ ok: true, simulated: true, replayChargesOnce: 'yes', conflict: 'refused' });
    expect(report.balance).toEqual({ before: 1_000, after: 999 });
    expect(says['another body, same key']).toBe('ok: refused (idempotency_conflict): nothing was made or paid');
    expect(stderr).toContain(`under the idempotency key ${report.idempotencyKey}`);
    expect(stderr).toMatch(/spends 1 of your simulated credits .* never more than 2\./);
    expect([status, counts]).toEqual([0, { paidTasks: 1, posts: 3 }]);
  });

  it('an account that pays again for the same key raises the alarm (exit 1), and is asked no further', async () => {
    const { status, stdout, counts } = await doctor({ switches: forgets }, ['doctor', '--live', '--yes']);
    expect(stdout).toMatch(/^fail {2}the same again: A SECOND TASK.*ONE KEY WAS PAID TWICE.*idempotencyWindow/m);
    expect(stdout).toMatch(/^warn {2}another body, same key: not tried/m);
    expect([status, counts]).toEqual([1, { paidTasks: 2, posts: 2 }]);
  });

  it('where the balance cannot be read, the task IDs tell', async () => {
    const { status, says, report } = await doctor({ keys: HIDDEN_BALANCE });
    expect(says['balance']).toMatch(/^warn: cannot be read/);
    expect([status, report.replayChargesOnce]).toEqual([0, 'yes']);
  });

  it('a second charge under the first task ID is seen by the balance (exit 1)', async () => {
    const faults = [nth(0, TASK), nth(1, { kind: 'replyAfter', ...SAME_TASK })];
    const { status, report, says, counts } = await doctor({ switches: forgets, faults });
    expect(report).toMatchObject({ replayChargesOnce: 'unknown', taskIds: ['task_first'] });
    expect(says['the same again']).toMatch(/^fail: the same task, but THE BALANCE FELL BY 2/);
    expect([status, counts.posts]).toEqual([1, 2]);
  });

  it('a task that takes more than the list says is the last one (exit 1)', async () => {
    const model = { id: 'gpt-image-2', category: 'image', billing_type: 'FIXED', base_credits: 1 };
    const list: Fault['do'] = { kind: 'reply', status: 200, body: JSON.stringify({ data: [model] }) };
    const { status, says, counts } = await doctor({ faults: [{ on: 'models', do: list }] });
    expect(says['create']).toMatch(/^warn: .*MORE than the 1/);
    expect([status, counts.posts]).toEqual([1, 1]);
  });
});

describe.concurrent('a changed body under the same key', () => {
  it.each<[string, Fault['do'], RegExp, number]>([
    ['firstTask', { kind: 'reply', ...SAME_TASK }, /^warn: .*does not compare/, 0],
    ['refused', { kind: 'error', code: 'validation_failed' }, /^warn: refused \(validation_failed, not/, 0],
    ['secondTask', { kind: 'reply', status: 201, body: '{"id":"task_x"}' }, /^fail: A SECOND TASK, task_x/, 1],
    ['unknown', { kind: 'dropAfter' }, /^fail: UNKNOWN, MAY BE PAID/, 1],
  ])('%s, for %j', async (conflict, action, words, expected) => {
    const { status, report, says } = await doctor({ faults: [nth(0, TASK), nth(2, action)] });
    expect(report).toMatchObject({ replayChargesOnce: 'yes', conflict });
    expect(says['another body, same key']).toMatch(words);
    expect(status).toBe(expected);
  });
});

describe.concurrent('a reply that never comes is called unknown, may be paid (exit 1)', () => {
  it.each<[string, number, number]>([
    ['create', 0, 1],
    ['the same again', 1, 1],
    ['create', 0, 2],
  ])('%s: from POST %i on, %i times', async (name, skip, times) => {
    const { status, report, says, counts } = await doctor({ faults: [nth(skip, { kind: 'dropAfter' }, times)] });
    expect(report).toMatchObject({ ok: false, replayChargesOnce: 'unknown', conflict: 'notTried' });
    expect(says[name]).toMatch(/^fail: UNKNOWN, MAY BE PAID/);
    if (times === 2) expect(says[name]).toContain(`--idempotency-key ${report.idempotencyKey}`);
    expect([status, counts]).toEqual([1, { paidTasks: 1, posts: 2 }]);
  });
});

describe.concurrent('what is refused costs nothing, and never prints the key', () => {
  it.each<[string, EmulatorOptions, number, number]>([
    ['no credits', { credits: 0 }, 2, 1],
    ['an API that is off', { faults: [nth(0, { kind: 'error', code: 'public_api_disabled' })] }, 3, 1],
    ['a message with it', { faults: [nth(0, { kind: 'error', code: 'validation_failed', message: KEY })] }, 2, 1],
    ['another key', { keys: [{ key: 'rvya_sk_other' }] }, 2, 0],
  ])('%s', async (_, options, expected, sent) => {
    const { status, counts } = await doctor(options);
    expect([status, counts]).toEqual([expected, { paidTasks: 0, posts: sent }]);
  });

  it('a limit that is too low, and an API that is not there', async () => {
    const tooLow = await doctor({}, [...LIVE, '--max-credits', '1']);
    expect(tooLow).toMatchObject({
      status: 2,
      counts: { posts: 0 },
      stderr: expect.stringContaining('--max-credits 2'),
    });
    const env = { XDG_DATA_HOME: cwd, RIVYA_BASE_URL: 'http://127.0.0.1:1', RIVYA_API_KEY: KEY };
    expect((await runCommand(LIVE, { cwd, env })).status).toBe(3);
  });
});

describe.concurrent('asks first', () => {
  it('and refuses without a terminal', async () => {
    const { status, stderr, counts } = await doctor({}, ['doctor', '--live']);
    expect(stderr).toMatch(/no terminal.*--yes/);
    expect([status, counts.posts]).toEqual([2, 0]);
  });

  it('and after a no it posts nothing and does not use the key', async () => {
    const { emulator, env } = await account();
    const parts = { env, confirm: () => Promise.resolve(false), interrupted: new AbortController().signal };
    await expect(doctorLive({}, parts)).rejects.toThrow('Nothing was posted and nothing was spent.');
    expect(emulator.requests().map(({ path: asked }) => asked)).toEqual(['/api/v1/models']);
  });

  it.for(['y\n', 'Yes\n', '\n', 'n\n', 'yo\n', ''])('and takes nothing but a yes for one: %j', async (typed) => {
    const terminal = { input: Object.assign(new PassThrough(), { isTTY: true }), output: new PassThrough() };
    const answer = confirmSpending('? ', '', new AbortController().signal, terminal);
    terminal.input.end(typed);
    expect(await answer).toBe(/^y(es)?\n/i.test(typed));
    expect(await confirmSpending('? ', '', AbortSignal.abort(), terminal)).toBe(false);
  });
});

it.concurrent('Ctrl-C ends with 130, posts nothing more, and reports what was posted', async () => {
  const { emulator, env } = await account({ faults: [nth(0, { kind: 'delayAfter', ms: 3_000 })] });
  const run = new CommandRun(['doctor', '--live', '--yes'], { cwd, env });
  await run.untilSaid(/never more than/);
  await vi.waitFor(() => expect(posts(emulator)).toBe(1), 60_000);
  run.child.kill('SIGINT');
  expect(await run.status).toBe(130);
  expect(run.stdout).toMatch(/^ok {4}create: task task_/m);
  expect(posts(emulator)).toBe(1);
});

it.concurrent('whatever goes wrong, two tasks at most are paid, and a second one is never called one', async () => {
  const refusals = (['rate_limited', 'idempotency_conflict'] as const).map((code) => ({
    kind: 'error' as const,
    code,
  }));
  const losses = (['dropBefore', 'dropAfter', 'fail'] as const).map((kind) => ({ kind }));
  const crash: Fault['do'] = { kind: 'errorAfter', code: 'internal_error' };
  const kinds = [...refusals, ...losses, crash, { kind: 'replyAfter' as const, status: 200, body: '{}' }];
  const fault = fc.tuple(fc.nat(2), fc.constantFrom(...kinds), fc.integer({ min: 1, max: 2 }));
  const { emulator } = await account();
  const api = createRivyaClient({ baseUrl: emulator.url, keys: staticKey(KEY), env: {} });
  const faulty = fc.array(fault, { maxLength: 3 });
  const property = fc.asyncProperty(faulty, fc.boolean(), fc.boolean(), async (faults, forgetful, hidden) => {
    emulator.reset();
    emulator.setKeys(hidden ? HIDDEN_BALANCE : [{ key: KEY }]);
    emulator.setSwitches(forgetful ? forgets : {});
    emulator.setFaults(faults.map((one) => nth(...one)));
    const about = { model: { id: 'z-image', price: 1 }, idempotencyKey: 'key' };
    const { findings } = assess(await askAccount(api, about, new AbortController().signal));
    const { paidTasks } = await emulator.ledger();
    expect(paidTasks).toBeLessThanOrEqual(2);
    if (paidTasks === 2) expect(findings.some(({ level }) => level === 'fail')).toBe(true);
  });
  await fc.assert(property, { numRuns: Number(process.env['FUZZ_RUNS'] ?? 60) });
  await api.close();
});
