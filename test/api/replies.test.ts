import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { ERROR_CODES, SIMULATED_HEADER } from '../../src/contract/index.js';
import {
  InvalidRequest,
  keyFile,
  Secret,
  staticKey,
  type RivyaClient,
  type RivyaClientOptions,
} from '../../src/api/index.js';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { API_KEY, BODY, clientFor, envelope, failure, json, reply, serve, type Wire } from './wire.js';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

/** A server that gives every request the same answer, and a client for it. */
async function answering(bytes: Buffer, options: Partial<RivyaClientOptions> = {}): Promise<[RivyaClient, Wire]> {
  const wire = await serve((socket) => socket.write(bytes));
  const client = clientFor(wire.url, options);
  open.push(wire, client);
  return [client, wire];
}

const create = (client: RivyaClient) => client.createGeneration({ idempotencyKey: 'key-1', body: BODY });
const TASK = { id: 'task_1', status: 'queued', model: 'z-image', reserved_credits: 1 };

describe('a request', () => {
  it('carries exactly the given bytes, the idempotency key and the API key, once', async () => {
    const body = '{ "model":"z-image","prompt":"Fuchs \\u00fc ü 🦊" }';
    const [client, wire] = await answering(json(200, TASK));
    await client.createGeneration({ idempotencyKey: 'key-1', body });
    expect(wire.requests).toHaveLength(1);
    const [seen] = wire.requests;
    expect(seen?.body).toBe(body);
    expect(seen?.head).toMatch(/^POST \/api\/v1\/generations HTTP\/1.1\r\n/);
    expect(seen?.head).toContain(`authorization: Bearer ${API_KEY}`);
    expect(seen?.head).toContain('idempotency-key: key-1');
    expect(seen?.head).toContain('content-type: application/json');
    expect(seen?.head).toContain('accept-encoding: identity');
  });

  it('uses the key whose fingerprint the caller recorded, not a newer one', async () => {
    const [client, wire] = await answering(json(200, TASK));
    await client.createGeneration({ idempotencyKey: 'key-1', body: BODY, key: new Secret('recorded') });
    expect(wire.requests[0]?.head).toContain('authorization: Bearer recorded');
  });

  it('cannot be led to another path by a task ID', async () => {
    const [client, wire] = await answering(json(200, { id: 'a/../../credits?x=1#y%2e', status: 'queued' }));
    await client.retrieveGeneration('a/../../credits?x=1#y%2e');
    expect(wire.requests[0]?.head).toContain('GET /api/v1/generations/a%2F..%2F..%2Fcredits%3Fx%3D1%23y%252e HTTP/1.1');
    await expect(client.retrieveGeneration('..')).rejects.toThrow(InvalidRequest);
    expect(wire.requests).toHaveLength(1);
  });

  it('keeps the path of the base URL', async () => {
    const wire = await serve((socket) => socket.write(json(200, TASK)));
    const client = clientFor(`${wire.url}/gateway/`);
    open.push(wire, client);
    await create(client);
    expect(wire.requests[0]?.head).toMatch(/^POST \/gateway\/api\/v1\/generations /);
  });

  it('for the list of models carries no key', async () => {
    const [client, wire] = await answering(json(200, { data: [{ id: 'z-image', category: 'image' }] }));
    expect((await client.listModels()).models.map((model) => model.id)).toEqual(['z-image']);
    expect(wire.requests[0]?.head).not.toMatch(/authorization/i);
  });

  it('with an idempotency key that no header can carry is not sent', async () => {
    const [client, wire] = await answering(json(200, TASK));
    for (const idempotencyKey of ['a\r\nX: y', 'ключ']) {
      const error = await failure(client.createGeneration({ idempotencyKey, body: BODY }));
      expect(error).toMatchObject({ outcome: 'refused', httpStatus: null });
    }
    expect(wire.requests).toEqual([]);
  });

  it('without a key is not sent (P8)', async () => {
    const [client, wire] = await answering(json(200, TASK), { keys: staticKey('') });
    expect(await failure(create(client))).toMatchObject({
      outcome: 'refused',
      code: 'api_key_missing',
      httpStatus: null,
    });
    expect(wire.connections).toBe(0);
  });
});

