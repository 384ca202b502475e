/** Temporal that refuses who calls, or a mistake about TLS: a settings error with the server's words, never "cannot be reached". */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { endOfWorkers } from '../../src/temporal/refusal.js';
import { tlsMistake } from '../../src/temporal/tls.js';
import { TEST_CERT, TEST_HOST, TEST_KEY } from '../api/certificate.js';
import { closeAll, serve } from '../storage/media-server.js';
import { startGrpcServer } from '../support/grpc-server.js';
import { runCommand } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-refused-'));
const KEY = 'eyJhbGciOi.secret-of-temporal';
const generate = ['generate', '--model', 'z-image', '--prompt', 'a fox'];

function run(args: readonly string[], temporal: Record<string, string>) {
  return runCommand(args, { cwd, env: { XDG_DATA_HOME: cwd, RIVYA_API_KEY: 'rvya_sk_x', ...temporal } });
}

describe.concurrent('a refused key ends with status 2, says why, and shows no key', () => {
  test.each<[string, string[], Parameters<typeof startGrpcServer>[0]]>([
    ['the Service, to generate', generate, { status: 16, words: 'Jwt is expired' }],
    ['the Service, to wait', ['wait', 'fox'], { status: 7, words: 'Request unauthorized.' }],
    ['the Service, to a Worker', ['worker'], { status: 16, words: 'Jwt is expired' }],
    ['the Service, to dev', ['dev'], { status: 7, words: 'Request unauthorized.' }],
    ['the Service, to doctor', ['doctor', '--json'], { status: 16, words: 'Jwt is expired' }],
    ['the namespace', ['list'], { status: 16, words: 'Jwt is expired', granted: /SystemInfo/ }],
    ['the namespace, to a Worker', ['worker'], { status: 7, words: 'Request unauthorized.', granted: /SystemInfo/ }],
  ])('by %s', async (_, args, service) => {
    await using server = await startGrpcServer({ ...service, words: `${service.words} ${KEY}` });
    // Without TLS, which a key would bring.
    const settings = { TEMPORAL_ADDRESS: server.address, TEMPORAL_API_KEY: KEY, TEMPORAL_TLS: 'false' };
    const { status, stdout, stderr } = await run(args, settings);
    const said = stdout + stderr;
    expect(said).toMatch(/TEMPORAL_API_KEY: Temporal at 127\.0\.0\.1:\d+ refuses this key: /);
    expect(said).toContain(service.words);
    expect(said).not.toMatch(/cannot be reached/);
    expect(said).not.toContain(KEY);
    expect(status).toBe(2);
  });
});

test('a key that may not ask about its namespace is used all the same', async () => {
  const granted = /SystemInfo|ListWorkflowExecutions/;
  await using server = await startGrpcServer({ status: 7, words: 'Request unauthorized.', granted });
  const { status } = await run(['list'], { TEMPORAL_ADDRESS: server.address });
  expect(server.calls).toContain('DescribeNamespace');
  expect(status).toBe(0);
});

test.each([['worker'], ['list']])(
  '%s without TLS, to a server that speaks it: status 2, and the setting',
  async (command) => {
    const tls = { cert: TEST_CERT, key: TEST_KEY };
    await using server = await startGrpcServer({ status: 14, words: '', tls });
    const { status, stderr } = await run([command], { TEMPORAL_ADDRESS: server.address });
    expect(stderr).toMatch(/^TEMPORAL_TLS: the server at .* speaks TLS.*TEMPORAL_TLS=true/m);
    expect(status).toBe(2);
  },
);

test.each([
  [{ TEMPORAL_ADDRESS: 'http://localhost:7233' }, /^TEMPORAL_ADDRESS: .*http:\/\/localhost:7233/],
  [{ TEMPORAL_API_KEY: `${KEY}\nx` }, /^TEMPORAL_API_KEY: has a line break/],
])('an address or key of no form that can work: status 2, %#', async (settings, says) => {
  const { status, stderr } = await run(['list'], { TEMPORAL_ADDRESS: '127.0.0.1:1', ...settings });
  expect(stderr).toMatch(says);
  expect(stderr).not.toContain(KEY);
  expect(status).toBe(2);
});

test('a store that does not do what is asked: doctor says what and which setting, and nothing about a generation', async () => {
  const endpoint = await serve((_, r) => void r.writeHead(501).end());
  const keys = { AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'key-of-tests', AWS_SECRET_ACCESS_KEY: 'secret-of-tests' };
  const settings = { RIVYA_STORE: 's3://films', RIVYA_S3_ENDPOINT: endpoint, RIVYA_S3_PATH_STYLE: '1', ...keys };
  const { status, stdout } = await run(['doctor'], { TEMPORAL_ADDRESS: '127.0.0.1:1', ...settings });
  const line = /^fail {2}store: (.*)$/m.exec(stdout)?.[1];
  expect(line).toMatch(/^The store s3:\/\/films .*AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED.*\(501\)/);
  expect(line).not.toMatch(/Unexpected error|generation/);
  expect(status).toBe(2);
  await closeAll();
});

