/** The commands of batches on a real server, with the emulator. Its ledger says what was paid. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { BatchFiles } from '../../src/batch/files.js';
import type { BatchState } from '../../src/contract/index.js';
import { FileStore } from '../../src/storage/index.js';
import { startEmulator, type EmulatorOptions } from '../../src/emulator/index.js';
import { ownFolder, tasksByPrompt } from '../support/batch.js';
import { startHarness, type Harness } from '../support/harness.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand, type Finished } from './command.js';

// Each test runs many processes: with all of them at a time two cores are so late that queries have no answer.
const AT_ONCE = 4;
const waiting: (() => void)[] = [];
let running = 0;
/** Waits for one of four places. Returns what gives it back. */
async function place(): Promise<() => void> {
  if (running === AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  return () => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
}

/** A folder with an input of so many prompts, `name 1` and so on, and the commands in it. */
async function inFolder(names: readonly string[], emulator: EmulatorOptions = {}) {
  const leave = await place();
  const harness = await startHarness({ account: false, emulator: { durations: { image: 800 }, ...emulator } });
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-batch-'));
  const env = envOf(harness, cwd);
  const write = (file: string, prompts: readonly string[]): void =>
    writeFileSync(
      path.join(cwd, file),
      ['model,prompt', ...prompts.map((prompt) => `z-image,${prompt}`), ''].join('\n'),
    );
  write('in.csv', names);
  return {
    harness,
    cwd,
    env,
    write,
    /** Lets the tasks end that are held. */
    release: () => harness.emulator.setFaults([]),
    cli: (...args: string[]): Promise<Finished> => runCommand(['batch', ...args], { cwd, env }),
    start: (...args: string[]) => new CommandRun(['batch', ...args], { cwd, env }),
    paid: () => tasksByPrompt(harness),
    results: () =>
      parse(readFileSync(path.join(harness.output, 'in', 'results.csv')), { columns: true }) as unknown as Row[],
    [Symbol.asyncDispose]: async () => {
      await harness[Symbol.asyncDispose]();
      leave();
    },
  };
}

/** The commands in a folder with these prompts, on a server and Worker of their own, with a store that is not the usual one. */
async function onOwnStack(names: readonly string[], faults: NonNullable<EmulatorOptions['faults']>) {
  const emulator = await startEmulator({ durations: { image: 800 }, rateLimitPerMinute: 60_000, faults });
  const { cwd, env } = ownFolder(emulator, names);
  const withStore = (args: readonly string[]): string[] => ['batch', ...args, '--store', 'file:./out'];
  return {
    emulator,
    cwd,
    cli: (...args: string[]): Promise<Finished> => runCommand(withStore(args), { cwd, env }),
    start: (...args: string[]) => new CommandRun(withStore(args), { cwd, env }),
  };
}

type Row = Record<string, string>;

function envOf({ temporalEnv, emulator, output, taskQueue }: Harness, cwd: string): NodeJS.ProcessEnv {
  return {
    ...temporalEnv,
    XDG_DATA_HOME: cwd,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_STORE: `file:${output}`,
    RIVYA_TASK_QUEUE: taskQueue,
  };
}

/** Of the present manifest, in the order of the input. */
async function itemIds({ output }: Harness): Promise<string[]> {
  const files = new BatchFiles(new FileStore(`file:${output}`), 'in');
  const manifest = await files.current();
  const ids: string[] = [];
  for await (const { id } of files.items(manifest!)) ids.push(id);
  return ids;
}

const prompts = (count: number, name = 'fox'): string[] => Array.from({ length: count }, (_, n) => `${name} ${n + 1}`);
const once = (names: readonly string[]): Record<string, number> => Object.fromEntries(names.map((name) => [name, 1]));

describe.concurrent('batch run', () => {
  test('the first items, then the rest: each paid once, and what is done is not paid again', async () => {
    const names = prompts(9);
    await using folder = await inFolder(names);
    const { cli, paid, results } = folder;
    const first = await cli('run', 'in.csv', '--first', '3');
    expect(first.status, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/3 items, none done yet/);
    expect(first.stderr).toMatch(/The other 6 will cost about 6 credits.*rivya-temporal batch resume in$/m);
    expect(await paid()).toEqual(once(names.slice(0, 3)));

    const rest = await cli('run', 'in.csv', '--json');
    expect(rest.status, rest.stderr).toBe(0);
    expect(rest.stderr).toContain('3 of 9 done, nothing will be paid for them.');
    expect(JSON.parse(rest.stdout)).toMatchObject({ items: 9, done: 9, failed: 0, spentCredits: 9 });
    const again = await cli('run', 'in.csv');
    expect(again.stderr).toContain('9 of 9 done, nothing will be paid for them.');
    expect(await paid()).toEqual(once(names));
    expect(results().map(({ prompt, status }) => [prompt, status])).toEqual(names.map((name) => [name, 'succeeded']));

    const status = await cli('status', 'in', '--json');
    expect(JSON.parse(status.stdout)).toMatchObject({ phase: 'done', done: 9, remaining: 0 });
  });

  test('an edited file says what is same, new, changed and gone, and is not taken without consent', async () => {
    const names = prompts(4);
    await using folder = await inFolder(names);
    const { cli, paid, write } = folder;
    await cli('run', 'in.csv');
    write('in.csv', [...names.slice(1), 'owl']);
    const asked = await cli('run', 'in.csv');
    expect(asked.stderr).toMatch(/same +3\n +new +1 {2}owl-.*\n +changed +0\n +gone +1 {2}fox-1-/);
    expect(asked.stderr).toMatch(/no terminal.*--yes/);
    expect(asked.status).toBe(2);
    expect(await paid()).toEqual(once(names));
    expect((await cli('run', 'in.csv', '--yes')).status).toBe(0);
    expect(await paid()).toEqual(once([...names, 'owl']));
  });

  test('some failed: exit status 1; batch retry buys one more task for those that a new one can help, and no other', async () => {
    const names = [...prompts(3), 'unlucky', 'wrong'];
    await using folder = await inFolder(names, {
      faults: [
        { on: 'create', prompt: 'unlucky', times: 1, do: { kind: 'fail' } },
        { on: 'create', prompt: 'wrong', do: { kind: 'error', code: 'validation_failed' } },
      ],
    });
    const { cli, paid, results } = folder;
    const run = await cli('run', 'in.csv');
    expect(run.status, run.stderr).toBe(1);
    expect(run.stderr).toMatch(/batch retry in/);
    const plan = await cli('retry', 'in', '--dry-run', '--json');
    expect(JSON.parse(plan.stdout)).toMatchObject({ wait: 0, buy: [{ items: 1, credits: 1 }], never: [{ items: 1 }] });
    expect(await paid()).toEqual({ ...once(names.slice(0, 4)), wrong: 0 });
    const retried = await cli('retry', 'in');
    expect(retried.stdout).toMatch(/Bought anew[^]*Not tried again[^]*validation_failed/);
    expect(retried.status, retried.stderr).toBe(1);
    expect(await paid()).toEqual({ ...once(names.slice(0, 4)), unlucky: 2, wrong: 0 });
    expect(results().map(({ status }) => status)).toEqual([
      'succeeded',
      'succeeded',
      'succeeded',
      'succeeded',
      'failed',
    ]);
  });

  test('after --first, batch retry and batch add start what they have shown, and not the rest', async () => {
    const names = ['unlucky', ...prompts(4)];
    await using folder = await inFolder(names, {
      faults: [{ on: 'create', prompt: 'unlucky', times: 1, do: { kind: 'fail' } }],
    });
    const { cli, paid, results, write } = folder;
    await cli('run', 'in.csv', '--first', '2');
    const tooDear = await cli('retry', 'in', '--max-credits', '1');
    expect([tooDear.status, tooDear.stderr]).toEqual([2, expect.stringMatching(/^--max-credits: 1 does not allow/m)]);
    const retried = await cli('retry', 'in');
    expect(retried.status, retried.stderr).toBe(0);
    expect(await paid()).toEqual({ unlucky: 2, 'fox 1': 1 });
    expect(retried.stderr).toMatch(/The other 3 will cost about 3 credits.*rivya-temporal batch resume in/);
    // The Workflow has done what it was started for, and the batch is not done.
    expect((await cli('status', 'in')).stdout).toMatch(/^in: does not run\n +items +2 of 5 done/);
    write('more.csv', ['owl']);
    const added = await cli('add', 'in', 'more.csv');
    expect(added.status, added.stderr).toBe(0);
    expect(await paid()).toEqual({ unlucky: 2, 'fox 1': 1, owl: 1 });
    const ends = ['succeeded', 'succeeded', 'unfinished', 'unfinished', 'unfinished', 'succeeded'];
    expect(results().map(({ status }) => status)).toEqual(ends);
    const rest = await cli('resume', 'in');
    expect(rest.status, rest.stderr).toBe(0);
    expect(await paid()).toEqual({ unlucky: 2, ...once(prompts(4)), owl: 1 });
  });

  test('after batch add and drop, the same file goes on with the list as it is', async () => {
    const names = prompts(2);
    await using folder = await inFolder(names);
    const { cli, paid, results, write, harness } = folder;
    await cli('run', 'in.csv', '--name', '{prompt}');
    write('more.csv', ['owl', 'elk']);
    expect((await cli('add', 'in', 'more.csv')).status).toBe(0);
    const ids = await itemIds(harness);
    expect((await cli('drop', 'in', ids[0]!)).status).toBe(0);
    const again = await cli('run', 'in.csv');
    expect([again.status, again.stderr]).toEqual([0, expect.stringContaining('3 of 3 done')]);
    expect(again.stderr).not.toContain('gone');
    expect(results().map(({ prompt, status }) => [prompt, status])).toEqual([
      ['fox 2', 'succeeded'],
      ['owl', 'succeeded'],
      ['elk', 'succeeded'],
      ['', 'gone'],
    ]);
    // A new item that would get the name of another one is refused.
    write('more.csv', ['OWL']);
    const refused = await cli('add', 'in', 'more.csv');
    expect([refused.status, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/^--name: gives items .* the same name/m),
    ]);
    expect(await paid()).toEqual(once([...names, 'owl', 'elk']));
  });

  test('no credits: exit status 4 and what to do; the same command goes on', async () => {
    const names = prompts(3);
    await using folder = await inFolder(names, { credits: 0 });
    const { cli, paid, harness } = folder;
    const held = await cli('run', 'in.csv');
    expect(held.status, held.stderr).toBe(4);
    expect(held.stderr).toMatch(/insufficient_credits/);
    const status = await cli('status', 'in');
    expect(status.stdout).toMatch(/held +\d+ insufficient_credits[^]*what to do/);
    await harness.emulator.setCredits(undefined, 100);
    const run = await cli('run', 'in.csv');
    expect(run.status, run.stderr).toBe(0);
    expect(await paid()).toEqual(once(names));
  });

  test('Ctrl-C: exit status 130, and the same command shows how the same batch goes on', async () => {
    const names = prompts(4);
    await using folder = await inFolder(names, { faults: [unfinished()] });
    const { cli, paid, start, release } = folder;
    const run = start('run', 'in.csv');
    await until(async () => Object.keys(await paid()).length === 4);
    run.child.kill('SIGINT');
    expect(await run.status).toBe(130);
    expect(run.stderr).toMatch(
      /Interrupted\. .*goes on in Temporal.*batch pause in\. Watch it with: .*batch status in --watch/,
    );
    release();
    const again = await cli('run', 'in.csv');
    expect(again.status, again.stderr).toBe(0);
    expect(await paid()).toEqual(once(names));
  });
});

