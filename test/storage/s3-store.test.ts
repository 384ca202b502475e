/** Against a real server of the protocol, which the set-up starts. */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { CreateMultipartUploadCommand, HeadObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { readSettings } from '../../src/config.js';
import {
  openStore,
  S3Store,
  StoreSettingError,
  type S3Settings,
  type Store,
  type StoreUnavailable,
} from '../../src/storage/index.js';
import { storeContract } from '../../src/testing/index.js';
import { ageUploads, keyIn, uploadsIn } from '../support/s3-uploads.js';
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

  test('loses the parts of killed processes after some days, and only those below the prefix', async () => {
    const store = newStore();
    const mine = keyIn(server, `${store.address}/job/1.mp4`);
    const keys = [mine, keyIn(server, `${store.address}-other/1.mp4`), keyIn(server, `${store.address}/job/young.mp4`)];
    for (const Key of keys) await abandon(Key);
    await ageUploads(server, keys.slice(0, 2));
    await store.probe();
    expect((await uploadsIn(server, store.address)).toSorted()).toEqual(keys.slice(1).toSorted());
  });
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

/** Begins an upload as a process does that is killed in the middle of it. */
async function abandon(Key: string): Promise<void> {
  const { UploadId } = await server.client.send(new CreateMultipartUploadCommand({ Bucket: server.bucket, Key }));
  const part = { Bucket: server.bucket, Key, UploadId, PartNumber: 1, Body: Buffer.alloc(5_000_000) };
  await server.client.send(new UploadPartCommand(part));
}
