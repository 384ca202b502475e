/** What a person must mend holds the Workflow, says so wherever somebody may look, and goes on when they say so. */
import { randomUUID } from 'node:crypto';
import type { WorkflowFailedError } from '@temporalio/client';
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoOf, type GenerationError, type GenerationHandle } from '../../src/client.js';
import { ERROR_CODES, type FailureDetails } from '../../src/contract/index.js';
import type { Fault, LedgerKey } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

const CODES = [
  'insufficient_credits',
  'api_key_missing',
  'api_key_invalid',
  'api_key_revoked',
  'api_key_expired',
  'api_scope_denied',
] as const;
const CALLS = { submit: 'create', check: 'status' } as const;
type Call = keyof typeof CALLS;
const cases = CODES.flatMap((code) => (['submit', 'check'] as const).map((call) => [code, call] as const));

const promptOf = (code: string, call: Call): string => `${code} at ${call}`;

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    account: false,
    emulator: {
      rateLimitPerMinute: 100_000,
      faults: [
        ...['holds', 'fails'].flatMap((how) =>
          cases.map(([code, call]): Fault => ({
            on: CALLS[call],
            prompt: `${promptOf(code, call)} ${how}`,
            times: 1,
            do: { kind: 'error', code },
          })),
        ),
        { on: 'create', prompt: 'resumed twice', times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
        { on: 'create', prompt: 'resumed in vain', do: { kind: 'stuck' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

async function keysOf(prompt: string): Promise<LedgerKey[]> {
  const { keys } = await harness.emulator.ledger();
  return Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${prompt}"`)));
}
async function keyOf(prompt: string): Promise<LedgerKey | undefined> {
  return (await keysOf(prompt))[0];
}

/** One POST, and one paid task under the last key: after a hold at the submit, the next key number was used. */
async function expectPaidOnce(prompt: string, call: Call, taskId: string): Promise<void> {
  const paid = { posts: 1, tasks: [taskId], charged: 1 };
  expect(await keysOf(prompt)).toMatchObject(call === 'submit' ? [{ posts: 1, tasks: [], charged: 0 }, paid] : [paid]);
}

const workflowOf = ({ workflowId }: GenerationHandle) => harness.temporal.workflow.getHandle(workflowId);

/** The ways in which a person says "go on". The UI sends no argument, or what it takes for one. */
const WAYS: readonly ((handle: GenerationHandle) => Promise<unknown>)[] = [
  (handle) => workflowOf(handle).executeUpdate('resume'),
  (handle) => workflowOf(handle).signal('resume'),
  (handle) => handle.resume(),
  (handle) => workflowOf(handle).executeUpdate('resume', { args: [null] }),
  (handle) => workflowOf(handle).signal('resume', {}),
  (handle) => workflowOf(handle).executeUpdate('resume', { args: [{ reason: 'topped up' }] }),
];

describe.concurrent('what a person must mend', () => {
  test.each(cases)('%s at the %s holds, says what, since when and what is paid, and goes on', async (code, call) => {
    const prompt = `${promptOf(code, call)} holds`;
    const startedAt = Date.now();
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => (await stateOf(handle)).phase === 'held');

    const state = await stateOf(handle);
    const { httpStatus, action } = ERROR_CODES[code];
    const { hold } = state;
    expect(hold).toMatchObject({ code, httpStatus, action, requestId: expect.stringMatching(/^req_/) });
    expect(hold!.message).toContain(code);
    expect(Date.parse(hold!.since)).toBeGreaterThanOrEqual(startedAt - 1_000);
    expect(Date.parse(hold!.since)).toBeLessThanOrEqual(Date.now() + 1_000);
    const paid = await keyOf(prompt);
    const [taskId = null] = paid!.tasks;
    expect(paid).toMatchObject({ posts: 1, tasks: call === 'submit' ? [] : [expect.anything()] });
    const money = { taskId, reservedCredits: call === 'submit' ? null : 1 };
    expect(state).toMatchObject(money);
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'held', hold, ...money });

    const metadata = await workflowOf(handle).query<{ currentDetails: string }>('__temporal_workflow_metadata');
    const said = [`Held: a person must act (${code})`, `**What to do:** ${action}`, `Held since ${hold!.since}`];
    const aboutMoney = call === 'submit' ? 'cost nothing' : `Task: \`${taskId}\`, credits reserved: 1`;
    for (const text of [...said, aboutMoney]) expect(metadata.currentDetails).toContain(text);
    expect(metadata.currentDetails.match(/docs\/reference\.md#\w+/g)).toEqual([`docs/reference.md#${code}`]);

    await WAYS[cases.findIndex((one) => one[0] === code && one[1] === call) % WAYS.length]!(handle);
    const result = await handle.result();
    await expectPaidOnce(prompt, call, result.taskId);
    expect(memoOf(await handle.describe())).toMatchObject({ phase: 'succeeded', hold: null });
  });

  test.each(cases)('%s at the %s fails a caller who wants that; the same ID then goes on', async (code, call) => {
    const prompt = `${promptOf(code, call)} fails`;
    const input = { model: 'z-image', prompt, options: { onActionNeeded: 'fail' as const } };
    const handle = await harness.client.start(input);
    const error = await handle.result().then(
      () => expect.fail('it succeeded'),
      (failure: unknown) => failure as GenerationError,
    );
    const [taskId = null] = (await keyOf(prompt))!.tasks;
    expect(error).toMatchObject({ code, details: { taskId, httpStatus: ERROR_CODES[code].httpStatus } });
    expect(error.message).toContain('start again under the same Workflow ID');
    expect(error.message).not.toContain('resume');
    if (call === 'submit') expect(error.message).toContain('cost nothing');
    const again = await harness.client.start(input, { workflowId: handle.workflowId });
    const result = await again.result();
    await expectPaidOnce(prompt, call, result.taskId);
    if (call === 'check') expect(result).toMatchObject({ taskId, reused: true });
  });
});

describe.concurrent('a resume that cannot be applied is refused by name, and changes nothing', () => {
  const refusal = (error: unknown): unknown => (error as { cause?: unknown }).cause;

  test('on a Workflow that holds nothing', async () => {
    const prompt = 'resumed in vain';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => (await stateOf(handle)).phase === 'waiting');
    const before = await keyOf(prompt);
    for (const args of [[], [null], [{}], [{ taskId: 'task_of_mine' }], [{ reason: 'because' }]]) {
      const update = workflowOf(handle).executeUpdate('resume', { args: args as [unknown] });
      const error = await update.then(() => 'accepted', refusal);
      expect(error).toMatchObject({ type: 'InvalidInput', message: expect.stringContaining('Nothing is held here') });
    }
    await expect(handle.resume()).rejects.toMatchObject({
      name: 'GenerationError',
      code: 'InvalidInput',
      message: expect.stringContaining('nothing to resume'),
    });
    // A Signal cannot be refused, so it is ignored.
    await workflowOf(handle).signal('resume', { taskId: 'task_of_mine' });
    const { taskId } = await stateOf(handle);
    expect(taskId).toBe(before!.tasks[0]);
    expect(await keyOf(prompt)).toEqual(before);
    await workflowOf(handle).terminate();
  });

  test('when it comes twice: one is applied, and one POST follows', async () => {
    const prompt = 'resumed twice';
    const handle = await harness.client.start({ model: 'z-image', prompt });
    await until(async () => (await stateOf(handle)).phase === 'held');
    const resume = (): Promise<unknown> => workflowOf(handle).executeUpdate('resume');
    const ends = await Promise.allSettled([resume(), resume(), resume()]);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const end of ends) {
      if (end.status === 'fulfilled') continue;
      expect(refusal(end.reason)).toMatchObject({
        type: 'InvalidInput',
        message: expect.stringMatching(/being resumed already|Nothing is held here/),
      });
    }
    const { taskId } = await handle.result();
    await expectPaidOnce(prompt, 'submit', taskId);
  });
});

describe.concurrent('input that could be paid twice or never end is refused by name, and nothing is posted', () => {
  const good = { model: 'z-image', prompt: 'refused input' };
  test.each<[field: string, why: string, input: unknown]>([
    ['idempotencyKey', 'cannot go with taskId', { ...good, taskId: 'task_1', idempotencyKey: 'mine' }],
    ['idempotencyKey', 'is empty', { ...good, idempotencyKey: '' }],
    ['idempotencyKey', '255 characters', { ...good, idempotencyKey: 'k'.repeat(256) }],
    ['idempotencyKey', 'visible ASCII', { ...good, idempotencyKey: 'of mine' }],
    ['idempotencyKey', 'visible ASCII', { ...good, idempotencyKey: 'schlüssel' }],
    ['options.maxAttempts', 'never varied', { ...good, idempotencyKey: 'mine', options: { maxAttempts: 2 } }],
    ['options.deadline', 'from 1 s', { ...good, options: { deadline: -1 } }],
    ['options.deadline', 'from 1 s', { ...good, options: { deadline: '-6h' } }],
    ['options.deadline', 'from 1 s', { ...good, options: { deadline: 0 } }],
    ['options.deadline', '30 d', { ...good, options: { deadline: '400d' } }],
    ['options.deadline', '30 d', { ...good, options: { deadline: 1e300 } }],
    ['take', 'is not a field of the input', { ...good, take: 2 }],
    ['options.deadline', '6h', { ...good, options: { deadline: 'tomorrow' } }],
    ['options.submitDeadline', '30 d', { ...good, options: { submitDeadline: '31d' } }],
    ['options.idempotencyWindow', 'from 1 s', { ...good, options: { idempotencyWindow: '-1s' } }],
  ])('%s %s', async (field, why, input) => {
    const failure = await harness.temporal.workflow
      .execute('generateMedia', { workflowId: randomUUID(), taskQueue: harness.taskQueue, args: [input] })
      .then(
        () => expect.fail('it succeeded'),
        (error: WorkflowFailedError) => error.cause as ApplicationFailure,
      );
    expect(failure.type).toBe('InvalidInput');
    expect((failure.details![0] as FailureDetails).field).toBe(field);
    expect(failure.message).toMatch(new RegExp(`^${field}: .*${why}`));
    expect(failure.message).toContain('nothing was paid');
    expect(await keyOf(good.prompt)).toBeUndefined();
    // The client refuses the same before it starts anything.
    await expect(harness.client.start(input as never)).rejects.toMatchObject({ name: 'InvalidInput', field });
  });
});
