/** Against a real server of the protocol, which the set-up starts. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openOutput } from '../../src/cli/copies.js';
import { readSettings } from '../../src/config.js';
import { openStore, S3Store, StoreSettingError, type Store, type StoreUnavailable } from '../../src/storage/index.js';
import { throughProxy } from '../../src/storage/s3-proxy.js';
import type { S3Settings } from '../../src/storage/store.js';
import { storeContract } from '../../src/testing/index.js';
import { TEST_CERT, TEST_HOST, TEST_KEY } from '../api/certificate.js';
import { keyIn, uploadsIn } from '../support/s3-uploads.js';
import { S3_SETUP_MS, startS3Server, type S3Server } from '../support/s3-server.js';

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
}, S3_SETUP_MS);
beforeEach(() => {
  for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value);
  // A file of a developer's own must not decide.
  vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
});
afterAll(() => server.remove());

const listeners: Server[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const listener of listeners.splice(0)) listener.close().closeAllConnections();
});

/** A service that answers like this. */
async function serve(listener: RequestListener): Promise<string> {
  const http = createServer(listener);
  listeners.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** For stores of our own making: the settings of `server.env`. */
function atTests(): S3Settings {
  return { endpoint: server.endpoint, pathStyle: true };
}

function newStore(endpoint = server.endpoint): S3Store {
  return new S3Store(`s3://${server.bucket}/jobs-${randomUUID()}`, { endpoint, pathStyle: true });
}

async function* megabytes(count: number): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < count; n++) yield Buffer.alloc(1_000_000, n);
}

/** What a store says when it cannot be used, and whether a person has to act. */
async function failure(work: Promise<unknown>): Promise<{ name: string; message: string; retryable?: boolean }> {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  const { name, message, retryable } = error as StoreUnavailable;
  for (const secret of ['secret-of-tests', 'secret-of-a-stranger', 'Signature=']) expect(message).not.toContain(secret);
  return { name, message, retryable };
}