describe.concurrent('a proxy password that cannot be read is a settings error that does not show it', () => {
  const HTTPS_PROXY = 'http://user:hunter2%@proxy.example:3128';
  test.each([['doctor'], ['worker'], ['models'], ['list']])('%s', async (command) => {
    const { status, stdout, stderr } = await run([command], { TEMPORAL_ADDRESS: '127.0.0.1:1', HTTPS_PROXY });
    expect(stdout + stderr).toMatch(/HTTPS_PROXY: its user name or password has a "%"/);
    expect(stdout + stderr).not.toMatch(/hunter2|URI malformed/);
    expect(status).toBe(2);
  });

  test('also where only the client of Temporal would use it', async () => {
    const { status, stderr } = await run(['list'], { TEMPORAL_ADDRESS: '127.0.0.1:1', http_proxy: HTTPS_PROXY });
    expect(stderr).toMatch(/^grpc_proxy, https_proxy, http_proxy: one has a "%"/);
    expect(status).toBe(2);
  });
});

describe.concurrent('a mistake about TLS names its setting, with the words of the handshake', () => {
  const cert = { cert: TEST_CERT, key: TEST_KEY };
  const serverRootCACertificate = Buffer.from(TEST_CERT);
  const known = { serverRootCACertificate, serverNameOverride: TEST_HOST };
  const unreadable = { clientCertPair: { crt: Buffer.from('x'), key: Buffer.from('y') } };
  const wantsCertificate = { ...cert, requestCert: true, rejectUnauthorized: true };

  test.each<[string, object | undefined, object | boolean, RegExp | null]>([
    ['TLS where none is spoken', undefined, true, /^TEMPORAL_TLS: .*wrong version number/],
    ['an unknown authority', cert, true, /^TEMPORAL_TLS_SERVER_CA_CERT_PATH: .*self-signed certificate/],
    ['another name', cert, { serverRootCACertificate }, /^TEMPORAL_TLS_SERVER_NAME: .*altnames/],
    ['no client certificate', wantsCertificate, known, /^TEMPORAL_TLS_CLIENT_CERT_PATH: .*certificate required/],
    ['no client certificate, TLS 1.2', { ...wantsCertificate, maxVersion: 'TLSv1.2' }, known, /CERT_PATH: .*handshake/],
    ['a certificate that is none', cert, unreadable, /^TEMPORAL_TLS_CLIENT_CERT_PATH: .*no start line/],
    ['nothing wrong', cert, known, null],
  ])('%s', async (_, tls, settings, says) => {
    await using server = await startGrpcServer({ status: 0, words: '', ...(tls && { tls }) });
    const mistake = await tlsMistake(server.address, { tls: settings }, new Error('Failed to connect'));
    if (says === null) expect(mistake).toBeNull();
    else expect(mistake).toMatch(says);
  });

  test.each([
    ['InvalidCertificate(UnknownIssuer)', /^TEMPORAL_TLS_SERVER_CA_CERT_PATH: .*UnknownIssuer/],
    ['InvalidCertificate(NotValidForNameContext { expected: … })', /^TEMPORAL_TLS_SERVER_NAME: /],
    ['ConnectError("tcp connect error", ConnectionRefused)', null],
  ])('the native client, which trusts other authorities: %s', async (words, says) => {
    await using server = await startGrpcServer({ status: 0, words: '', tls: cert });
    const error = Object.assign(new Error(`tonic::transport::Error(Transport, ${words})`), { name: 'TransportError' });
    const mistake = await tlsMistake(server.address, { tls: known }, error);
    if (says === null) expect(mistake).toBeNull();
    else expect(mistake).toMatch(says);
  });

  test('nobody who listens is no mistake about TLS', async () => {
    expect(await tlsMistake('127.0.0.1:1', { apiKey: KEY }, null)).toBeNull();
    expect(await tlsMistake('127.0.0.1:1', {}, null)).toBeNull();
  });
});

test('a Worker whose key expires while it runs ends with a settings error', () => {
  const end = endOfWorkers(Object.assign(new Error('Jwt is expired'), { name: 'TransportError' }), 'cloud:7233');
  expect(end).toMatchObject({
    name: 'SettingsError',
    message: expect.stringMatching(/TEMPORAL_API_KEY.*Jwt is expired/),
  });
  const other = new TypeError('other');
  expect(endOfWorkers(other, 'cloud:7233')).toBe(other);
});
