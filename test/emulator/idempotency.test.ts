import { expect, test } from 'vitest';
import { ask, CAT, check, create, emulatorFor, GENERATIONS, TestClock, until } from './helpers.js';

test('a repeated create gives the same task and charges once; without a key each one is paid', async () => {
  const emulator = await emulatorFor();
  const first = await create(emulator, 'k');
  const again = await create(emulator, 'k');
  expect([again.status, again.text]).toStrictEqual([first.status, first.text]);
  const [one, two] = [await create(emulator), await create(emulator)];
  expect(one.body.id).not.toBe(two.body.id);
  const ledger = await emulator.ledger();
  expect(ledger.paidTasks).toBe(3);
  expect(ledger.withoutKey).toStrictEqual([one.body.id, two.body.id]);
  expect(ledger.credits).toStrictEqual({ acct_emulator: 997 });
  expect(ledger.keys).toStrictEqual({
    k: { tasks: [first.body.id], posts: 2, faulted: 0, bodies: [JSON.stringify(CAT)], charged: 1 },
  });
});

test('other bytes under the same key are a conflict, even where they mean the same', async () => {
  const emulator = await emulatorFor();
  await create(emulator, 'k');
  const spaced = await ask(emulator, GENERATIONS, { raw: JSON.stringify(CAT, null, 1), idempotencyKey: 'k' });
  expect([spaced.status, spaced.body.error.code]).toStrictEqual([409, 'idempotency_conflict']);
  const ledger = await emulator.ledger();
  expect(ledger.paidTasks).toBe(1);
  expect(ledger.keys['k']).toMatchObject({ posts: 2, bodies: [JSON.stringify(CAT), JSON.stringify(CAT, null, 1)] });
});

test.each([200, 201, 202] as const)('switch createStatus: %i for the create and its replay', async (createStatus) => {
  const emulator = await emulatorFor({ switches: { createStatus } });
  expect((await create(emulator, 'k')).status).toBe(createStatus);
  expect((await create(emulator, 'k')).status).toBe(createStatus);
});

test('switch createBody: the short body has neither final credits nor times', async () => {
  const emulator = await emulatorFor({ switches: { createBody: 'short' } });
  const { body } = await create(emulator);
  expect(Object.keys(body)).toStrictEqual(['id', 'status', 'model', 'reserved_credits', 'result', 'error']);
  expect((await check(emulator, body.id)).body.created_at).toEqual(expect.any(String));
});

test.each([
  ['stored', 'queued'],
  ['current', 'succeeded'],
] as const)('switch replay: %s shows a finished task as %s', async (replay, status) => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, switches: { replay } });
  await create(emulator, 'k');
  clock.pass(60_000);
  expect((await create(emulator, 'k')).body.status).toBe(status);
});

test.each([true, false])('switch storeRefusals: %s', async (storeRefusals) => {
  const emulator = await emulatorFor({ credits: 0, switches: { storeRefusals } });
  const refused = await create(emulator, 'k');
  expect(refused.status).toBe(402);
  await emulator.setCredits(undefined, 10);
  const again = await create(emulator, 'k');
  if (storeRefusals) expect([again.status, again.text]).toStrictEqual([402, refused.text]);
  else expect(again.status).toBe(201);
  expect((await create(emulator, 'other')).status).toBe(201);
});

test.each([true, false])(
  'switch storeServerErrors: %s, for a 500 after the task was made',
  async (storeServerErrors) => {
    const emulator = await emulatorFor({
      switches: { storeServerErrors },
      faults: [{ on: 'create', times: 1, do: { kind: 'errorAfter', code: 'internal_error' } }],
    });
    const failed = await create(emulator, 'k');
    expect(failed.status).toBe(500);
    const again = await create(emulator, 'k');
    if (storeServerErrors) expect([again.status, again.text]).toStrictEqual([500, failed.text]);
    else expect(again.status).toBe(201);
    expect((await emulator.ledger()).keys['k']).toMatchObject({ tasks: [expect.any(String)], posts: 2, charged: 1 });
  },
);

test('a 500 that is not stored is another one each time', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', do: { kind: 'error', code: 'internal_error' } }] });
  const ids = [await create(emulator, 'k'), await create(emulator, 'k')].map((answer) => answer.body.error.requestId);
  expect(ids[0]).not.toBe(ids[1]);
});

