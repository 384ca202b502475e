import { connect as netConnect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createRivyaClient, staticKey, type RivyaClient, type RivyaClientOptions } from '../../src/api/index.js';
import { openPools } from '../../src/api/pools.js';
import { TEST_CERT, TEST_HOST } from './certificate.js';
import { API_KEY, BODY, clientFor, failure, json, reply, serve, PATIENT, type Seen, type Wire } from './wire.js';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

type Answer = (socket: Socket, request: Seen) => void;

async function against(answer: Answer, options: Partial<RivyaClientOptions> = {}): Promise<[RivyaClient, Wire]> {
  const wire = await serve(answer);
  const client = clientFor(wire.url, options);
  open.push(wire, client);
  return [client, wire];
}

const create = (client: RivyaClient, signal?: AbortSignal) =>
  client.createGeneration({ idempotencyKey: 'key-1', body: BODY, ...(signal === undefined ? {} : { signal }) });
const TASK = { id: 'task_1', status: 'queued' };

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

describe('once a byte was sent, a failure leaves the outcome unknown, and nothing is sent twice (P1)', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n';
  it.each<[string, Answer]>([
    [
      'a body without end',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        const more = () => {
          while (!socket.destroyed && socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`));
        };
        socket.on('drain', more);
        more();
      },
    ],
    ['a truncated body', (socket) => socket.end(`${head}{"id":"task_1"}`)],
    [
      'a truncated chunk',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{"id":"task_1"}'),
    ],
    ['a close without a reply', (socket) => socket.end()],
    ['a reset after the request was read', (socket) => socket.resetAndDestroy()],
    [
      'a reset inside the reply',
      (socket) => {
        socket.write(`${head}{"id":`);
        setImmediate(() => socket.resetAndDestroy());
      },
    ],
    ['bytes that are not HTTP', (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    [
      'an upgrade nobody asked for',
      (socket) => socket.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    ],
  ])('%s', async (_, answer) => {
    for (const call of [create, (client: RivyaClient) => client.retrieveGeneration('task_1')]) {
      const [client, wire] = await against(answer);
      const error = await failure(call(client));
      expect(error).toMatchObject({ outcome: 'unknown', code: null });
      expect(wire.requests).toHaveLength(1);
      expect(wire.connections).toBe(1);
    }
  });

  // All at the same time, with a limit that leaves even a busy machine time to connect.
  it('a server that stalls, wherever it stops', async () => {
    const stalls: [string, number | null, Answer][] = [
      ['no answer', null, () => {}],
      ['only half of the headers', null, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-')],
      ['a body that stops', 200, (socket) => socket.write(`${head}{"id":"task_1"`)],
      [
        'a body that trickles for ever',
        200,
        (socket) => {
          socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
          const timer = setInterval(() => socket.write('1\r\n \r\n'), 20);
          socket.on('close', () => clearInterval(timer));
        },
      ],
      ['informational replies only', null, (socket) => socket.write('HTTP/1.1 102 Processing\r\n\r\n')],
    ];
    const timeouts = { ...PATIENT, post: 1_500, get: 1_500 };
    const seen = await Promise.all(
      [create, (client: RivyaClient) => client.retrieveGeneration('task_1')].flatMap((call) =>
        stalls.map(async ([name, , answer]) => {
          const [client, wire] = await against(answer, { timeouts });
          const { outcome, code, httpStatus } = await failure(call(client));
          return { name, outcome, code, httpStatus, requests: wire.requests.length };
        }),
      ),
    );
    const expected = stalls.map(([name, httpStatus]) => ({
      name,
      outcome: 'unknown',
      code: null,
      httpStatus,
      requests: 1,
    }));
    expect(seen).toEqual([...expected, ...expected]);
  });

  it('a body that stands still does not use up the limit of the whole call', async () => {
    const [client] = await against((socket) => socket.write(`${head}{"id":`), { timeouts: { ...PATIENT, body: 200 } });
    expect((await failure(create(client))).message).toContain('UND_ERR_BODY_TIMEOUT');
  });

  it('a reset before the request was read', async () => {
    const wire = await serve(() => {}, {
      onConnection: (socket) => socket.once('data', () => socket.resetAndDestroy()),
    });
    const client = clientFor(wire.url);
    open.push(wire, client);
    expect(await failure(create(client))).toMatchObject({ outcome: 'unknown', httpStatus: null });
    expect(wire.connections).toBe(1);
  });

  it('a cancelled call under way', async () => {
    const stop = new AbortController();
    const [client, wire] = await against(() => stop.abort());
    expect(await failure(create(client, stop.signal))).toMatchObject({ outcome: 'unknown' });
    expect(wire.requests).toHaveLength(1);
  });

  it('says in the error what came before the reply broke off', async () => {
    const [client] = await against((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nX-Request-Id: req_5\r\nContent-Length: 100\r\n\r\n{"id":"task_1"}'),
    );
    expect(await failure(create(client))).toMatchObject({ httpStatus: 200, requestId: 'req_5' });
  });
});

describe('a kept connection', () => {
  it('is used again for reading', async () => {
    const [client, wire] = await against((socket) => socket.write(json(200, TASK)));
    for (let i = 0; i < 10; i++) await client.retrieveGeneration('task_1');
    // A call that follows in the same tick may still find the first connection busy.
    expect(wire.connections).toBeLessThanOrEqual(2);
  });

  it('is never used for a paid call, whose outcome a late close would hide', async () => {
    const [client, wire] = await against((socket) => socket.write(json(200, TASK)));
    await client.retrieveGeneration('task_1');
    await create(client);
    await create(client);
    expect(wire.connections).toBe(3);
    expect(wire.requests[2]?.head).toMatch(/^connection: close/im);
  });

  it('that the server resets when it is used again sends that request once', async () => {
    const used = new Set<Socket>();
    const [client, wire] = await against((socket) => {
      if (used.has(socket)) socket.resetAndDestroy();
      else socket.write(json(200, TASK));
      used.add(socket);
    });
    let calls = 0;
    const callUntilReset = async () => {
      for (;;) {
        calls += 1;
        await client.retrieveGeneration('task_1');
      }
    };
    expect(await failure(callUntilReset())).toMatchObject({ outcome: 'unknown', httpStatus: null });
    expect(wire.requests).toHaveLength(calls);
  });

  it('that breaks takes down the one call on it and no other', async () => {
    const [client, wire] = await against((socket, { head }) => {
      if (head.includes('task_1')) socket.resetAndDestroy();
      else socket.write(json(200, { id: 'task_2', status: 'queued' }));
    });
    const [first, second] = await Promise.allSettled([
      client.retrieveGeneration('task_1'),
      client.retrieveGeneration('task_2'),
    ]);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
    expect(wire.requests).toHaveLength(2);
  });
});

describe('while nothing was sent, a failure is a refusal', () => {
  it('connection refused', async () => {
    const client = clientFor(`http://127.0.0.1:${await freePort()}`);
    open.push(client);
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'refused', code: null, httpStatus: null });
    expect(error.message).toContain('ECONNREFUSED');
    expect(error.message).toContain('cost nothing');
  });

  it('a host that no DNS knows', async () => {
    const client = clientFor('https://nowhere.invalid');
    open.push(client);
    expect(await failure(create(client))).toMatchObject({ outcome: 'refused', httpStatus: null });
  });

  it('a certificate that is not trusted', async () => {
    const wire = await serve((socket) => socket.write(json(200, TASK)), { tls: true });
    const client = clientFor(wire.url);
    open.push(wire, client);
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'refused' });
    expect(error.message).toContain('SELF_SIGNED');
    expect(wire.requests).toHaveLength(0);
  });

  it('a TLS handshake that is cut off', async () => {
    const wire = await serve(() => {}, {
      onConnection: (socket) => socket.once('data', () => socket.end('no TLS here')),
    });
    const client = clientFor(wire.url.replace('http:', 'https:'));
    open.push(wire, client);
    expect(await failure(create(client))).toMatchObject({ outcome: 'refused' });
  });

  it('a TLS handshake that never ends: the connect limit', async () => {
    const wire = await serve(() => {});
    const client = clientFor(wire.url.replace('http:', 'https:'), {
      timeouts: { ...PATIENT, connect: 100 },
    });
    open.push(wire, client);
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'refused' });
    expect(error.message).toContain('UND_ERR_CONNECT_TIMEOUT');
  });

  it('the limit of the whole call passes before the connection is ready, and the request is not sent later', async () => {
    let release = () => {};
    const wire = await serve((socket) => socket.write(json(200, TASK)), { tls: true });
    const gate = createServer((socket) => {
      release = () => void socket.pipe(netConnect(wire.port, '127.0.0.1')).pipe(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((done) => gate.listen(0, '127.0.0.1', done));
    const url = `https://127.0.0.1:${(gate.address() as AddressInfo).port}`;
    // The certificate names another host; what counts here is when it is ready, not whose it is.
    const pools = openPools(new URL(url), 5_000, {}, { ca: TEST_CERT, checkServerIdentity: () => undefined });
    const client = clientFor(url, { dispatcher: pools.post, timeouts: { ...PATIENT, post: 100 } });
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'refused' });
    const ready = new Promise((done) => pools.post.once('connect', done));
    release();
    await ready;
    await pools.post.close();
    expect(wire.requests).toHaveLength(0);
    await wire.close();
    await new Promise((done) => gate.close(done));
  });

  it('a call that was cancelled before it began', async () => {
    const [client, wire] = await against((socket) => socket.write(json(200, TASK)));
    expect(await failure(create(client, AbortSignal.abort()))).toMatchObject({ outcome: 'refused' });
    expect(wire.connections).toBe(0);
  });

  it('a client that was closed', async () => {
    const [client, wire] = await against((socket) => socket.write(json(200, TASK)));
    await client.close();
    expect(await failure(create(client))).toMatchObject({ outcome: 'refused' });
    expect(wire.connections).toBe(0);
  });
});