describe('an accepted create', () => {
  it.each([200, 201, 202])('may have the status %d', async (status) => {
    const [client] = await answering(json(status, TASK));
    expect((await create(client)).task.taskId).toBe('task_1');
  });

  it('may be as short as an ID', async () => {
    const [client] = await answering(json(200, { id: 'task_1' }));
    expect((await create(client)).task).toMatchObject({
      taskId: 'task_1',
      status: 'unknown',
      reservedCredits: null,
      urls: [],
    });
  });

  it('tells age, simulation and request ID from the reply alone', async () => {
    const headers = { Date: 'Sun, 10 May 2026 00:01:00 GMT', [SIMULATED_HEADER]: 'true', 'X-Request-Id': 'req_9' };
    const [client] = await answering(json(200, { ...TASK, created_at: '2026-05-10T00:00:00.500Z' }, headers));
    const { task, serverTime } = await create(client);
    expect(serverTime).toBe(Date.UTC(2026, 4, 10, 0, 1));
    expect(task).toMatchObject({ ageMs: 59_500, simulated: true, requestId: 'req_9', kind: null });
  });

  it('has no age when the clock or the creation is not told, and never a negative one', async () => {
    const date = { Date: 'Sun, 10 May 2026 00:00:00 GMT' };
    for (const [task, headers, age] of [
      [TASK, date, null],
      [{ ...TASK, created_at: '2026-05-10T00:00:00Z' }, {}, null],
      [{ ...TASK, created_at: '2026-05-10T00:00:00.900Z' }, date, 0],
    ] as const) {
      const [client] = await answering(json(200, task, headers));
      expect((await create(client)).task.ageMs).toBe(age);
    }
  });

  it('with a repeated field means its last value', async () => {
    const [client] = await answering(reply(200, '{"id":"first","id":"last"}'));
    expect((await create(client)).task.taskId).toBe('last');
  });
});

describe('the documented status bodies', () => {
  const common = {
    id: 'task_public_id',
    model: 'z-image',
    created_at: '2026-05-10T00:00:00.000Z',
    updated_at: '2026-05-10T00:01:00.000Z',
  };

  it('succeeded', async () => {
    const urls = ['https://media.example/result.png'];
    const result = { primary_url: urls[0], urls };
    const [client] = await answering(
      json(200, { ...common, status: 'succeeded', reserved_credits: 1, final_credits: 1, result, error: null }),
    );
    expect((await client.retrieveGeneration('task_public_id')).task).toEqual({
      taskId: 'task_public_id',
      status: 'succeeded',
      model: 'z-image',
      kind: null,
      reservedCredits: 1,
      finalCredits: 1,
      createdAt: common.created_at,
      updatedAt: common.updated_at,
      ageMs: null,
      urls,
      error: null,
      simulated: false,
      requestId: null,
    });
  });

  it('failed', async () => {
    const error = { code: 'generation_failed', message: 'The generation failed.' };
    const [client] = await answering(
      json(200, { ...common, status: 'failed', reserved_credits: 1, final_credits: 0, result: null, error }),
    );
    const { task } = await client.retrieveGeneration('task_public_id');
    expect(task).toMatchObject({ status: 'failed', reservedCredits: 1, finalCredits: 0, urls: [], error });
  });

  it('a reply about another task does not end the wait for this one', async () => {
    const [client] = await answering(json(200, { ...common, status: 'succeeded' }));
    expect(await failure(client.retrieveGeneration('task_other'))).toMatchObject({
      outcome: 'unknown',
      httpStatus: 200,
    });
  });

  it('credits', async () => {
    const [client] = await answering(json(200, { current_credits: 123 }));
    expect(await client.getCredits()).toEqual({ currentCredits: 123, serverTime: null, simulated: false });
  });
});

describe('every documented code (P1: only a certain refusal is called one)', () => {
  it.each(Object.entries(ERROR_CODES))('%s', async (code, { httpStatus }) => {
    const [client, wire] = await answering(
      json(httpStatus, envelope(code, 'Because.', 'req_7'), { 'Retry-After': '7' }),
    );
    const error = await failure(create(client));
    const outcome = code === 'internal_error' ? 'unknown' : 'refused';
    expect(error).toMatchObject({ outcome, code, httpStatus, requestId: 'req_7', retryAfterMs: 7_000 });
    expect(error.message).toContain('Because');
    expect(error.message).toContain('req_7');
    expect(error.message).toContain(outcome === 'refused' ? 'cost nothing' : 'may have been paid');
    expect(wire.requests).toHaveLength(1);
  });

  it.each([
    [418, 'brand_new_code', 'refused'],
    [500, 'public_api_disabled', 'unknown'],
    [503, 'brand_new_code', 'unknown'],
    [400, 'internal_error', 'unknown'],
    [302, 'validation_failed', 'unknown'],
  ])('HTTP %d with %s is %s', async (status, code, outcome) => {
    const [client] = await answering(json(status, envelope(code)));
    expect(await failure(create(client))).toMatchObject({ outcome, code, httpStatus: status });
  });

  it('Retry-After as a date counts from the clock of the API, not of this machine', async () => {
    const headers = { Date: 'Sun, 10 May 2026 00:00:00 GMT', 'Retry-After': 'Sun, 10 May 2026 00:00:30 GMT' };
    const [client] = await answering(json(429, envelope('rate_limited'), headers));
    expect((await failure(create(client))).retryAfterMs).toBe(30_000);
  });
});