/** Two POSTs with one key; the second comes when the first has done its work and is not answered for `ms`. */
async function twoPosts(concurrentPost: 'conflict' | 'wait' | 'replay', ms: number) {
  const emulator = await emulatorFor({
    switches: { concurrentPost },
    faults: [{ on: 'create', times: 1, do: { kind: 'delayAfter', ms } }],
  });
  const order: string[] = [];
  const first = create(emulator, 'k').finally(() => order.push('first'));
  first.catch(() => undefined); // Where it is never answered, the end of the emulator ends it.
  await until(() => emulator.requests().length === 1);
  const second = await create(emulator, 'k').finally(() => order.push('second'));
  return { emulator, first, second, order };
}

// So long that the first POST cannot be answered while the test runs.
const FOR_EVER_MS = 600_000;

test('switch concurrentPost: conflict answers 409 while the first POST runs', async () => {
  const { second, emulator } = await twoPosts('conflict', FOR_EVER_MS);
  expect([second.status, second.body.error.code]).toStrictEqual([409, 'idempotency_conflict']);
  expect((await emulator.ledger()).paidTasks).toBe(1);
});

test('switch concurrentPost: replay gives the task while the first POST runs', async () => {
  const { second, emulator } = await twoPosts('replay', FOR_EVER_MS);
  const ledger = await emulator.ledger();
  expect([second.status, [second.body.id]]).toStrictEqual([201, Object.keys(ledger.tasks)]);
});

test('switch concurrentPost: wait answers after the first POST, with the same task', async () => {
  const { first, second, order, emulator } = await twoPosts('wait', 100);
  expect([second.status, second.text]).toStrictEqual([201, (await first).text]);
  expect(order).toStrictEqual(['first', 'second']);
  expect((await emulator.ledger()).paidTasks).toBe(1);
});

test('many POSTs at once with one key make one task', async () => {
  const emulator = await emulatorFor({
    switches: { concurrentPost: 'wait' },
    faults: [{ on: 'create', times: 3, do: { kind: 'delayBefore', ms: 20 } }],
  });
  const answers = await Promise.all(Array.from({ length: 8 }, () => create(emulator, 'k')));
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
  expect((await emulator.ledger()).keys['k']).toMatchObject({ posts: 8, charged: 1 });
});

test.each([
  ['apiKey', 2],
  ['account', 1],
] as const)(
  'switch keyScope: one idempotency key under two API keys, known per %s, makes %i',
  async (keyScope, paid) => {
    const emulator = await emulatorFor({ keys: [{ key: 'a1' }, { key: 'a2' }], switches: { keyScope } });
    for (const apiKey of ['a1', 'a2', 'a1', 'a2']) {
      await ask(emulator, GENERATIONS, { body: CAT, apiKey, idempotencyKey: 'k' });
    }
    expect((await emulator.ledger()).keys['k']?.tasks).toHaveLength(paid);
  },
);

test('switch keyLifetimeMs: a forgotten key pays again, and the ledger tells', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, switches: { keyLifetimeMs: 1000 } });
  await create(emulator, 'k');
  clock.pass(999);
  await create(emulator, 'k');
  expect((await emulator.ledger()).paidTasks).toBe(1);
  clock.pass(1);
  await create(emulator, 'k');
  expect((await emulator.ledger()).keys['k']?.tasks).toHaveLength(2);
});

test('switches urls, errorOnFailed and resultLagMs change what an ended task shows', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, durations: { image: 4000 } });
  const { id } = (await create(emulator)).body;
  const failing = (await create(emulator, undefined, { ...CAT, prompt: '[[fail]]' })).body.id;
  clock.pass(4000);
  emulator.setSwitches({ urls: 'missing', errorOnFailed: 'null', resultLagMs: 500 });
  expect((await check(emulator, id)).body).toMatchObject({ status: 'succeeded', result: null });
  clock.pass(500);
  expect((await check(emulator, id)).body.result).toStrictEqual({ primary_url: `${emulator.url}/media/${id}/1.png` });
  emulator.setSwitches({ urls: 'none' });
  expect((await check(emulator, id)).body.result).toStrictEqual({ primary_url: null, urls: [] });
  expect((await check(emulator, failing)).body).toMatchObject({ status: 'failed', error: null });
});
