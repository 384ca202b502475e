/** The codec server as a process: who has the token reads payloads, from an origin that was named, and nobody else. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { EncryptionCodec } from '../../src/codec/codec.js';
import { encryptedDataConverter } from '../../src/codec/converter.js';
import { parseEncryptionKeys } from '../../src/codec/keys.js';
import { findServerBinary } from '../../src/temporal/embedded/find.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-codec-'));
const KEYS = `k1:${randomBytes(32).toString('base64')}`;
const ORIGIN = 'http://localhost:8233';
const XDG_DATA_HOME = cwd;

let run: CommandRun;
let at: { endpoint: string; token: string; ui: string };
beforeAll(async () => {
  run = new CommandRun(['codec-server', '--port', '0', '--origin', `${ORIGIN}/namespaces/default`, '--json'], {
    cwd,
    env: { RIVYA_ENCRYPTION_KEYS: KEYS, XDG_DATA_HOME },
  });
  await run.untilSaid(/runs until Ctrl-C/);
  at = JSON.parse(run.stdout) as typeof at;
});
afterAll(async () => {
  run.child.kill('SIGTERM');
  await run.status;
});

type Json = { payloads: { metadata: Record<string, string>; data: string }[] };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const body: Json = { payloads: [{ metadata: { encoding: base64('json/plain') }, data: base64('"a red fox"') }] };

const post = (to: string, sent: unknown = body, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${at.endpoint}${to}`, {
    method: 'POST',
    body: typeof sent === 'string' ? sent : JSON.stringify(sent),
    headers: { 'content-type': 'application/json', ...headers },
  });
const bearer = (): Record<string, string> => ({ authorization: `Bearer ${at.token}` });

test('what it encrypts it decrypts, by the header or by the token in the address', async () => {
  const encoded = (await (await post('/encode', body, bearer())).json()) as Json;
  expect(JSON.stringify(encoded)).not.toContain(body.payloads[0]!.data);
  expect(Buffer.from(encoded.payloads[0]!.metadata['encryption-key-id']!, 'base64').toString()).toBe('k1');
  for (const reply of [await post('/decode', encoded, bearer()), await post(`/${at.token}/decode`, encoded)]) {
    expect(reply.status).toBe(200);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(await reply.json()).toEqual(body);
  }
});

test('a payload whose key is gone stays encrypted beside those that can be read, and is named', async () => {
  const other = new EncryptionCodec(parseEncryptionKeys(`k0:${randomBytes(32).toString('base64')}`));
  const [gone] = await other.encode([{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('1') }]);
  const metadata = Object.entries(gone!.metadata!).map(([name, value]) => [
    name,
    base64(Buffer.from(value).toString()),
  ]);
  const unread = { metadata: Object.fromEntries(metadata), data: Buffer.from(gone!.data!).toString('base64') };
  const reply = await post('/decode', { payloads: [unread, ...body.payloads] }, bearer());
  expect(await reply.json()).toEqual({ payloads: [unread, ...body.payloads] });
  await run.untilSaid(/encrypted with the key "k0"/);
});

describe('nobody else is answered', () => {
  test.each([
    ['without a token', '/decode', {}],
    ['with a wrong token', '/decode', { authorization: `Bearer ${'x'.repeat(32)}` }],
    ['with a wrong token in the address', `/${'x'.repeat(32)}/decode`, {}],
    ['with an empty token', '//decode', { authorization: 'Bearer ' }],
  ])('%s: 401', async (_, to, headers) => {
    const reply = await post(to, body, headers);
    expect(reply.status).toBe(401);
    expect(await reply.text()).not.toContain(at.token);
  });

  test('a page of another origin: 403, also before it sends', async () => {
    const headers = { ...bearer(), origin: 'https://evil.example' };
    const reply = await post('/decode', body, headers);
    expect(reply.status).toBe(403);
    expect(reply.headers.get('access-control-allow-origin')).toBeNull();
    const asked = await fetch(`${at.endpoint}/decode`, { method: 'OPTIONS', headers });
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([403, null]);
    await run.untilSaid(/Start the codec server with --origin https:\/\/evil\.example/);
  });

  test('the page that was named may ask, and send the token', async () => {
    const asked = await fetch(`${at.endpoint}/decode`, { method: 'OPTIONS', headers: { origin: ORIGIN } });
    expect(asked.status).toBe(204);
    expect(asked.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(asked.headers.get('access-control-allow-headers')).toMatch(/authorization.*x-namespace/);
    const reply = await post('/decode', body, { ...bearer(), origin: ORIGIN });
    expect([reply.status, reply.headers.get('access-control-allow-origin')]).toEqual([200, ORIGIN]);
  });
});

describe('a wrong request is refused', () => {
  test.each([
    ['no JSON', 'nonsense', 400],
    ['no payloads', {}, 400],
    ['payloads that are none', { payloads: [1] }, 200],
    ['null', 'null', 400],
  ])('%s', async (_, sent, status) => {
    expect((await post('/decode', sent, bearer())).status).toBe(status);
  });

  test('another address, or another method', async () => {
    expect((await post('/read', body, bearer())).status).toBe(404);
    expect((await fetch(`${at.endpoint}/decode`, { headers: bearer() })).status).toBe(405);
  });

  test('a body that breaks off ends that request, and not the server', async () => {
    const { port, hostname } = new URL(at.endpoint);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /decode HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${at.token}\r\ncontent-length: 1000\r\n\r\n{"p`,
    );
    await once(socket, 'connect');
    socket.end();
    socket.resume();
    await once(socket, 'close');
    expect((await post('/decode', body, bearer())).status).toBe(200);
    expect(run.child.exitCode).toBeNull();
  });

  test('a body that is too long, also one that does not say how long it is, is not read to its end', async () => {
    const { port, hostname } = new URL(at.endpoint);
    for (const length of ['content-length: 99999999', 'transfer-encoding: chunked']) {
      const socket = connect(Number(port), hostname);
      let said = '';
      socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
      socket.on('error', () => undefined);
      socket.write(`POST /decode HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${at.token}\r\n${length}\r\n\r\n`);
      const chunk = `${(2 ** 20).toString(16)}\r\n${'x'.repeat(2 ** 20)}\r\n`;
      for (let n = 0; n < 20 && !socket.destroyed && length.startsWith('transfer'); n++) {
        if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
      }
      await until(() => said.includes('\r\n\r\n'));
      expect(said).toMatch(/^HTTP\/1.1 413/);
      socket.destroy();
    }
  });
});

describe('does not start', () => {
  test.each([
    ['without keys', [], {}, 'RIVYA_ENCRYPTION_KEYS: is not set'],
    [
      'with a short token',
      [],
      { RIVYA_ENCRYPTION_KEYS: KEYS, RIVYA_CODEC_TOKEN: 'short' },
      'RIVYA_CODEC_TOKEN: must be',
    ],
    [
      'with an origin that is none',
      ['--origin', 'localhost'],
      { RIVYA_ENCRYPTION_KEYS: KEYS },
      '--origin: "localhost"',
    ],
  ])('%s', async (_, args, env, says) => {
    const ended = await runCommand(['codec-server', '--port', '0', ...args], { cwd, env: { XDG_DATA_HOME, ...env } });
    expect(ended.stderr).toContain(says);
    expect(ended.status).toBe(2);
  });

  test('where something listens already', async () => {
    const { port } = new URL(at.endpoint);
    const env = { XDG_DATA_HOME, RIVYA_ENCRYPTION_KEYS: KEYS, RIVYA_CODEC_TOKEN: 't'.repeat(20) };
    const ended = await runCommand(['codec-server', '--port', port], { cwd, env });
    expect(ended.stderr).toMatch(/did not start: .*EADDRINUSE/);
    expect(ended.status).toBe(2);
    expect(ended.stdout + ended.stderr).not.toContain(env.RIVYA_CODEC_TOKEN);
  });
});

test('the temporal CLI reads an encrypted Workflow by it', async () => {
  const address = inject('temporalAddress');
  const { Client, Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, dataConverter: encryptedDataConverter({ RIVYA_ENCRYPTION_KEYS: KEYS }) });
  const workflowId = `codec-cli-${randomBytes(4).toString('hex')}`;
  const handle = await client.workflow.start('any', { workflowId, taskQueue: 'nobody', args: ['a red fox'] });
  const binary = await findServerBinary({ log: () => undefined, env: process.env });
  const temporal = async (...args: string[]): Promise<string> => {
    const codec = ['--codec-endpoint', at.endpoint, '--codec-auth', `Bearer ${at.token}`];
    const { stdout } = await promisify(execFile)(binary, [...args, '--address', address, ...codec]);
    return stdout;
  };
  try {
    expect(await temporal('workflow', 'show', '--workflow-id', workflowId, '--detailed')).toContain('a red fox');
  } finally {
    await handle.terminate();
    await connection.close();
  }
});