describe('a reply that is not the API speaking leaves the outcome unknown', () => {
  const HTML = '<!doctype html><title>Bad gateway</title>';
  const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
  it.each<[string, Buffer, number]>([
    ['200 without an ID', json(200, { status: 'queued' }), 200],
    ['200 with a number as ID', json(200, { id: 7 }), 200],
    ['200 with an empty ID', json(200, { id: '' }), 200],
    ['200 with a path as ID', json(200, { id: '..' }), 200],
    ['200 with an ID of 300 characters', json(200, { id: 'x'.repeat(300) }), 200],
    ['200 with an error envelope', json(200, envelope('validation_failed')), 200],
    ['200 and null', reply(200, 'null'), 200],
    ['200 and an array', reply(200, '[{"id":"task_1"}]'), 200],
    ['200 and a number', reply(200, '42'), 200],
    ['200 and NaN', reply(200, '{"id":"task_1","reserved_credits":NaN}'), 200],
    ['200 and nothing', reply(200, ''), 200],
    ['200 and half a document', reply(200, '{"id":"task_1"'), 200],
    ['200 and two documents', reply(200, '{"id":"a"}{"id":"b"}'), 200],
    ['200 and HTML', reply(200, HTML, { 'Content-Type': 'text/html' }), 200],
    [
      '200 and invalid UTF-8',
      reply(200, Buffer.concat([Buffer.from('{"id":"a'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])),
      200,
    ],
    ['200 and more than 1 MiB', reply(200, `{"id":"task_1","x":"${'x'.repeat(1024 * 1024)}"}`), 200],
    ['200 and a gzip bomb', reply(200, bomb, { 'Content-Encoding': 'gzip' }), 200],
    ['200 and small gzip', reply(200, gzipSync('{"id":"task_1"}'), { 'Content-Encoding': 'gzip' }), 200],
    ['200 and an encoding that was not asked for', json(200, TASK, { 'Content-Encoding': 'br' }), 200],
    ['204', Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'), 204],
    ['301', reply(301, '', { Location: '/api/v1/elsewhere' }), 301],
    ['307', reply(307, '{"id":"task_1"}', { Location: '/api/v1/elsewhere' }), 307],
    ['400 without envelope', reply(400, '{"message":"no"}'), 400],
    ['400 with a code that is a sentence', json(400, envelope('not a code')), 400],
    ['402 with HTML', reply(402, HTML), 402],
    ['404 with text', reply(404, 'not found'), 404],
    ['409 with nothing', reply(409, ''), 409],
    ['500 with HTML', reply(500, HTML), 500],
    ['502', reply(502, HTML), 502],
    ['503 without envelope', reply(503, 'down', { 'Retry-After': '3' }), 503],
    ['504', reply(504, ''), 504],
  ])('%s', async (_, bytes, httpStatus) => {
    const [client, wire] = await answering(bytes);
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'unknown', httpStatus });
    expect(error.message).toContain('may have been paid');
    expect(error.message).not.toContain('doctype');
    expect(wire.requests).toHaveLength(1);
  });
});

describe('an ID that cannot be used is told, because a task was made (P2)', () => {
  it.each(['..', 'x'.repeat(300), 'a\nb'])('%j', async (id) => {
    const [client] = await answering(json(201, { ...TASK, id }));
    const said = JSON.stringify(id.replace('\n', ' ').slice(0, 256));
    expect((await failure(create(client))).message).toContain(`HTTP 201 with the task ID ${said}`);
  });
});

