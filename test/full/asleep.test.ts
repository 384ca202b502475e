/**
 * A laptop that sleeps while a batch runs: the command with its Worker, and the Temporal server with its database file, are all
 * stopped (SIGSTOP) and go on later. The API goes on meanwhile, and its links expire. The judge is the emulator's ledger.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { startEmulator, type RecordedRequest } from '../../src/emulator/index.js';
import { CommandRun } from '../cli/command.js';
import { ownFolder, tasksByPrompt } from '../support/batch.js';
import { treeOf } from '../support/processes.js';
import { until } from '../support/until.js';

// Longer than every time limit of an Activity, so that all that was under way has to be repeated.
const ASLEEP_MS = 10 * 60_000;

test(
  'all is stopped for ten minutes and links expire: the batch completes, each item is paid once',
  async () => {
    const names = ['quick', 'stubborn', 'slow'].flatMap((kind) =>
      Array.from({ length: 8 }, (_, n) => `${kind} ${n + 1}`),
    );
    const emulator = await startEmulator({
      durations: { image: 4_000 },
      rateLimitPerMinute: 60_000,
      switches: { linkLifetimeMs: 20_000 },
      faults: [
        // Their links are known and their files are not stored when all is stopped.
        { on: 'media', prompt: 'stubborn', times: 12, do: { kind: 'error', code: 'public_api_disabled' } },
        // Some of these POSTs are under way then.
        { on: 'create', prompt: 'slow', do: { kind: 'delayAfter', ms: 3_000 } },
      ],
    });
    const { cwd, env } = ownFolder(emulator, names);
    const media = (status: number): RecordedRequest[] =>
      emulator.requests().filter((request) => request.path.startsWith('/media/') && request.status === status);
    const run = new CommandRun(['batch', 'run', 'in.csv', '--store', 'file:./out', '--max-in-flight', '20'], {
      cwd,
      env,
    });
    await until(() => media(503).length >= 4 && media(200).length >= 2, 120_000);
    const tree = treeOf(run.child.pid ?? 0);
    // The command, the process above the server, and the server.
    expect(tree.length).toBeGreaterThanOrEqual(3);
    for (const pid of tree) process.kill(pid, 'SIGSTOP');
    // What was on its way then is counted, also on a busy machine.
    await sleep(30_000);
    const asked = emulator.requests().length;
    await sleep(ASLEEP_MS);
    expect(emulator.requests().length).toBe(asked);
    for (const pid of tree.toReversed()) process.kill(pid, 'SIGCONT');

    expect(await run.status, run.stderr).toBe(0);
    expect(media(403).length).toBeGreaterThan(0);
    expect(await tasksByPrompt({ emulator })).toEqual(Object.fromEntries(names.map((name) => [name, 1])));
    const csv: Record<string, string>[] = parse(readFileSync(path.join(cwd, 'out', 'in', 'results.csv')), {
      columns: true,
    });
    expect(csv.map(({ prompt, status }) => [prompt, status])).toEqual(names.map((name) => [name, 'succeeded']));
    await emulator.close();
  },
  20 * 60_000,
);
