/** A store in S3 while everything about it fails: the task is paid once, and its result arrives. */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { S3Store } from '../../src/storage/index.js';
import { closeAll, film, filmDigest, filmStream, MB, memoryOf, serve, serveTwo } from '../storage/media-server.js';
import { startHarness, type Harness } from '../support/harness.js';
import { S3_SETUP_MS, startS3Server, type S3Server } from '../support/s3-server.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
}, S3_SETUP_MS);
afterAll(() => server.remove());
afterEach(closeAll);
afterEach(() => vi.unstubAllEnvs());

/** What a Worker needs for media from this host and a store with this prefix. */
function placeFor(harness: Harness, url: string, prefix: string) {
  const RIVYA_TRUSTED_RESULT_HOSTS = [harness.emulator.url, url].map((link) => new URL(link).host).join(',');
  const RIVYA_STORE = `s3://${server.bucket}/${prefix}`;
  return { ...harness, env: { ...server.env, RIVYA_STORE, RIVYA_TRUSTED_RESULT_HOSTS } };
}

async function harnessFor(url: string): Promise<Harness> {
  const redirect = { on: 'media', do: { kind: 'redirect', location: url } } as const;
  return startHarness({ workers: false, emulator: { faults: [redirect] } });
}

function openStore(address: string): S3Store {
  for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value);
  return new S3Store(address, { endpoint: server.endpoint, pathStyle: true });
}

test('a Worker that is killed in the middle of an upload of 200 MB: one object', async () => {
  let requests = 0;
  const url = await serve((_q, r) => {
    requests += 1;
    r.setHeader('content-length', 200 * MB);
    // The first one stops in the middle and waits for the kill.
    filmStream(requests === 1 ? 100 : 200, { stalls: requests === 1 }).pipe(r);
  });
  await using harness = await harnessFor(url);
  const place = placeFor(harness, url, 'killed');
  const address = place.env.RIVYA_STORE;
  const handle = await harness.client.start({ model: 'sora-2', prompt: 'large' }, { workflowId: 's3-large' });
  const first = spawnWorker(place);
  await until(async () => (await partsOf(server)) > 9);
  await kill(first);
  const second = spawnWorker(place);
  const { files, taskId } = await handle.result();
  await kill(second);

  const store = openStore(address);
  const hash = createHash('sha256');
  for await (const chunk of (await store.open(files[0]!.uri))!.body) hash.update(chunk);
  const sha256 = filmDigest(200);
  expect(hash.digest('hex')).toBe(sha256);
  expect(files).toMatchObject([{ uri: `${address}/s3-large/1.mp4`, bytes: 200 * MB, sha256 }]);
  expect((await store.list('s3-large')).toSorted()).toEqual(['1.json', '1.mp4']);
  const { keys, paidTasks } = await harness.emulator.ledger();
  expect([paidTasks, Object.values(keys)]).toMatchObject([1, [{ tasks: [taskId] }]]);
});

test('memory stays flat: 2 GB are stored with less than 64 MB', async () => {
  // Buffers of parts are given back late: only after some dozens of them is there as much memory as any upload needs.
  const url = await serveTwo({ small: 256, large: 2_048 });
  const address = `s3://${server.bucket}/flat`;
  const { file, grown } = await memoryOf(['keep', address, `${url}/small`, `${url}/large`], server.env);
  expect(file).toMatchObject({ bytes: 2_048 * MB, sha256: filmDigest(2_048) });
  expect(grown / MB).toBeLessThan(64);
});

test('a server that is stopped while a result is stored: one hold, and resume delivers what was paid once', async () => {
  let asked = (): void => undefined;
  const storing = new Promise<void>((resolve) => {
    asked = resolve;
  });
  let mayEnd = (): void => undefined;
  const stopped = new Promise<void>((resolve) => {
    mayEnd = resolve;
  });
  const url = await serve((_q, r) => {
    r.setHeader('content-length', 30 * MB);
    const chunk = film(MB);
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let n = 0; n < 20; n++) yield chunk;
      asked();
      await stopped;
      for (let n = 0; n < 10; n++) yield chunk;
    }
    Readable.from(chunks(), { highWaterMark: 1 }).pipe(r);
  });
  await using harness = await harnessFor(url);
  const worker = spawnWorker(placeFor(harness, url, 'stopped'));
  try {
    const handle = await harness.client.start({ model: 'sora-2', prompt: 'stopped' }, { workflowId: 's3-stopped' });
    await storing;
    await server.stop();
    mayEnd();
    await until(async () => (await stateOf(handle)).phase === 'held', 200_000);
    const { hold } = await stateOf(handle);
    expect(hold).toMatchObject({
      code: 'ResultUnavailable',
      message: expect.stringContaining(`The store s3://${server.bucket}/stopped cannot be`),
    });
    await server.start();
    await handle.resume();
    const { files } = await handle.result();
    expect(files).toMatchObject([{ bytes: 30 * MB }]);
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  } finally {
    await kill(worker);
  }
});

/** Parts that lie on the server, of all uploads: their files have numbers for names. */
async function partsOf({ folder }: S3Server): Promise<number> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile() && /multipart/.test(path.join(entry.parentPath, entry.name))).length;
}