describe('closing', () => {
  it('lets a paid call under way end', async () => {
    let finish = () => {};
    let arrived = () => {};
    const received = new Promise<void>((resolve) => (arrived = resolve));
    const [client] = await against((socket) => {
      finish = () => socket.write(json(200, TASK));
      arrived();
    });
    const answer = create(client);
    await received;
    const closed = client.close();
    finish();
    expect((await answer).task.taskId).toBe('task_1');
    await closed;
  });
});

describe('a redirect', () => {
  it('is not followed, so the key goes nowhere else', async () => {
    const other = await serve((socket) => socket.write(json(200, TASK)));
    open.push(other);
    for (const status of [301, 302, 303, 307, 308]) {
      const [client] = await against((socket) => socket.write(reply(status, '', { Location: `${other.url}/x` })));
      expect(await failure(client.retrieveGeneration('task_1'))).toMatchObject({
        outcome: 'unknown',
        httpStatus: status,
      });
    }
    expect(other.connections).toBe(0);
  });
});

describe('a proxy', () => {
  const BASE = new URL(`https://${TEST_HOST}`);
  const tunnel =
    (port: number): Answer =>
    (socket) => {
      const upstream = netConnect(port, '127.0.0.1', () => {
        socket.removeAllListeners('data');
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on('error', () => socket.destroy());
    };

  async function through(env: NodeJS.ProcessEnv): Promise<RivyaClient> {
    const pools = openPools(BASE, PATIENT.connect, env, { ca: TEST_CERT });
    open.push({ close: () => pools.post.destroy() }, { close: () => pools.get.destroy() });
    return createRivyaClient({
      baseUrl: BASE.href,
      keys: staticKey(API_KEY),
      timeouts: PATIENT,
      dispatcher: pools.post,
    });
  }

  it('from HTTPS_PROXY carries the call through a tunnel, and never sees the key', async () => {
    const api = await serve((socket) => socket.write(json(200, TASK)), { tls: true });
    const proxy = await serve(tunnel(api.port));
    open.push(api, proxy);
    const client = await through({ HTTPS_PROXY: proxy.url });
    expect((await create(client)).task.taskId).toBe('task_1');
    expect(proxy.requests.map(({ head }) => head.split('\r\n')[0])).toEqual([`CONNECT ${TEST_HOST}:443 HTTP/1.1`]);
    expect(JSON.stringify(proxy.requests)).not.toContain(API_KEY);
    expect(api.requests).toHaveLength(1);
    expect(api.requests[0]?.head).toContain(`Bearer ${API_KEY}`);
  });

  it.each([TEST_HOST, 'rivya.test', '.rivya.test', '*'])('is passed by for NO_PROXY=%s', async (noProxy) => {
    const proxy = await serve((socket) => socket.end());
    open.push(proxy);
    const client = await through({ HTTPS_PROXY: proxy.url, NO_PROXY: noProxy });
    expect(await failure(create(client))).toMatchObject({ outcome: 'refused' }); // the test host has no address
    expect(proxy.connections).toBe(0);
  });

  it('is never asked for this machine', async () => {
    const proxy = await serve((socket) => socket.end());
    const api = await serve((socket) => socket.write(json(200, TASK)), { tls: true });
    const client = clientFor(api.url, { env: { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url } });
    open.push(proxy, api, client);
    expect((await failure(create(client))).message).toContain('SELF_SIGNED');
    expect(proxy.connections).toBe(0);
  });

  it.each<[string, Answer]>([
    ['wants a password', (socket) => socket.end('HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n')],
    ['does not reach the API', (socket) => socket.end('HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n')],
    ['hangs up', (socket) => socket.end()],
    ['resets', (socket) => socket.resetAndDestroy()],
  ])('that %s is asked once; nothing was sent to the API', async (_, answer) => {
    const proxy = await serve(answer);
    open.push(proxy);
    const client = await through({ HTTPS_PROXY: proxy.url });
    const error = await failure(create(client));
    expect(error).toMatchObject({ outcome: 'refused', code: null });
    expect(error.message).toContain('PROXY_ANSWERED');
    expect(proxy.requests).toHaveLength(1);
  });

  it.each(['user:hunter2@proxy', 'proxy.example:3128', 'socks5://user:hunter2@proxy', 'http://'])(
    'whose address cannot be used is named, without its password: %s',
    (address) => {
      const make = () => openPools(BASE, PATIENT.connect, { HTTPS_PROXY: address });
      expect(make).toThrow(expect.objectContaining({ name: 'InvalidAddress' }));
      expect(make).not.toThrow('hunter2');
    },
  );
});