describe.each([
  ['below a prefix', '/some/prefix'],
  ['without a prefix', ''],
])('a bucket %s', (_name, prefix) => {
  const open = (): Store => openStore(`s3://media${prefix}`, atTests());
  test.each([...storeContract(open)])('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

describe('a bucket', () => {
  test('is what the settings say, also those of the SDK', async () => {
    const own = readSettings({ ...server.env, RIVYA_STORE: `s3://${server.bucket}/by-settings` }).store;
    await own?.write('a', 'by our endpoint');
    vi.stubEnv('AWS_ENDPOINT_URL_S3', server.endpoint);
    const theirs = readSettings({ RIVYA_S3_PATH_STYLE: '1', RIVYA_STORE: `s3://${server.bucket}/by-settings/` }).store;
    expect(await theirs?.read('a')).toBe('by our endpoint');
  });

  test('lists more names than one page holds', async () => {
    const folder = path.join(server.folder, 'pages', 'many');
    await mkdir(folder, { recursive: true });
    await Promise.all(Array.from({ length: 1_100 }, (_, n) => writeFile(path.join(folder, `${n}.json`), '')));
    const store = new S3Store(`s3://${server.bucket}/pages`, atTests());
    expect(await store.list('many')).toHaveLength(1_100);
  });

  test('gets the type and the bytes of an object', async () => {
    const store = newStore();
    const { uri } = await store.put('job/1.mp4', megabytes(1), { contentType: 'video/mp4' });
    expect(uri).toBe(`${store.address}/job/1.mp4`);
    const answer = await server.client.send(new HeadObjectCommand({ Bucket: server.bucket, Key: keyIn(server, uri) }));
    expect(answer).toMatchObject({ ContentType: 'video/mp4', ContentLength: 1_000_000 });
  });

  test('has no parts of an upload that failed', async () => {
    const store = newStore();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* megabytes(20);
      expect(await uploadsIn(server, store.address)).toHaveLength(1);
      throw new Error('the source broke');
    }
    await expect(store.put('job/1.mp4', broken())).rejects.toThrow('the source broke');
    expect(await uploadsIn(server, store.address)).toEqual([]);
  });
});

test('--output copies a result out of a bucket, and names one that is not there any more', async () => {
  const { store } = readSettings({ ...server.env, RIVYA_STORE: `s3://${server.bucket}/copied` });
  const bytes = Buffer.from('a film');
  const { uri } = await store!.put('fox/1.mp4', Readable.from([bytes]));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = { uri, bytes: bytes.length, sha256, contentType: 'video/mp4', sourceUrl: '' };
  const folder = await mkdtemp(path.join(tmpdir(), 'rivya-copies-'));
  const output = await openOutput(folder, readSettings({ ...server.env, RIVYA_STORE: store!.address }));
  const files = [file, { ...file, uri: `${uri}.gone.mp4` }];
  const copies = await output?.copy('fox', { files }, new AbortController().signal);
  expect(await readFile(path.join(folder, 'fox-1.mp4'))).toEqual(bytes);
  expect(copies).toMatchObject([{ problem: null }, { problem: 'it is not in the store any more' }]);
});

describe('a bucket that cannot be used is named, with what to do', () => {
  test('there is none', async () => {
    const store = new S3Store('s3://no-such-bucket/jobs', atTests());
    const says = expect.stringMatching(
      /s3:\/\/no-such-bucket\/jobs .*create it, or correct RIVYA_STORE \(NoSuchBucket\)/,
    );
    expect(await failure(store.probe())).toMatchObject({ name: 'StoreSettingError', message: says });
    const works = [store.put('1', megabytes(1)), store.put('1', megabytes(20)), store.read('1'), store.list('a')];
    for (const each of await Promise.all(works.map(failure))) {
      expect(each).toEqual({ name: 'StoreUnavailable', message: says, retryable: false });
    }
  });

  test('no rights', async () => {
    for (const [name, value] of Object.entries(server.stranger)) vi.stubEnv(name, value);
    const store = newStore();
    const says = expect.stringMatching(/access is denied: its credentials need s3:GetObject.*\(AccessDenied\)/);
    expect(await failure(store.probe())).toMatchObject({ name: 'StoreSettingError', message: says });
    expect(await failure(store.read('a'))).toEqual({ name: 'StoreUnavailable', message: says, retryable: false });
  });

  test('a wrong secret', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another-secret');
    const { name, message } = await failure(newStore().probe());
    expect(name).toBe('StoreSettingError');
    expect(message).toMatch(/credentials are not accepted.*\(SignatureDoesNotMatch\)/);
    expect(message).not.toContain('another-secret');
  });

  test('no credentials', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', '');
    expect((await failure(newStore().probe())).message).toMatch(/no credentials were found.*AWS_ACCESS_KEY_ID/);
  });

  test('the wrong region', async () => {
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    expect(await failure(newStore().probe())).toMatchObject({
      name: 'StoreSettingError',
      message: expect.stringContaining('another region: set AWS_REGION'),
    });
  });

  test('no region', async () => {
    vi.stubEnv('AWS_REGION', '');
    expect(await failure(newStore().probe())).toMatchObject({
      name: 'StoreSettingError',
      message: expect.stringContaining('set AWS_REGION'),
    });
  });

  test.each([
    [503, 'SlowDown', true, 'answered 503'],
    [500, 'InternalError', true, 'answered 500'],
    [409, 'OperationAborted', true, 'answered 409'],
    [400, 'RequestTimeout', true, 'answered 400'],
    [403, 'RequestTimeTooSkewed', false, 'clock is wrong'],
    [301, 'PermanentRedirect', false, 'another region'],
    [403, 'ExpiredToken', false, 'renew them'],
    [507, 'InsufficientStorage', false, 'no room left'],
    [400, 'KeyTooLongError', false, 'answered 400'],
    [403, null, false, 'access is denied'],
    [404, null, false, 'answered 404'],
    [502, null, true, 'answered 502'],
  ])('an answer %s %s: tried again %s', async (status, code, retryable, says) => {
    const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>quotes secret-of-tests</Message></Error>`;
    const endpoint = await serve((_q, r) => void r.writeHead(status).end(code === null ? '<html>proxy' : xml));
    expect(await failure(newStore(endpoint).write('a', 'text'))).toEqual({
      name: 'StoreUnavailable',
      message: expect.stringContaining(says),
      retryable,
    });
  });

  test.each([
    [501, 'NotImplemented', 'A header you provided implies functionality that is not implemented', /Perhaps it is the/],
    [501, null, '', /Perhaps it is the checksums/],
    [501, 'NotImplemented', 'x-amz-trailer is not implemented', /does not take the checksums/],
    [400, 'InvalidArgument', 'Unsupported header x-amz-checksum-crc32: secret-of-tests', /does not take the checksums/],
  ])(
    'checksums that the service does not take (%s %s): the way out is named, and works',
    async (status, code, words, says) => {
      const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${words}</Message></Error>`;
      const endpoint = await serve(({ headers }, r) => {
        const isChecked = Object.keys(headers).some((name) => name.includes('checksum'));
        r.writeHead(isChecked ? status : 200).end(isChecked && code !== null ? xml : '');
      });
      const { message, retryable } = await failure(newStore(endpoint).write('a', 'text'));
      expect(message).toMatch(says);
      expect(message).toContain('set AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED');
      expect(retryable).toBe(false);
      vi.stubEnv('AWS_REQUEST_CHECKSUM_CALCULATION', 'WHEN_REQUIRED');
      await newStore(endpoint).write('a', 'text');
    },
  );

  test("a refusal that passes at once is nobody's business", async () => {
    let calls = 0;
    const endpoint = await serve((_q, r) => void r.writeHead(++calls === 1 ? 503 : 200).end());
    await newStore(endpoint).write('a', 'text');
    expect(calls).toBe(2);
  });

  test('an endpoint that refuses', async () => {
    const endpoint = await serve(() => undefined);
    for (const listener of listeners.splice(0)) await new Promise((resolve) => listener.close(resolve));
    const works = [newStore(endpoint).put('1', megabytes(20)), newStore(endpoint).probe()];
    for (const each of await Promise.all(works.map(failure))) {
      expect(each).toEqual({
        name: 'StoreUnavailable',
        message: expect.stringContaining('it cannot be reached (ECONNREFUSED)'),
        retryable: true,
      });
    }
  });

  test('an endpoint that gives no answer fails within the time that a submit has for receipts', async () => {
    const store = newStore(await serve(() => undefined));
    const started = performance.now();
    const failures = await Promise.all([store.write('a', 'x'), store.read('a'), store.list('a')].map(failure));
    for (const each of failures) {
      expect(each).toMatchObject({ retryable: true, message: expect.stringContaining('it gives no answer') });
    }
    // 15 s beside the POST.
    expect(performance.now() - started).toBeLessThan(14_000);
  });

  test.each([
    's3:bucket',
    's3://',
    's3://ab',
    's3://key:secret-of-tests@bucket/x',
    's3://bucket/x?secret-of-tests',
    's3://bucket/../x',
    's3://bucket//x',
  ])('the address %s', (address) => {
    let error: unknown;
    try {
      openStore(address);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(StoreSettingError);
    expect((error as Error).message).not.toContain('secret');
  });

  test.each(['localhost:9000', 'ftp://host', 'https://user:secret@host', 'https://host/path'])(
    'the endpoint %s',
    (endpoint) => {
      expect(() => readSettings({ RIVYA_S3_ENDPOINT: endpoint })).toThrow(/RIVYA_S3_ENDPOINT: must be(?!.*secret)/);
    },
  );
});

describe('behind a proxy (HTTPS_PROXY)', () => {
  const PASSWORD = 'p@ss w%rd';
  let asked: string[];
  let proxy: string;
  let front: TlsServer;

  // The service over HTTPS, at a name that only the proxy knows.
  beforeAll(async () => {
    front = createTlsServer({ cert: TEST_CERT, key: TEST_KEY }, (socket) => {
      const { hostname, port } = new URL(server.endpoint);
      const upstream = connect(Number(port), hostname);
      socket.pipe(upstream).pipe(socket);
      socket.on('error', () => upstream.destroy());
      upstream.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => front.close());
  beforeEach(async () => {
    asked = [];
    const at = await serve(() => undefined);
    listeners.at(-1)!.on('connect', ({ url, headers }, socket: Socket) => {
      asked.push(`${url} ${Buffer.from(headers['proxy-authorization']?.slice(6) ?? '', 'base64').toString()}`);
      const upstream = connect((front.address() as AddressInfo).port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(upstream).pipe(socket);
      });
      socket.on('error', () => upstream.destroy());
      upstream.on('error', () => socket.destroy());
    });
    proxy = at.replace('//', `//user:${encodeURIComponent(PASSWORD)}@`);
  });

  test('the requests of the SDK go through it: texts, lists, and uploads in parts', async () => {
    const tls = { ca: TEST_CERT };
    const requestHandler = throughProxy({ url: proxy, except: '' }, { connectMs: 9_000, silenceMs: 9_000, tls });
    const client = new S3Client({ endpoint: `https://${TEST_HOST}`, forcePathStyle: true, requestHandler });
    const at = { Bucket: server.bucket, Key: `through-${randomUUID()}/a b&c=d(1)` };
    await new Upload({ client, params: { ...at, Body: Readable.from(megabytes(12)) } }).done();
    const { Body } = await client.send(new GetObjectCommand(at));
    const bytes = await Body!.transformToByteArray();
    expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([12_000_000, 0, 11]);
    const [Prefix = ''] = at.Key.split('/');
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: at.Bucket, Prefix, Delimiter: '*' }));
    expect(Contents?.map(({ Key }) => Key)).toEqual([at.Key]);
    await expect(client.send(new GetObjectCommand({ ...at, Key: 'none' }))).rejects.toThrow(NoSuchKey);
    expect(new Set(asked)).toEqual(new Set([`${TEST_HOST}:443 user:${PASSWORD}`]));
    client.destroy();
  });

  test('a store uses it, except for the hosts in NO_PROXY, and for plain HTTP', async () => {
    vi.stubEnv('HTTPS_PROXY', proxy);
    const store = () => new S3Store('s3://media', { endpoint: `https://${TEST_HOST}`, pathStyle: true });
    // The store trusts no certificate of tests.
    expect((await failure(store().write('a', 'text'))).message).toContain('SELF_SIGNED');
    expect(asked[0]).toContain(TEST_HOST);
    asked = [];
    vi.stubEnv('NO_PROXY', 'x.example, rivya.test');
    expect((await failure(store().write('a', 'text'))).message).toMatch(/ENOTFOUND|EAI_AGAIN/);
    await newStore().write('a', 'text');
    expect(asked).toEqual([]);
  });

  test('one that refuses is named by its answer, and a person may mend it', async () => {
    listeners
      .at(-1)!
      .removeAllListeners('connect')
      .on('connect', (_, socket: Socket) => {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      });
    vi.stubEnv('HTTPS_PROXY', proxy);
    const store = new S3Store('s3://media', { endpoint: `https://${TEST_HOST}`, pathStyle: true });
    const { message } = await failure(store.write('a', 'text'));
    expect(message).toContain('PROXY_ANSWERED_407');
    expect(message).not.toContain('ss w');
  });
});
