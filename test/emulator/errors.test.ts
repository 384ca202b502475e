import { expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../src/contract/index.js';
import { ask, CAT, check, create, credits, emulatorFor, GENERATIONS, TestClock } from './helpers.js';

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

test.each(CODES)('a fault makes the documented reply for %s, and nothing is created', async (code) => {
  const emulator = await emulatorFor({ faults: [{ on: 'create', times: 1, do: { kind: 'error', code } }] });
  const refused = await create(emulator, 'k');
  expect(refused.status).toBe(ERROR_CODES[code].httpStatus);
  expect(refused.body).toStrictEqual({
    error: { code, message: expect.any(String), requestId: expect.stringMatching(/^req_/) },
  });
  expect((await emulator.ledger()).paidTasks).toBe(0);
  expect((await create(emulator, 'k')).status).toBe(201);
});

test('keys that are missing, unknown, revoked or expired are refused, each with its code', async () => {
  const emulator = await emulatorFor({
    keys: [{ key: 'rvya_sk_ok' }, { key: 'rvya_sk_old', state: 'expired' }, { key: 'rvya_sk_gone', state: 'revoked' }],
  });
  const codeFor = async (apiKey: string | null): Promise<string> =>
    (await ask(emulator, GENERATIONS, { body: CAT, apiKey })).body.error?.code;
  expect(await codeFor(null)).toBe('api_key_missing');
  expect(await codeFor('rvya_sk_other')).toBe('api_key_invalid');
  expect(await codeFor('rvya_sk_gone')).toBe('api_key_revoked');
  expect(await codeFor('rvya_sk_old')).toBe('api_key_expired');
  expect((await emulator.ledger()).paidTasks).toBe(0);
  emulator.setKeys([{ key: 'rvya_sk_ok', state: 'revoked' }]);
  expect(await codeFor('rvya_sk_ok')).toBe('api_key_revoked');
});

test('each call needs its own scope', async () => {
  const emulator = await emulatorFor({
    keys: [
      { key: 'create', scopes: ['generations:create'] },
      { key: 'read', scopes: ['generations:read'] },
      { key: 'credits', scopes: ['credits:read'] },
    ],
  });
  const { id } = (await ask(emulator, GENERATIONS, { body: CAT, apiKey: 'create' })).body;
  const statuses = async (apiKey: string): Promise<number[]> => [
    (await ask(emulator, GENERATIONS, { body: CAT, apiKey })).status,
    (await ask(emulator, `${GENERATIONS}/${id}`, { apiKey })).status,
    (await ask(emulator, '/api/v1/credits', { apiKey })).status,
  ];
  expect(await statuses('create')).toStrictEqual([201, 403, 403]);
  expect(await statuses('read')).toStrictEqual([403, 200, 403]);
  expect(await statuses('credits')).toStrictEqual([403, 403, 200]);
});

test('a task of another account is not found; another key of the same account sees it', async () => {
  const emulator = await emulatorFor({
    keys: [
      { key: 'a1', account: 'a' },
      { key: 'a2', account: 'a' },
      { key: 'b1', account: 'b' },
    ],
  });
  const { id } = (await create(emulator)).body;
  const path = `${GENERATIONS}/${id}`;
  expect((await ask(emulator, path, { apiKey: 'a2' })).status).toBe(200);
  const denied = await ask(emulator, path, { apiKey: 'b1' });
  expect([denied.status, denied.body.error.code]).toStrictEqual([404, 'not_found']);
  expect((await check(emulator, 'task_none')).body.error.code).toBe('not_found');
});

test.each([
  ['an unknown path', 'GET', '/api/v1/generations'],
  ['an endpoint with another method', 'DELETE', '/api/v1/generations/task_x'],
  ['the root', 'GET', '/'],
])('%s is answered with not_found', async (_, method, path) => {
  const answer = await ask(await emulatorFor(), path, { method });
  expect([answer.status, answer.body.error.code]).toStrictEqual([404, 'not_found']);
});

test('the rate limit holds per key in each minute of the clock, and says when to come again', async () => {
  const clock = new TestClock();
  const keys = [{ key: 'one' }, { key: 'two' }];
  const emulator = await emulatorFor({ clock: clock.read, keys, rateLimitPerMinute: 2 });
  const status = async (apiKey: string): Promise<number> => (await ask(emulator, '/api/v1/credits', { apiKey })).status;
  clock.pass(15_000);
  expect([await status('one'), await status('one'), await status('one'), await status('two')]).toStrictEqual([
    200, 200, 429, 200,
  ]);
  const retryAfter = async (form: 'none' | 'seconds' | 'date'): Promise<string | null> => {
    emulator.setSwitches({ retryAfter: form });
    return (await ask(emulator, '/api/v1/credits', { apiKey: 'one' })).headers.get('retry-after');
  };
  expect(await retryAfter('none')).toBeNull();
  expect(await retryAfter('seconds')).toBe('45');
  expect(await retryAfter('date')).toBe('Sun, 10 May 2026 00:01:00 GMT');
  clock.pass(45_000);
  expect(await status('one')).toBe(200);
});

test('the rate limit can be changed while it runs, up to the next reset', async () => {
  const emulator = await emulatorFor({ clock: new TestClock().read, rateLimitPerMinute: 1 });
  const status = async (): Promise<number> => (await ask(emulator, '/api/v1/credits')).status;
  expect([await status(), await status()]).toStrictEqual([200, 429]);
  emulator.setRateLimit(2);
  expect([await status(), await status()]).toStrictEqual([200, 429]);
  expect(() => emulator.setRateLimit(0)).toThrow(/1 call a minute or more/);
  emulator.reset();
  expect([await status(), await status()]).toStrictEqual([200, 429]);
});

test('credits are taken at create, given back when the task fails, and bound what can be created', async () => {
  const clock = new TestClock();
  const emulator = await emulatorFor({ clock: clock.read, credits: 7, durations: { video: 8000 } });
  const video = { model: 'sora-2', prompt: 'a cat [[fail]]' };
  const { id, reserved_credits: reserved } = (await create(emulator, 'a', video)).body;
  expect([reserved, await credits(emulator)]).toStrictEqual([6, 1]);
  const refused = await create(emulator, 'b', video);
  expect([refused.status, refused.body.error.code]).toStrictEqual([402, 'insufficient_credits']);
  clock.pass(8000);
  const failed = (await check(emulator, id)).body;
  expect([failed.status, failed.final_credits, failed.error.code]).toStrictEqual(['failed', 0, 'generation_failed']);
  expect(await credits(emulator)).toBe(7);
  await emulator.setCredits(undefined, 0);
  expect((await create(emulator)).status).toBe(402);
  const ledger = await emulator.ledger();
  expect(ledger.paidTasks).toBe(1);
  expect(ledger.keys['a']).toMatchObject({ tasks: [id], posts: 1, charged: 6 });
  expect(ledger.keys['b']).toMatchObject({ tasks: [], posts: 1, charged: 0 });
});

test.each([
  ['no JSON', 'no'],
  ['an array', '[]'],
  ['no model', '{"prompt":"x"}'],
  ['an unknown model', '{"model":"z","prompt":"x"}'],
  ['a chat model', '{"model":"gpt-5-2-chat","prompt":"x"}'],
  ['no prompt and no params', '{"model":"z-image"}'],
  ['a blank prompt', '{"model":"z-image","prompt":" "}'],
  ['a prompt that is too long', JSON.stringify({ model: 'z-image', prompt: 'x'.repeat(1001) })],
  ['params that are no object', '{"model":"z-image","prompt":"x","params":[]}'],
  ['params left out where a model needs them', '{"model":"elevenlabs-turbo-2-5","prompt":"x"}'],
  ['a field that does not exist', '{"model":"z-image","prompt":"x","files":[]}'],
  ['a trace ID that is no text', '{"model":"z-image","prompt":"x","client_request_id":1}'],
])('a body with %s is refused and costs nothing', async (_, raw) => {
  const emulator = await emulatorFor();
  const answer = await ask(emulator, GENERATIONS, { raw });
  expect([answer.status, answer.body.error.code]).toStrictEqual([400, 'validation_failed']);
  expect(await credits(emulator)).toBe(1000);
});

test.each([
  ['a prompt of the greatest length', { model: 'z-image', prompt: '\u{1f431}'.repeat(1000) }],
  ['params in place of a prompt', { model: 'suno-music', params: { instrumental: 'true' } }],
  ['every documented field', { ...CAT, params: { aspect_ratio: '1:1' }, client_request_id: 'trace' }],
])('a body with %s is accepted', async (_, body) => {
  expect((await create(await emulatorFor(), undefined, body)).status).toBe(201);
});