describe('the key stays out of everything (P6)', () => {
  it.each([
    ['message', json(400, envelope('validation_failed', `bad header Bearer ${API_KEY}`))],
    [
      'escaped message',
      Buffer.from(
        json(400, envelope('validation_failed', `x ${API_KEY}`))
          .toString()
          .replace('rvya_', 'rvya\\u005f')
          .replace(/Length: \d+/, (l) => `Length: ${Number(l.slice(8)) + 5}`),
      ),
    ],
    ['request ID', json(400, envelope('validation_failed', 'x', API_KEY))],
    ['request ID header', json(500, {}, { 'X-Request-Id': API_KEY })],
    ['code', json(400, envelope(API_KEY))],
    ['page', reply(502, `<pre>authorization: Bearer ${API_KEY}</pre>`)],
    ['redirect', reply(302, '', { Location: `https://x.example/?key=${encodeURIComponent(API_KEY)}` })],
  ])('%s that echoes it', async (_, bytes) => {
    const [client] = await answering(bytes);
    expect(String(await failure(create(client)))).not.toContain(API_KEY);
  });

  it('a failed task that echoes it', async () => {
    const [client] = await answering(
      json(200, { id: 't', status: 'failed', error: { code: 'x', message: `with ${API_KEY}` } }),
    );
    const { task } = await client.retrieveGeneration('t');
    expect(task.error?.message).toBe('with [redacted]');
  });

  it('a key that happens to be part of a task ID or a code does not change them (P2)', async () => {
    const [client] = await answering(json(200, { id: 'task_public_id' }), { keys: staticKey('task_public') });
    expect((await create(client)).task.taskId).toBe('task_public_id');
    const [short] = await answering(json(400, envelope('validation_failed')), { keys: staticKey('valid') });
    expect((await failure(create(short), 'no such text')).code).toBe('validation_failed');
  });

  it('control characters of a reply do not reach a log line', async () => {
    const [client] = await answering(json(400, envelope('validation_failed', 'a\r\n{"level":"fatal"}\u001b[2J')));
    // eslint-disable-next-line no-control-regex
    expect((await failure(create(client))).message).not.toMatch(/[\u0000-\u001f]/);
  });
});

describe('after a 401', () => {
  it('the key file is read again, and the call is not repeated', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rivya-api-'));
    open.push({ close: () => rm(directory, { recursive: true }) });
    const path = join(directory, 'key');
    await writeFile(path, 'old');
    const wire = await serve((socket, { head }) =>
      socket.write(head.includes('Bearer new') ? json(200, TASK) : json(401, envelope('api_key_revoked'))),
    );
    const client = clientFor(wire.url, { keys: keyFile(path, { now: () => 0 }) });
    open.push(wire, client);
    await client.retrieveGeneration('task_1').catch(() => null);
    await writeFile(path, 'new');
    expect((await failure(create(client))).code).toBe('api_key_revoked');
    expect(wire.requests).toHaveLength(2);
    expect((await create(client)).task.taskId).toBe('task_1');
  });
});

describe('somebody else who answers in the place of the API is shown in the message, on every call', () => {
  const LOGIN = 'https://login.example/sso/start';
  const secret = `?session=hunter2&key=${encodeURIComponent(API_KEY)}`;
  const page = `<!DOCTYPE html>\n<html><head><title lang="en">\n Access denied\n  by policy </title></head><body>hunter2</body>`;
  const long = `<html><title>${'x'.repeat(100_000)}</title>`;
  const calls: Record<string, (client: RivyaClient) => Promise<unknown>> = {
    submit: create,
    check: (client) => client.retrieveGeneration('task_1'),
    credits: (client) => client.getCredits(),
    models: (client) => client.listModels(),
    file: (client) => client.retrieveFile('file_1'),
  };

  it.each(Object.entries(calls))('%s', async (_, call) => {
    const [redirected] = await answering(
      reply(302, '', { Location: `https://me:hunter2@login.example/sso/start${secret}` }),
    );
    expect((await failure(call(redirected))).message).toContain(`HTTP 302 with a redirect to ${LOGIN}.`);
    const [blocked] = await answering(reply(200, page, { 'Content-Type': 'text/html; charset=utf-8' }));
    expect((await failure(call(blocked))).message).toContain('HTTP 200 with an HTML page, "Access denied by policy".');
  });

  it.each<[string, Buffer, string]>([
    [
      'both',
      reply(307, page, { Location: '/login#hunter2' }),
      'with a redirect to /login and an HTML page, "Access denied',
    ],
    ['a page without a content type', reply(403, page), 'with an HTML page, "Access denied by policy"'],
    ['a page without a title', reply(503, '<html>hunter2', { 'Content-Type': 'text/html' }), 'with an HTML page. '],
    ['a key in the title', reply(403, `<html><title>${API_KEY}</title>`), '"[redacted]"'],
    ['no redirect for 200', reply(200, '[]', { Location: LOGIN }), 'with a body that is not what the API documents'],
  ])('%s', async (_, bytes, says) => {
    const [client] = await answering(bytes);
    const { message } = await failure(create(client));
    expect(message).toContain(says);
    expect(message).not.toContain('hunter2');
  });

  it('at a length that a log line bears', async () => {
    const [client] = await answering(reply(301, long, { Location: `https://${'y'.repeat(4_000)}.example` }));
    expect((await failure(create(client))).message.length).toBeLessThan(800);
  });
});