describe.concurrent('a batch that runs', () => {
  test('is paused, resumed, watched, added to, dropped from and attached to', async () => {
    const names = prompts(12);
    await using folder = await inFolder(names, { faults: [unfinished()] });
    const { cli, paid, write, release } = folder;
    const run = folder.start('run', 'in.csv', '--max-in-flight', '2');
    await until(async () => Object.keys(await paid()).length >= 2);
    const paused = await cli('pause', 'in');
    expect(paused.status, paused.stderr).toBe(0);
    const batch = folder.harness.temporal.workflow.getHandle('in');
    await until(async () => (await batch.query<BatchState>('batch')).phase === 'paused');
    const status = await cli('status', 'in', '--json');
    expect(JSON.parse(status.stdout)).toMatchObject({ phase: 'paused', items: 12 });
    write('more.csv', ['owl 1']);
    expect((await cli('add', 'in', 'more.csv')).stdout).toMatch(/1 added; the batch has 13 items now/);
    const missing = await cli('drop', 'in', 'nope');
    expect([missing.status, missing.stderr]).toEqual([2, expect.stringMatching(/no item nope/)]);
    const ids = await itemIds(folder.harness);
    expect((await cli('drop', 'in', ids.at(-2)!)).stdout).toMatch(/1 dropped; the batch has 12 items now/);
    expect((await cli('resume', 'in')).status).toBe(0);
    release();
    expect(await run.status, run.stderr).toBe(0);
    expect(await paid()).toEqual(once([...names.slice(0, -1), 'owl 1']));
    // The command that ran it has not put back what it began with.
    expect(folder.results().map(({ prompt }) => prompt)).toContain('owl 1');
    expect(JSON.parse((await cli('status', 'in', '--json')).stdout)).toMatchObject({ items: 12, done: 12 });
  });

  test('of two changes of its list at the same time, none is lost without a word', async () => {
    await using folder = await inFolder(prompts(6), { faults: [unfinished()] });
    const { cli, paid, release, harness } = folder;
    const run = folder.start('run', 'in.csv', '--max-in-flight', '1');
    await until(async () => Object.keys(await paid()).length === 1);
    const ids = await itemIds(harness);
    const drops = await Promise.all(ids.slice(3).map(async (id) => ({ id, ...(await cli('drop', 'in', id)) })));
    const made = drops.filter(({ status }) => status === 0);
    expect(made.length).toBeGreaterThan(0);
    for (const { status, stderr } of drops) {
      if (status !== 0)
        expect([status, stderr]).toEqual([2, expect.stringMatching(/another list of items.*same command/)]);
    }
    const left = ids.filter((id) => !made.some((one) => one.id === id));
    expect(await itemIds(harness)).toEqual(left);
    release();
    expect(await run.status, run.stderr).toBe(0);
    expect(Object.keys(await paid())).toHaveLength(left.length);
  });

  test('a limit that was lowered by an Update stays, for the same command and once the Workflow is terminated', async () => {
    const names = prompts(3);
    await using folder = await inFolder(names, { faults: [unfinished()] });
    const { paid, start, harness } = folder;
    const run = start('run', 'in.csv', '--max-credits', '50');
    await until(async () => Object.keys(await paid()).length === 3);
    run.child.kill('SIGINT');
    await run.status;
    const batch = harness.temporal.workflow.getHandle('in');
    await batch.executeUpdate('setMaxCredits', { args: [{ maxCredits: 5 }] });
    // At once: a termination within the minute of the next one would bring the old limit back.
    expect((await batch.describe()).memo).toMatchObject({ rivyaBatch: { settings: { maxCredits: 5 } } });
    const again = start('run', 'in.csv');
    await again.untilSaid(/The limit of 5 credits stays/);
    const files = new BatchFiles(new FileStore(`file:${harness.output}`), 'in');
    await until(async () => (await files.head())?.settings.maxCredits === 5);
    expect(await batch.query('batch')).toMatchObject({ settings: { maxCredits: 5 } });
    await batch.terminate();
    expect(await again.status, again.stderr).toBe(1);
    expect(again.stderr).toMatch(/ended in Temporal \(TERMINATED\).* Go on with: .*batch resume in/);
  });

  test('resume accepts the failures that were seen, also where the batch Workflow is gone', async () => {
    await using folder = await inFolder(['wrong', 'fox'], {
      faults: [{ on: 'create', prompt: 'wrong', do: { kind: 'error', code: 'validation_failed' } }],
    });
    const { cli, paid, harness } = folder;
    const held = await cli('run', 'in.csv', '--max-in-flight', '1', '--max-failures', '1');
    expect([held.status, held.stderr]).toEqual([4, expect.stringMatching(/1 failed, and --max-failures 1 holds/)]);
    await harness.temporal.workflow.getHandle('in').terminate();
    expect((await cli('status', 'in')).stdout).toMatch(/reason +1 failed, and --max-failures 1/);
    const resumed = await cli('resume', 'in');
    expect(resumed.status, resumed.stderr).toBe(1);
    expect(await paid()).toEqual({ wrong: 0, fox: 1 });
  });

  test('cancel --items: nobody waits, and batch retry waits for the same tasks again, free', async () => {
    const names = prompts(4);
    await using folder = await inFolder(names, { faults: [unfinished()] });
    const { cli, paid, release } = folder;
    const run = folder.start('run', 'in.csv');
    await until(async () => Object.keys(await paid()).length === 4);
    const refused = await cli('cancel', 'in', '--items');
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringMatching(/no terminal.*--yes/)]);
    const cancelled = await cli('cancel', 'in', '--items', '--yes');
    expect(cancelled.status, cancelled.stderr).toBe(0);
    expect(await run.status).toBe(1);
    release();
    const status = await cli('status', 'in', '--json');
    expect(JSON.parse(status.stdout)).toMatchObject({ done: 4, failed: 0, spentCredits: 4 });
    const retried = await cli('retry', 'in');
    expect(retried.stdout).toMatch(/Waited for again, free: 4 items/);
    expect(retried.status, retried.stderr).toBe(0);
    expect(await paid()).toEqual(once(names));
  });
});

