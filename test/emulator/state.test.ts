import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../src/emulator/index.js';
import { ask, CAT, check, create, credits, emulatorFor, TestClock, until } from './helpers.js';

async function stateFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'emulator-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'state.json');
}

test('tasks, keys, credits and checks survive a restart, and a replay after it pays nothing', async () => {
  const clock = new TestClock();
  const options = { clock: clock.read, stateFile: await stateFile(), credits: 10, durations: { image: 4000 } };
  const before = await startEmulator(options);
  const created = await create(before, 'k');
  await create(before, 'failing', { ...CAT, prompt: '[[fail]]' });
  await check(before, created.body.id);
  const ledger = await before.ledger();
  await before.close();

  const after = await emulatorFor(options);
  expect(await after.ledger()).toStrictEqual(ledger);
  expect((await create(after, 'k')).text).toBe(created.text);
  expect((await create(after, 'k', { ...CAT, prompt: 'other' })).status).toBe(409);
  expect(await credits(after)).toBe(8);
  clock.pass(4000);
  expect(await credits(after)).toBe(9);
  const done = (await check(after, created.body.id)).body;
  expect(done.result.primary_url).toBe(`${after.url}/media/${created.body.id}/1.png`);

  const later = await emulatorFor(options);
  expect(await credits(later)).toBe(9); // A refund is not made twice.
});

test('the file is written before a reply that is then lost', async () => {
  const file = await stateFile();
  const faults = [{ on: 'create', do: { kind: 'dropAfter' } }] as const;
  const emulator = await emulatorFor({ stateFile: file, faults });
  await expect(create(emulator, 'k')).rejects.toThrow('fetch failed');
  const other = await emulatorFor({ stateFile: file });
  expect((await other.ledger()).keys['k']).toMatchObject({ posts: 1, charged: 1 });
});

test('a POST is in the file before its work begins', async () => {
  const file = await stateFile();
  const emulator = await emulatorFor({
    stateFile: file,
    faults: [{ on: 'create', do: { kind: 'delayBefore', ms: 60_000 } }],
  });
  create(emulator, 'k').catch(() => undefined);
  await until(() => emulator.requests().length === 1);
  const other = await emulatorFor({ stateFile: file });
  expect((await other.ledger()).keys['k']).toMatchObject({ posts: 1, faulted: 1, charged: 0 });
});

test('a fault goes on counting after a restart, and anew when faults are set', async () => {
  const fault = { on: 'create', times: 2, do: { kind: 'error', code: 'rate_limited' } } as const;
  const options = { stateFile: await stateFile(), faults: [fault] };
  const prompt = '[[code:internal_error:1]]';
  const statusIn = async (key: string): Promise<number> => {
    const emulator = await emulatorFor(options);
    return (await create(emulator, key, { ...CAT, prompt })).status;
  };
  // Each counts by itself.
  expect([await statusIn('k'), await statusIn('k'), await statusIn('k'), await statusIn('k')]).toEqual([
    429, 429, 500, 201,
  ]);
  const emulator = await emulatorFor(options);
  emulator.setFaults([fault]);
  expect((await create(emulator, 'k')).status).toBe(429);
});

test('wherever a kill cuts the file off, charge, task and stored reply are there together', async () => {
  const file = await stateFile();
  const emulator = await emulatorFor({ stateFile: file, credits: 10 });
  const { length } = await readFile(file);
  await create(emulator, 'k');
  const whole = await readFile(file);
  for (let cut = length; cut <= whole.length; cut += 7) {
    await writeFile(file, whole.subarray(0, cut));
    const restarted = await startEmulator({ stateFile: file, credits: 10 });
    expect((await create(restarted, 'k')).status).toBe(201);
    expect(await restarted.ledger()).toMatchObject({ paidTasks: 1, credits: { acct_emulator: 9 } });
    await restarted.close();
  }
});

test('a change costs the same however much there is already', async () => {
  const file = await stateFile();
  const emulator = await emulatorFor({ stateFile: file });
  const growth: number[] = [];
  for (let n = 100; n < 200; n++) {
    const { length } = await readFile(file);
    await create(emulator, `k${n}`);
    growth.push((await readFile(file)).length - length);
  }
  expect(Math.max(...growth)).toBeLessThan(Math.min(...growth) * 1.2);
});

test('the state file holds no API key', async () => {
  const file = await stateFile();
  const emulator = await emulatorFor({ stateFile: file });
  await create(emulator, 'k');
  expect(await readFile(file, 'utf8')).not.toContain(emulator.apiKey);
});

test('half a line of a write that was cut off is passed over, and so is half a file', async () => {
  const file = await stateFile();
  const before = await startEmulator({ stateFile: file });
  await create(before, 'k');
  await before.close();
  await appendFile(file, '[["tasks","task_x",{"id":"task_');
  await writeFile(`${file}.tmp`, '{"version":2}\n[["tas');
  const after = await emulatorFor({ stateFile: file });
  expect((await after.ledger()).paidTasks).toBe(1);
  await create(after, 'k2');
  expect((await after.ledger()).paidTasks).toBe(2);
});

