/**
 * Answers that no page of the API describes, to a submit and to a status check. All generations start at once, each
 * with faults of its own, and each test waits for one of them. The ledger is the judge.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationError, type GenerationHandle } from '../../src/client.js';
import type { LedgerKey, LedgerTask } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { absurd, checks, HELD, open, submits, type Odd } from './odd-cases.js';

const cases = [...submits, ...checks];
const handles = new Map<string, GenerationHandle>();
const promptOf = (name: string): string => `odd answer, ${name};`;

let harness: Harness;
beforeAll(async () => {
  const faults = [...cases, ...open].flatMap((odd) =>
    odd.faults.map((fault) => ({ ...fault, prompt: promptOf(odd.name) })),
  );
  harness = await startHarness({ account: false, emulator: { credits: 10_000, rateLimitPerMinute: 100_000, faults } });
  await Promise.all(
    [...cases, ...open].map(async ({ name, options = {} }) => {
      handles.set(name, await harness.client.start({ model: 'z-image', prompt: promptOf(name), options }));
    }),
  );
});
afterAll(() => harness[Symbol.asyncDispose]());

interface Account {
  /** Of this generation; more than one would be another chance to pay. */
  readonly keys: readonly LedgerKey[];
  readonly tasks: readonly (readonly [taskId: string, LedgerTask])[];
  /** When its POSTs arrived. */
  readonly posts: readonly number[];
}

async function accountOf(name: string): Promise<Account> {
  const prompt = JSON.stringify(promptOf(name));
  const { keys, tasks } = await harness.emulator.ledger();
  return {
    keys: Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(prompt))),
    tasks: Object.entries(tasks).filter(([, task]) => JSON.stringify(task.prompt) === prompt),
    posts: harness.emulator
      .requests()
      .filter(({ body }) => body.includes(prompt))
      .map(({ at }) => at),
  };
}

/** One key, one body, so many calls, none too early. */
function expectCalls({ keys, tasks, posts: at }: Account, { posts = 1, checks: gets = 1, apart = 0 }: Odd): void {
  expect(keys).toMatchObject([{ posts, tasks: tasks.map(([taskId]) => taskId), bodies: [expect.anything()] }]);
  const checkedAt = tasks[0]?.[1].checks ?? [];
  expect(checkedAt).toHaveLength(gets);
  const gap = (times: readonly number[]): number => Math.min(...times.slice(1).map((time, i) => time - times[i]!));
  expect(gap(checkedAt)).toBeGreaterThanOrEqual(Math.max(5_000, posts > 1 ? 0 : apart));
  if (posts > 1) expect(gap(at)).toBeGreaterThanOrEqual(apart);
}

describe('an odd answer costs nothing, and its generation is delivered', () => {
  test.each(cases.filter(({ fails }) => fails === undefined).map((odd) => [odd.name, odd] as const))(
    '%s',
    async (name, odd) => {
      const result = await handles.get(name)!.result();
      const account = await accountOf(name);
      expectCalls(account, odd);
      expect(account.tasks.map(([taskId]) => taskId)).toEqual([result.taskId]);
      expect(result.files).toHaveLength(1);
      // A busy machine has calls that never reach the API; they count as well.
      expect(result.statusChecks).toBeGreaterThanOrEqual(odd.checks ?? 1);
    },
  );
});

describe('a failure says what is paid', () => {
  test.each(cases.filter(({ fails }) => fails !== undefined).map((odd) => [odd.name, odd] as const))(
    '%s',
    async (name, odd) => {
      const error = await handles
        .get(name)!
        .result()
        .then(
          () => expect.fail('it succeeded'),
          (reason: unknown) => reason as GenerationError,
        );
      const account = await accountOf(name);
      expectCalls(account, odd);
      expect(error.code).toBe(odd.fails);
      expect(error.message.length).toBeLessThan(1_500);
      const [taskId = null] = account.tasks[0] ?? [];
      expect(error.details.taskId).toBe(taskId);
      if (taskId === null) expect(error.message).toContain('made no task and cost nothing');
      else if (odd.fails === 'GenerationFailed') expect(error.message).toContain(`Task ${taskId} ended failed`);
      // The way on costs nothing, and nobody is sent to submit again under another key.
      else {
        expect(error.message).toContain(`--task-id ${taskId}`);
        expect(error.message).not.toMatch(/another Workflow ID|another idempotencyKey|maxAttempts|corrected input/);
      }
    },
  );
});

describe('an answer that only a person can judge', () => {
  test('an unknown refusal of a check holds with the task, and goes on with it', async () => {
    const handle = handles.get(HELD)!;
    await until(async () => memoOf(await handle.describe())?.phase === 'held');
    const { taskId, hold } = memoOf(await handle.describe())!;
    expect(hold).toMatchObject({ code: 'brand_new', httpStatus: 418, requestId: 'req_odd' });
    expect(hold!.action).toContain('nothing more is paid');
    await handle.resume();
    expect(await handle.result()).toMatchObject({ taskId, statusChecks: 2, reused: false });
    expectCalls(await accountOf(HELD), { name: HELD, faults: [], checks: 2 });
  });
});

describe('an absurd Retry-After is a wait of 10 min', () => {
  const ms = (time: { seconds?: unknown; nanos?: number | null } | null | undefined): number =>
    Number(time!.seconds) * 1_000 + Math.round((time!.nanos ?? 0) / 1e6);

  test.each(absurd.map(({ name }) => name))('%s', async (name) => {
    const handle = handles.get(name)!;
    const pending = async () => (await handle.describe()).raw.pendingActivities?.[0];
    await until(async () => (await pending())?.lastAttemptCompleteTime != null);
    const { lastAttemptCompleteTime, nextAttemptScheduleTime } = (await pending())!;
    const delay = ms(nextAttemptScheduleTime) - ms(lastAttemptCompleteTime);
    expect(delay).toBeGreaterThan(9.9 * 60_000);
    expect(delay).toBeLessThan(10.1 * 60_000);
    const { posts, tasks } = await accountOf(name);
    expect([posts.length, tasks[0]?.[1].checks.length ?? 0]).toEqual([1, name.startsWith('create') ? 0 : 1]);
    await harness.temporal.workflow.getHandle(handle.workflowId).terminate();
  });
});

test('a redirect is never followed', () => {
  expect(harness.emulator.requests().filter(({ path }) => path.includes('elsewhere'))).toEqual([]);
});