describe.concurrent('without TEMPORAL_ADDRESS', () => {
  test('references beside the file, and beside its folder, are read and uploaded', async () => {
    const emulator = await startEmulator({ durations: { image: 800 }, rateLimitPerMinute: 60_000 });
    const { cwd, env } = ownFolder(emulator, []);
    mkdirSync(path.join(cwd, 'list'));
    for (const file of ['list/fox.png', 'owl.png']) copyFileSync('docs/ui-held.png', path.join(cwd, file));
    writeFileSync(
      path.join(cwd, 'list', 'r.csv'),
      'model,prompt,reference\nnano-banana-2,one,fox.png\nnano-banana-2,two,../owl.png\n',
    );
    const run = await runCommand(['batch', 'run', 'list/r.csv', '--store', 'file:./out'], { cwd, env });
    expect(run.status, run.stderr).toBe(0);
    expect(await tasksByPrompt({ emulator })).toEqual({ one: 1, two: 1 });
    await emulator.close();
  });

  test('held by failures, batch retry buys what it shows and nothing else; what remains is no success', async () => {
    const names = ['unlucky 1', 'unlucky 2', ...prompts(6)];
    const faults = names
      .slice(0, 2)
      .map((prompt) => ({ on: 'create', prompt, times: 1, do: { kind: 'fail' } }) as const);
    const { emulator, cli } = await onOwnStack(names, faults);
    const held = await cli('run', 'in.csv', '--max-in-flight', '2', '--max-failures', '2');
    expect([held.status, held.stderr]).toEqual([4, expect.stringContaining('batch resume in --store file:./out')]);
    const before = await tasksByPrompt({ emulator });
    expect(before).toMatchObject({ 'unlucky 1': 1, 'unlucky 2': 1 });
    const retried = await cli('retry', 'in');
    expect(retried.status, retried.stderr).toBe(0);
    expect(retried.stderr).toMatch(/The other \d will cost .*batch resume in --store file:\.\/out/);
    expect(await tasksByPrompt({ emulator })).toEqual({ ...before, 'unlucky 1': 2, 'unlucky 2': 2 });
    const rest = await cli('resume', 'in');
    expect(rest.status, rest.stderr).toBe(0);
    expect(await tasksByPrompt({ emulator })).toEqual({ 'unlucky 1': 2, 'unlucky 2': 2, ...once(prompts(6)) });
    await emulator.close();
  });

  test('after Ctrl-C it says what is under way, and batch add starts what it adds and nothing else', async () => {
    const { emulator, cwd, start, cli } = await onOwnStack(prompts(4), [unfinished('fox 1')]);
    const run = start('run', 'in.csv', '--max-in-flight', '1');
    await run.untilSaid(/in: 0 of 4 done, 1 running/);
    await until(async () => (await emulator.ledger()).paidTasks === 1);
    run.child.kill('SIGINT');
    expect(await run.status, run.stderr).toBe(130);
    expect(run.stderr).toMatch(
      /1 item was started and has not ended: 1 credit more at most\..*batch resume in --store/,
    );
    expect((await cli('status', 'in')).stdout).toMatch(
      /under way +Up to 1 item was started and has not ended: 1 credit/,
    );
    emulator.setFaults([]);
    writeFileSync(path.join(cwd, 'more.csv'), 'model,prompt\nz-image,owl\n');
    const added = await cli('add', 'in', 'more.csv');
    expect(added.status, added.stderr).toBe(0);
    expect(await tasksByPrompt({ emulator })).toEqual({ 'fox 1': 1, owl: 1 });
    await emulator.close();
  });

  test('where the limit allows nothing more, resume waits for what is under way, free, and then holds', async () => {
    const { emulator, start, cli } = await onOwnStack(prompts(2), [unfinished('fox 1')]);
    const run = start('run', 'in.csv', '--max-in-flight', '1', '--max-credits', '1');
    await until(async () => (await emulator.ledger()).paidTasks === 1);
    run.child.kill('SIGINT');
    expect(await run.status, run.stderr).toBe(130);
    emulator.setFaults([]);
    const resumed = await cli('resume', 'in');
    expect([resumed.status, resumed.stdout], resumed.stderr).toEqual([4, expect.stringMatching(/^1 of 2 done/)]);
    expect(resumed.stderr).toMatch(/Held\. .*batch resume in --store file:\.\/out --max-credits 2\b/);
    expect(await tasksByPrompt({ emulator })).toEqual({ 'fox 1': 1 });
    await emulator.close();
  });

  test('it starts and stops all by itself; killed, the same command goes on and pays nothing twice', async () => {
    const names = prompts(15);
    // Three at a time: the first three end, and the next ones do not.
    const faults = [4, 5, 6].map((n) => unfinished(`fox ${n}`));
    const emulator = await startEmulator({ durations: { image: 800 }, rateLimitPerMinute: 60_000, faults });
    const { cwd, env } = ownFolder(emulator, names);
    const args = ['batch', 'run', 'in.csv', '--store', 'file:./out', '--max-in-flight', '3'];
    const run = new CommandRun(args, { cwd, env });
    await run.untilSaid(/in: 3 of 15 done/);
    const seen = await runCommand(['batch', 'status', 'in', '--store', 'file:./out', '--json'], { cwd, env });
    expect(JSON.parse(seen.stdout)).toMatchObject({ phase: 'running', items: 15 });
    run.child.kill('SIGKILL');
    await run.status;
    emulator.setFaults([]);
    const stopped = await runCommand(['batch', 'pause', 'in', '--store', 'file:./out'], { cwd, env });
    expect([stopped.status, stopped.stderr]).toEqual([2, expect.stringMatching(/does not run.*batch resume in/)]);
    const again = await runCommand(args, { cwd, env });
    expect(again.status, again.stderr).toBe(0);
    expect(again.stderr).toMatch(/\d+ of 15 done, nothing will be paid for|15 items, none done yet/);
    expect(await tasksByPrompt({ emulator })).toEqual(once(names));
    const csv = parse(readFileSync(path.join(cwd, 'out', 'in', 'results.csv')), { columns: true }) as unknown as Row[];
    expect(csv.map(({ prompt, status }) => [prompt, status])).toEqual(names.map((name) => [name, 'succeeded']));
    await emulator.close();
  });
});