test.each(['{"vers', '', '{"version":3}\n', '{"version":2}\n[["tasks","t"\n[["tasks","t",{}]]\n'])(
  'a state file %j is an error, not an empty start',
  async (text) => {
    const file = await stateFile();
    await writeFile(file, text);
    await expect(startEmulator({ stateFile: file })).rejects.toThrow(file);
    expect(await readFile(file, 'utf8')).toBe(text);
  },
);

test('the ledger knows each check and its time, also of checks that were not answered', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read });
  const { id } = (await create(emulator, 'k')).body;
  emulator.setFaults([{ on: 'status', times: 1, do: { kind: 'dropBefore' } }]);
  await expect(check(emulator, id)).rejects.toThrow('fetch failed');
  const start = clock.now;
  clock.pass(5000);
  await check(emulator, id);
  expect((await emulator.ledger()).tasks[id]).toStrictEqual({
    status: 'succeeded',
    account: 'acct_emulator',
    model: 'z-image',
    prompt: 'a cat',
    key: 'k',
    reserved: 1,
    final: 1,
    checks: [start, start + 5000],
  });
});

test('requests are recorded in order, without the API key', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read });
  await create(emulator, 'k');
  await ask(emulator, '/api/v1/credits?x=1');
  const body = JSON.stringify(CAT);
  expect(emulator.requests()).toStrictEqual([
    { method: 'POST', path: '/api/v1/generations', idempotencyKey: 'k', body, at: clock.now, status: 201 },
    { method: 'GET', path: '/api/v1/credits', idempotencyKey: null, body: '', at: clock.now, status: 200 },
  ]);
});

test('reset puts everything back to the start', async () => {
  const emulator = await emulatorFor({ credits: 5, rateLimitPerMinute: 2, clock: new TestClock().read });
  await create(emulator, 'k');
  emulator.setSwitches({ createStatus: 202 });
  emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'rate_limited' } }]);
  emulator.setKeys([]);
  emulator.reset();
  expect(emulator.requests()).toStrictEqual([]);
  expect((await create(emulator, 'k')).status).toBe(201);
  expect(await emulator.ledger()).toMatchObject({ paidTasks: 1, credits: { acct_emulator: 4 } });
});

test('tasks end when they are told to: those of a prompt, or all, also one that never ends', async () => {
  const clock = new TestClock();
  const stateFileOf = await stateFile();
  const options = { clock: clock.read, stateFile: stateFileOf, durations: { image: 3_600_000 } };
  const emulator = await emulatorFor(options);
  const ids: Record<string, string> = {};
  for (const prompt of ['a fox', 'an owl [[stuck]]', 'a hen [[fail]]']) {
    ids[prompt] = (await create(emulator, prompt, { ...CAT, prompt })).body.id as string;
  }
  const statuses = async (of = emulator): Promise<unknown[]> =>
    Promise.all(Object.values(ids).map(async (id) => (await check(of, id)).body.status as unknown));
  clock.pass(1);
  await emulator.endTasks('owl');
  expect(await statuses()).toEqual(['queued', 'succeeded', 'queued']);
  expect((await ask(emulator, '/__admin/end', { body: {}, apiKey: null })).status).toBe(200);
  expect(await statuses()).toEqual(['succeeded', 'succeeded', 'failed']);
  expect(await credits(emulator)).toBe(998);
  // Also after a restart, and a later task takes its time.
  const later = await emulatorFor(options);
  expect(await statuses(later)).toEqual(['succeeded', 'succeeded', 'failed']);
  expect((await check(later, (await create(later, 'later')).body.id as string)).body.status).toBe('queued');
});

test('the admin paths change a running emulator and show its ledger', async () => {
  const emulator = await emulatorFor();
  const admin = (path: string, body?: unknown) =>
    ask(emulator, `/__admin/${path}`, body === undefined ? {} : { body, apiKey: null });
  const fault = { on: 'create', times: 1, do: { kind: 'error', code: 'internal_error' } };
  expect((await admin('faults', [fault])).status).toBe(200);
  expect((await create(emulator, 'k')).status).toBe(500);
  expect((await admin('switches', { createStatus: 202 })).status).toBe(200);
  expect((await create(emulator, 'k')).status).toBe(202);
  expect((await admin('credits', { credits: 7 })).status).toBe(200);
  expect((await admin('rate-limit', { perMinute: 700 })).status).toBe(200);
  expect((await admin('ledger')).body).toStrictEqual(await emulator.ledger());
  expect((await admin('ledger')).body.credits).toStrictEqual({ acct_emulator: 7 });
  expect((await admin('requests')).body).toHaveLength(2);
  expect((await admin('keys', [{ key: 'other' }])).status).toBe(200);
  expect((await create(emulator)).body.error.code).toBe('api_key_invalid');
  expect((await admin('reset', {})).status).toBe(200);
  expect((await admin('ledger')).body.paidTasks).toBe(0);
});

test.each([
  ['faults', {}],
  ['faults', [{ on: 'x' }]],
  ['switches', { createStatus: 204 }],
  ['switches', { unknown: 1 }],
  ['switches', { resultLagMs: '5' }],
  ['credits', {}],
  ['keys', ['rvya_sk_x']],
  ['rate-limit', { perMinute: 0 }],
])('the admin path %s refuses %j and says why', async (path, body) => {
  const answer = await ask(await emulatorFor(), `/__admin/${path}`, { body });
  expect(answer.status).toBe(400);
  expect(answer.text.length).toBeGreaterThan(20);
});
