/** A thousand held generations, released to the last one while others enter the hold: one paid task each. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { CommandRun } from '../cli/command.js';
import { startHarness } from '../support/harness.js';
import { until } from '../support/until.js';

const HELD = 1_000;
const LATER = 40;
const LANES = 20;
const CREDITS = 10_000;
const LIMIT_MS = 15 * 60_000;

test(
  'resume --query releases a thousand, and those that come meanwhile',
  async () => {
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: {
        credits: 0,
        rateLimitPerMinute: 1_000_000,
        // They are refused once each, although there are credits by then.
        faults: Array.from({ length: LATER }, (_, n) => ({
          on: 'create' as const,
          prompt: `later ${n + 1}.`,
          times: 1,
          do: { kind: 'error' as const, code: 'insufficient_credits' as const },
        })),
      },
    });
    const { client, temporal, emulator } = harness;
    const start = async (prompts: readonly string[]): Promise<void> => {
      const left = [...prompts];
      const lane = async (): Promise<void> => {
        for (let prompt = left.pop(); prompt !== undefined; prompt = left.pop()) {
          await client.start({ model: 'z-image', prompt: `${prompt}.` }, { workflowId: prompt.replace(' ', '-') });
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
    };
    const named = (word: string, count: number): string[] =>
      Array.from({ length: count }, (_, n) => `${word} ${n + 1}`);
    const held = async (): Promise<number> => {
      let count = 0;
      for await (const run of temporal.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
        if (memoOf(run)?.phase === 'held') count++;
      }
      return count;
    };
    await start(named('first', HELD));
    await until(async () => (await held()) === HELD, LIMIT_MS);
    await emulator.setCredits(undefined, CREDITS);

    const cwd = await mkdtemp(path.join(tmpdir(), 'rivya-bulk-'));
    const args = ['resume', '--query', `TaskQueue = '${harness.taskQueue}'`, '--yes', '--json'];
    const begun = Date.now();
    const command = new CommandRun(args, { cwd, env: { ...harness.temporalEnv, XDG_DATA_HOME: cwd } });
    // While the Service is sending, so that the first pass misses them.
    await command.untilSaid(/0 of 1000 sent/);
    await start(named('later', LATER));
    const status = await command.status;
    console.log(`released after ${Math.round((Date.now() - begun) / 1_000)} s:\n${command.stderr}`);
    expect(JSON.parse(command.stdout)).toMatchObject({ found: HELD, reacted: HELD + LATER, left: [], unread: [] });
    expect(status).toBe(0);

    await until(async () => {
      const { count } = await temporal.workflow.count("ExecutionStatus = 'Completed'");
      return count === HELD + LATER;
    }, LIMIT_MS);
    const { tasks, paidTasks, credits } = await emulator.ledger();
    expect(paidTasks).toBe(HELD + LATER);
    expect(new Set(Object.values(tasks).map(({ prompt }) => prompt)).size).toBe(HELD + LATER);
    expect(Object.values(credits)).toEqual([CREDITS - HELD - LATER]);
  },
  2 * LIMIT_MS,
);
