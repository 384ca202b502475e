/** The wait for a batch goes on as long as its state can be asked for; where that ends, it says what goes on with the batch. */
import { describe, expect, test } from 'vitest';
import type { SeenBatch } from '../../src/cli/batch-handle.js';
import { looksAt, type Look } from '../../src/cli/batch-progress.js';
import { UsageError } from '../../src/cli/errors.js';
import { startEmulator } from '../../src/emulator/index.js';
import { ownFolder, tasksByPrompt } from '../support/batch.js';
import { treeOf } from '../support/processes.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';
import { CommandRun } from './command.js';

const RUNNING: SeenBatch = { state: null, isRunning: true, isFresh: false, problem: null, status: 'RUNNING' };
const broken = new Error('14 UNAVAILABLE');

/** What somebody sees who watches a batch whose looks end like this; the last one again and again. */
async function seen(ends: readonly (SeenBatch | Error | null)[], most = 20, hasEnded = () => false): Promise<Look[]> {
  let n = 0;
  const look = async (): Promise<SeenBatch | null> => {
    const end = ends[Math.min(n++, ends.length - 1)] ?? null;
    if (end instanceof Error) throw end;
    return end;
  };
  const all: Look[] = [];
  for await (const one of looksAt({ look }, { interrupted: new AbortController().signal, hasEnded })) {
    all.push(one);
    if (all.length === most) break;
  }
  return all;
}

test.concurrent('a look that fails now and then, or twice in a row, ends nothing', async () => {
  const ends = [RUNNING, broken, broken, RUNNING, null, RUNNING, broken];
  expect(await seen(ends, 3)).toEqual(Array.from({ length: 3 }, () => ({ seen: RUNNING })));
});

test.concurrent('it ends where the state cannot be asked for any more, with the reason', async () => {
  let looks = 0;
  const [failed, missing, over] = await Promise.all([
    seen([RUNNING, broken]),
    seen([RUNNING, null]),
    seen([RUNNING], 20, () => ++looks > 2),
    expect(seen([RUNNING, new UsageError('of another type')])).rejects.toThrow('of another type'),
  ]);
  expect(failed).toEqual([{ seen: RUNNING }, { gone: broken }]);
  expect(missing).toEqual([{ seen: RUNNING }, { gone: null }]);
  expect(over).toEqual([{ seen: RUNNING }, { seen: RUNNING }, { gone: null }]);
});

/** A batch of two that runs on a server of its own, and both are paid. */
async function running() {
  const emulator = await startEmulator({
    durations: { image: 800 },
    rateLimitPerMinute: 60_000,
    faults: [unfinished()],
  });
  const { cwd, env: own } = ownFolder(emulator, ['fox', 'owl']);
  const env = { ...own, RIVYA_STORE: 'file:./out' };
  const start = (...args: string[]): CommandRun => new CommandRun(['batch', ...args], { cwd, env });
  const paid = () => tasksByPrompt({ emulator });
  const run = start('run', 'in.csv');
  await until(async () => Object.keys(await paid()).length === 2);
  return { run, start, paid, release: () => emulator.setFaults([]), close: () => emulator.close() };
}

const GOES_ON = /cannot be seen any more.* Go on with: .*rivya-temporal batch resume in\n/;

describe.concurrent('what runs a batch is killed', () => {
  test('the command: those that watch it say so and how it goes on, and nothing is paid again', async () => {
    const { run, start, paid, release, close } = await running();
    const [second, watch] = [start('run', 'in.csv'), start('status', 'in', '--watch')];
    await Promise.all([second.untilSaid(/0 of 2 done, 2 running/), watch.untilSaid(/0 of 2 done/)]);
    run.child.kill('SIGKILL');
    expect(await second.status, second.stderr).toBe(3);
    expect(second.stderr).toMatch(GOES_ON);
    expect(await watch.status, watch.stderr).toBe(0);
    expect(watch.stdout).toMatch(/in: does not run\n[^]*Go on with: .*rivya-temporal batch resume in\n/);
    release();
    const again = start('run', 'in.csv');
    expect(await again.status, again.stderr).toBe(0);
    expect(await paid()).toEqual({ fox: 1, owl: 1 });
    await close();
  });

  test('the Temporal server of the command: it ends at once, with the reason and how it goes on', async () => {
    const { run, close } = await running();
    process.kill(treeOf(run.child.pid ?? 0).at(-1) ?? 0, 'SIGKILL');
    expect(await run.status, run.stderr).toBe(3);
    expect(run.stderr).toMatch(/The Temporal server has ended \(SIGKILL\)/);
    expect(run.stderr).toMatch(GOES_ON);
    await close();
  });
});
