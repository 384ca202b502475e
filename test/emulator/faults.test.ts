import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Emulator, Fault } from '../../src/emulator/index.js';
import { ask, CAT, check, create, credits, emulatorFor, TestClock, until } from './helpers.js';

test('a reply that is dropped after the work leaves one paid task, and a replay finds it', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', times: 2, do: { kind: 'dropAfter' } }] });
  await expect(create(emulator, 'k')).rejects.toThrow('fetch failed');
  await expect(create(emulator, 'k')).rejects.toThrow('fetch failed');
  const { body } = await create(emulator, 'k');
  const ledger = await emulator.ledger();
  expect(ledger.paidTasks).toBe(1);
  expect(ledger.keys).toStrictEqual({
    k: { tasks: [body.id], posts: 3, faulted: 2, bodies: [JSON.stringify(CAT)], charged: 1 },
  });
  expect(ledger.credits).toStrictEqual({ acct_emulator: 999 });
  expect(emulator.requests().map((request) => request.status)).toStrictEqual([null, null, 201]);
});

test('a connection that is dropped before the work leaves nothing', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', times: 1, do: { kind: 'dropBefore' } }] });
  await expect(create(emulator, 'k')).rejects.toThrow('fetch failed');
  const ledger = await emulator.ledger();
  expect([ledger.paidTasks, ledger.keys['k']?.posts, await credits(emulator)]).toStrictEqual([0, 1, 1000]);
});

