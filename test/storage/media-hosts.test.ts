/** Where results may come from: nothing on a private network is ever asked because a link says so. */
import type { lookup as lookUp } from 'node:dns';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { isPublic, openMediaHosts } from '../../src/storage/media-hosts.js';
import { closeAll, film, filesIn, newResults, resultOf, serve } from './media-server.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await closeAll();
});

/** Listens and counts connections: the host that must not be reached. */
async function listen(
  onSocket: (socket: Socket) => void = (socket) => void socket.end(),
): Promise<{ port: number; seen: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, seen: () => connections };
}

/** A DNS that gives these addresses for every name. */
function dns(...addresses: string[]): typeof lookUp {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return ((_name: string, _options: unknown, done: (error: null, all: typeof found) => void) =>
    setImmediate(done, null, found)) as unknown as typeof lookUp;
}

describe('an address', () => {
  test.each([
    ['loopback', ['127.0.0.1', '127.8.8.8', '::1']],
    ['unspecified', ['0.0.0.0', '::']],
    ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fd00::1', 'fec0::1']],
    ['link-local, where clouds keep their secrets', ['169.254.169.254', 'fe80::1', 'fd00:ec2::254']],
    ['shared by a carrier', ['100.64.0.1', '100.127.255.255']],
    ['multicast or broadcast', ['224.0.0.1', '255.255.255.255', 'ff02::1']],
    ['reserved', ['192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '240.0.0.1', '2001:db8::1', '100::1']],
    [
      'an IPv4 address in another form',
      ['::ffff:10.0.0.1', '::ffff:8.8.8.8', '64:ff9b::a00:1', '64:ff9b:1::1', '2002:a00:1::', '::10.0.0.1', '::a00:1'],
    ],
    ['not given out', ['::2', '100:0:0:1::1', '4000::1', 'a00::1']],
    ['no address', ['', 'localhost', '1.2.3', '8.8.8.8 ']],
  ])('that is %s is not public', (_what, addresses) => {
    expect(addresses.filter(isPublic)).toEqual([]);
  });

  test('of the internet is public', () => {
    const addresses = ['8.8.8.8', '1.1.1.1', '100.63.255.255', '172.32.0.1', '2606:4700:4700::1111', '2a00:1450::1'];
    expect(addresses.filter((address) => !isPublic(address))).toEqual([]);
  });
});

test('a trusted host may be listed with the port of its scheme, which a URL leaves out', async () => {
  const hosts = openMediaHosts({ trustedHosts: new Set(['10.0.0.1:443', 'media.example:80']), env: {} });
  await hosts.for(new URL('https://10.0.0.1/a.png'));
  await hosts.for(new URL('http://media.example/a.png'));
  await expect(hosts.for(new URL('http://10.0.0.1/a.png'))).rejects.toThrow('is not HTTPS');
  await expect(hosts.for(new URL('http://media.example:8080/a.png'))).rejects.toThrow('is not HTTPS');
  await hosts.close();
});

describe('a link to a host that is not trusted', () => {
  test.each([
    'https://127.0.0.1/a.png',
    'https://[::1]/a.png',
    'https://[::ffff:127.0.0.1]/a.png',
    'https://[::127.0.0.1]/a.png',
    'https://0x7f.1/a.png',
    'https://2130706433/a.png',
    'https://169.254.169.254/latest/meta-data',
    'https://[fe80::1]/a.png',
    'https://10.1.2.3:8443/a.png',
  ])('at an address that is not public is refused: %s', async (link) => {
    const { results } = await newResults([]);
    await expect(results.keep(resultOf(link))).rejects.toMatchObject({
      message: expect.stringContaining('not public. If this host is yours, add it to RIVYA_TRUSTED_RESULT_HOSTS'),
      retryable: false,
    });
  });

  test.each<[string, ...string[]]>([
    ['loopback', '127.0.0.1'],
    ['loopback in both forms', '127.0.0.1', '::1'],
    ['loopback in disguise', '::ffff:127.0.0.1'],
    ['link-local', '169.254.169.254'],
  ])(
    'is refused by what its name means at that moment, and nobody is connected to: %s',
    async (_what, ...addresses) => {
      const { port, seen } = await listen();
      const { results, directory } = await newResults([], { lookup: dns(...addresses) });
      await expect(results.keep(resultOf(`https://media.example:${port}/a.png`))).rejects.toMatchObject({
        message: expect.stringContaining(`media.example:${port} leads to an address that is not public`),
        retryable: false,
      });
      expect(seen()).toBe(0);
      expect(await filesIn(directory)).toEqual([]);
    },
  );

  test('is asked at its public addresses only, where its name has both kinds', async () => {
    const { port, seen } = await listen();
    // No route leads to a public address from here, or somebody else answers there; this machine must not.
    const { results } = await newResults([], { lookup: dns('127.0.0.1', '8.8.8.8') });
    const late = AbortSignal.timeout(1_500);
    await expect(results.keep(resultOf(`https://media.example:${port}/`), { signal: late })).rejects.not.toMatchObject({
      message: expect.stringContaining('not public'),
    });
    expect(seen()).toBe(0);
  });

  test.each([
    ['plain HTTP to this machine', (port: number) => `http://127.0.0.1:${port}/`, 'not HTTPS'],
    ['HTTPS to this machine', (port: number) => `https://127.0.0.1:${port}/`, 'not public'],
    ['a name of this machine', (port: number) => `https://localhost:${port}/`, 'not public'],
    ['the metadata of a cloud', () => 'https://169.254.169.254/', 'not public'],
    ['another scheme', () => 'file:///etc/passwd', 'not HTTPS'],
  ])('is refused behind a redirect too: %s', async (_what, target, problem) => {
    const { port, seen } = await listen();
    const url = await serve((_q, r) => void r.writeHead(302, { location: target(port) }).end());
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({
      message: expect.stringContaining(problem),
      retryable: false,
    });
    expect(seen()).toBe(0);
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('behind a proxy', () => {
  /** A proxy that notes whom it is asked for, and says no. */
  async function proxy(): Promise<{ env: NodeJS.ProcessEnv; asked: string[] }> {
    const asked: string[] = [];
    const { port } = await listen((socket) => {
      socket.once('data', (data) => {
        asked.push(String(data).split(' ')[1] ?? '');
        socket.end('HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n');
      });
    });
    return { env: { HTTPS_PROXY: `http://127.0.0.1:${port}` }, asked };
  }

  test.each([
    ['public', dns('8.8.8.8')],
    [
      'not known here',
      ((_n: string, _o: unknown, done: (e: Error) => void) =>
        setImmediate(done, new Error('ENOTFOUND'))) as unknown as typeof lookUp,
    ],
  ])('a host that is %s is reached through it', async (_what, lookup) => {
    const { env, asked } = await proxy();
    const { results } = await newResults([], { env, lookup });
    await expect(results.keep(resultOf('https://media.example/a.png'))).rejects.toMatchObject({
      message: expect.stringContaining('PROXY_ANSWERED'),
      retryable: true,
    });
    expect(asked).toEqual(['media.example:443']);
  });

  test.each([
    ['https://10.0.0.1/a.png', dns('8.8.8.8')],
    ['https://inside.example/a.png', dns('10.0.0.1')],
    ['https://inside.example/a.png', dns('8.8.8.8', '10.0.0.1')],
  ])('it is never asked for what this machine knows to be private: %s', async (link, lookup) => {
    const { env, asked } = await proxy();
    const { results } = await newResults([], { env, lookup });
    await expect(results.keep(resultOf(link))).rejects.toThrow('not public');
    expect(asked).toEqual([]);
  });

  test('NO_PROXY is looked at, and the address is judged all the same', async () => {
    const { env, asked } = await proxy();
    const { port, seen } = await listen();
    const results = await newResults([], { env: { ...env, NO_PROXY: 'media.example' }, lookup: dns('127.0.0.1') });
    await expect(results.results.keep(resultOf(`https://media.example:${port}/`))).rejects.toThrow('not public');
    expect([asked, seen()]).toEqual([[], 0]);
  });

  test('a trusted host is reached directly', async () => {
    const { env, asked } = await proxy();
    const url = await serve((_q, r) => void r.end(film(5_000)));
    const { results } = await newResults([url], { env });
    expect((await results.keep(resultOf(url))).bytes).toBe(5_000);
    expect(asked).toEqual([]);
  });
});
