/**
 * Generations whose submits and checks are answered by anything a few times, then well. The ledger is the judge: one paid
 * task and its result, or a failure that says what is paid; one key; never a hot loop.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerationError, type GenerationHandle } from '../../src/client.js';
import type { Fault, FaultAction } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { isRefusal, runs, said, SEED, type Said } from './replies.js';

const MINUTE = 60_000;

interface Job {
  readonly prompt: string;
  readonly taskId: string;
  readonly creates: readonly FaultAction[];
  readonly statuses: readonly FaultAction[];
}

function replyOf(one: Said, on: 'create' | 'status'): FaultAction {
  // Minutes of back-off are for other tests; a reply has one length.
  const { 'retry-after': _, ...headers } = one.headers;
  const raw = { status: one.status, headers, body: one.body.toString('base64'), encoding: 'base64' } as const;
  // The API does not make a task and then refuse it in its own words; anything else may come after the work.
  return { kind: on === 'create' && !isRefusal(one) ? 'replyAfter' : 'reply', ...raw };
}

const broken = fc.constantFrom<FaultAction>(
  { kind: 'dropAfter' },
  { kind: 'dropBefore' },
  { kind: 'truncateAfter', bytes: 30 },
  { kind: 'redirect', location: '/elsewhere' },
);
const action = (taskId: string, on: 'create' | 'status'): fc.Arbitrary<FaultAction> =>
  fc.oneof({ weight: 4, arbitrary: said(taskId).map((one) => replyOf(one, on)) }, { weight: 1, arbitrary: broken });

const jobs: readonly Job[] = Array.from({ length: runs(40) }, (_, n) => {
  const taskId = `task_fuzz_${n}`;
  const creates = fc.array(action(taskId, 'create'), { maxLength: 2 });
  const statuses = fc.array(action(taskId, 'status'), { maxLength: 2 });
  const [faults] = fc.sample(fc.record({ creates, statuses }), { seed: SEED + n, numRuns: 1 });
  return { prompt: `fuzz ${n};`, taskId, ...faults! };
});

// What would hold ends, so that nobody has to look for it.
const options = { onActionNeeded: 'fail' } as const;

let harness: Harness;
const handles = new Map<string, GenerationHandle>();
beforeAll(async () => {
  const faults = jobs.flatMap(({ prompt, taskId, creates, statuses }): Fault[] => [
    { on: 'create', prompt, do: { kind: 'id', id: taskId } },
    ...creates.map((reply): Fault => ({ on: 'create', prompt, times: 1, do: reply })),
    ...statuses.map((reply): Fault => ({ on: 'status', prompt, times: 1, do: reply })),
  ]);
  harness = await startHarness({ account: false, emulator: { credits: 10_000, rateLimitPerMinute: 100_000, faults } });
  for (const { prompt } of jobs) {
    handles.set(prompt, await harness.client.start({ model: 'z-image', prompt, options }));
  }
});
afterAll(() => harness[Symbol.asyncDispose]());

/** Calls in the fullest minute. */
function busiest(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + MINUTE).length));
}

describe.concurrent(`whatever is answered (FUZZ_SEED=${SEED})`, () => {
  test.each(jobs.map((job) => [job.prompt, job] as const))('%s', async (prompt, { taskId }) => {
    const { result, error } = await handles
      .get(prompt)!
      .result()
      .then(
        (value) => ({ result: value, error: null }),
        (reason: unknown) => ({ result: null, error: reason }),
      );
    const { keys, tasks } = await harness.emulator.ledger();
    const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${prompt}"`)));
    expect(mine).toMatchObject([{ bodies: [expect.anything()] }]);
    const paid = mine[0]!.tasks;
    expect(paid.length).toBeLessThanOrEqual(1);
    expect(Object.values(tasks).filter((task) => task.prompt === prompt)).toHaveLength(paid.length);
    if (result !== null) {
      expect([result.taskId, result.urls.length > 0]).toEqual([taskId, true]);
      expect(paid).toEqual([taskId]);
    } else {
      expect(error).toBeInstanceOf(GenerationError);
      const { details, message } = error as GenerationError;
      // What is paid, or may be, is said.
      if (paid.length === 1) expect(details.taskId ?? details.unanswered ?? null).not.toBeNull();
      else if (details.unanswered === undefined) expect(message).toMatch(/cost nothing|Nothing was paid|paid nothing/);
    }

    // 1 s, 1 s, 2 s, 4 s, …: seven POSTs in a minute at most. Checks are 5 s apart.
    const posts = harness.emulator.requests().filter(({ body }) => body.includes(`"${prompt}"`));
    const checks = tasks[taskId]?.checks ?? [];
    expect(busiest(posts.map(({ at }) => at))).toBeLessThanOrEqual(7);
    expect(busiest(checks)).toBeLessThanOrEqual(12);
    for (const [index, at] of checks.slice(1).entries()) expect(at - checks[index]!).toBeGreaterThanOrEqual(5_000);
  });
});