test('many answers that are delayed at the same time cause no warning of a leak', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', do: { kind: 'delayBefore', ms: 200 } }] });
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  await Promise.all(Array.from({ length: 12 }, (_, n) => create(emulator, `k${n}`)));
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

test('a delayed create is done although its sender has gone', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', times: 1, do: { kind: 'delayBefore', ms: 50 } }] });
  const { hostname, port } = new URL(emulator.url);
  const body = JSON.stringify(CAT);
  const socket = connect(Number(port), hostname);
  socket.end(
    `POST /api/v1/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${emulator.apiKey}\r\nIdempotency-Key: k\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => emulator.requests().length === 1);
  socket.destroy();
  await until(() => emulator.requests()[0]?.status === 201);
  const { keys, tasks } = await emulator.ledger();
  expect(keys['k']).toMatchObject({ posts: 1, charged: 1 });
  const { created_at: createdAt } = (await check(emulator, Object.keys(tasks)[0] ?? '')).body;
  // Timers may be a little early, never by half.
  expect(Date.parse(createdAt) - (emulator.requests()[0]?.at ?? 0)).toBeGreaterThan(25);
});

test('raw replies, redirects and truncated bodies arrive as they were asked for', async () => {
  const html = { status: 502, body: '<html>', headers: { 'Content-Type': 'text/html' } };
  const emulator = await emulatorFor({
    faults: [
      { on: 'create', times: 1, do: { kind: 'reply', ...html } },
      { on: 'create', times: 1, do: { kind: 'replyAfter', ...html } },
      { on: 'create', times: 1, do: { kind: 'redirect', location: 'https://elsewhere.example/' } },
      { on: 'create', times: 1, do: { kind: 'truncateAfter', bytes: 10 } },
    ],
  });
  const paid: number[] = [];
  for (const key of ['reply', 'replyAfter']) {
    const answer = await create(emulator, key);
    expect([answer.status, answer.text, answer.headers.get('content-type')]).toStrictEqual([
      502,
      '<html>',
      'text/html',
    ]);
    paid.push((await emulator.ledger()).paidTasks);
  }
  expect(paid).toStrictEqual([0, 1]);
  const redirect = await create(emulator, 'redirect');
  expect([redirect.status, redirect.headers.get('location')]).toStrictEqual([307, 'https://elsewhere.example/']);
  await expect(create(emulator, 'truncated')).rejects.toThrow('terminated');
  expect((await emulator.ledger()).paidTasks).toBe(2);
});

test('a raw reply can be bytes that are no text', async () => {
  const bytes = gzipSync('{}');
  const encoded = { body: bytes.toString('base64'), encoding: 'base64' } as const;
  const emulator = await emulatorFor({
    faults: [{ on: 'models', do: { kind: 'reply', status: 200, ...encoded, headers: { 'Content-Encoding': 'gzip' } } }],
  });
  // The reader unpacks it, so every byte arrived.
  expect((await ask(emulator, '/api/v1/models')).text).toBe('{}');
});

test('a task can get an odd ID, and two never share one', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', do: { kind: 'id', id: 'a/b' } }] });
  expect((await create(emulator, 'k')).body.id).toBe('a/b');
  expect((await create(emulator, 'other')).body.id).toMatch(/^task_/);
  expect((await check(emulator, 'a%2Fb')).body.id).toBe('a/b');
  expect((await emulator.ledger()).paidTasks).toBe(2);
});

test('a truncated reply announces its whole length and sends only a part', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'models', do: { kind: 'truncateAfter', bytes: 10 } }] });
  const { hostname, port } = new URL(emulator.url);
  const raw = await new Promise<string>((resolve, reject) => {
    let text = '';
    connect(Number(port), hostname)
      .on('data', (data) => (text += data.toString()))
      .on('end', () => resolve(text))
      .on('error', reject)
      .write('GET /api/v1/models HTTP/1.1\r\nHost: x\r\n\r\n');
  });
  const [head = '', body = ''] = raw.split('\r\n\r\n');
  expect(body).toBe('{"object":');
  expect(Number(/content-length: (\d+)/i.exec(head)?.[1])).toBeGreaterThan(1000);
});

test('a hanging request is never answered and ends with close()', async () => {
  const emulator = await emulatorFor({ faults: [{ on: 'status', do: { kind: 'hang' } }] });
  const hanging = check(emulator, 'task_x').then(
    () => 'answered',
    () => 'ended',
  );
  await until(() => emulator.requests().length === 1);
  await emulator.close();
  expect(await hanging).toBe('ended');
  expect(emulator.requests()[0]?.status).toBeNull();
});

test('faults apply in order, to the prompt and key they name, after skip and for so many times', async () => {
  const error = (code: 'rate_limited' | 'internal_error' | 'not_found'): Fault['do'] => ({ kind: 'error', code });
  const emulator = await emulatorFor({
    faults: [
      { on: 'create', prompt: 'dog', do: error('not_found') },
      { on: 'create', key: 'special', do: error('rate_limited') },
      { on: 'create', skip: 1, times: 2, do: error('internal_error') },
    ],
  });
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await create(emulator, `k${i}`)).status);
  expect(statuses).toStrictEqual([201, 500, 500, 201, 201]);
  expect((await create(emulator, 'special')).status).toBe(429);
  expect((await create(emulator, 'd', { ...CAT, prompt: 'a dog' })).status).toBe(404);
});

test('faults of the status endpoint are chosen by the prompt and key of the task', async () => {
  const emulator = await emulatorFor({
    faults: [
      { on: 'status', prompt: 'dog', do: { kind: 'status', status: 'archived' } },
      { on: 'status', key: 'k', do: { kind: 'error', code: 'public_api_disabled', retryAfter: 'soon' } },
    ],
  });
  const dog = (await create(emulator, undefined, { ...CAT, prompt: 'a dog' })).body.id;
  const cat = (await create(emulator, 'k')).body.id;
  expect((await check(emulator, dog)).body).toMatchObject({ id: dog, status: 'archived', result: null, error: null });
  const disabled = await check(emulator, cat);
  expect([disabled.status, disabled.headers.get('retry-after')]).toStrictEqual([503, 'soon']);
  expect((await check(emulator, 'task_x')).status).toBe(404);
});

test('an API that is switched off says when to come again if the switch asks for it', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({
    clock: clock.read,
    switches: { retryAfter: 'seconds' },
    faults: [{ on: 'credits', do: { kind: 'error', code: 'public_api_disabled' } }],
  });
  expect((await ask(emulator, '/api/v1/credits')).headers.get('retry-after')).toBe('5');
});

async function ends(emulator: Emulator, clock: TestClock, prompt: string, afterMs: number): Promise<string> {
  const { id } = (await create(emulator, undefined, { ...CAT, prompt })).body;
  clock.pass(afterMs);
  return (await check(emulator, id)).body.status;
}

test('a prompt can say that its task fails, never ends, or takes longer', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read });
  const day = 86_400_000;
  expect(await ends(emulator, clock, 'a cat [[fail]]', day)).toBe('failed');
  expect(await ends(emulator, clock, 'a cat [[stuck]]', day)).toBe('processing');
  expect(await ends(emulator, clock, '[[duration:90s]]', 89_999)).toBe('processing');
  expect(await ends(emulator, clock, '[[duration:90s]]', 90_000)).toBe('succeeded');
  expect(await ends(emulator, clock, '[[duration:2h]] [[fail]]', 7_200_000)).toBe('failed');
  expect(await ends(emulator, clock, 'an array [[1]] and [[words]]', 4000)).toBe('succeeded');
});

test('a prompt can ask for refusals, dropped replies and failing checks, counted for each task', async () => {
  const emulator = await emulatorFor();
  const prompt = (directives: string): object => ({ ...CAT, prompt: `a cat ${directives}` });
  for (let i = 0; i < 2; i++) {
    const refused = await create(emulator, 'code', prompt('[[code:insufficient_credits]]'));
    expect(refused.body.error.code).toBe('insufficient_credits');
  }
  const limited = prompt('[[code:rate_limited:1]]');
  expect((await create(emulator, 'limited', limited)).status).toBe(429);
  // Also under another key, as after a hold.
  expect((await create(emulator, 'limited-2', limited)).status).toBe(201);
  for (const key of ['a', 'b']) {
    await expect(create(emulator, key, prompt('[[drop-reply:1]] [[status-error:2]]'))).rejects.toThrow('fetch failed');
    const { id } = (await create(emulator, key, prompt('[[drop-reply:1]] [[status-error:2]]'))).body;
    const statuses = [await check(emulator, id), await check(emulator, id), await check(emulator, id)];
    expect(statuses.map((answer) => answer.status)).toStrictEqual([500, 500, 200]);
  }
  expect((await emulator.ledger()).paidTasks).toBe(3);
});

test.each(['[[code:no_such_code]]', '[[duration:long]]'])('a slip in the directive %s is told', async (directive) => {
  const answer = await create(await emulatorFor(), undefined, { ...CAT, prompt: directive });
  expect([answer.status, answer.body.error.message]).toStrictEqual([400, expect.stringContaining(directive)]);
});

test.each([
  ['endpoint', { on: 'creat', do: { kind: 'hang' } }],
  ['action', { on: 'create', do: { kind: 'explode' } }],
  ['code', { on: 'create', do: { kind: 'error', code: 'oops' } }],
  ['field of the fault', { on: 'create', promt: 'x', do: { kind: 'hang' } }],
  ['field of the action', { on: 'create', do: { kind: 'delayAfter' } }],
  ['encoding', { on: 'create', do: { kind: 'reply', status: 200, body: '', encoding: 'base46' } }],
  ['place', { on: 'status', do: { kind: 'fail' } }],
])('a fault with a wrong %s is an error, not a fault that never happens', async (_, fault) => {
  const emulator = await emulatorFor();
  expect(() => emulator.setFaults([fault as unknown as Fault])).toThrow(TypeError);
});
