/** Results that are large, slow, or in a store that is full; and Workers that are killed with half of one. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import { FileStore } from '../../src/storage/index.js';
import {
  closeAll,
  film,
  filmDigest,
  filmStream,
  filesIn,
  MB,
  memoryOf,
  newResults,
  resultOf,
  serve,
  serveTwo,
} from '../storage/media-server.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

afterEach(closeAll);

test('memory stays flat: 2 GB are stored with less than 64 MB', async () => {
  const url = await serveTwo({ large: 2_048 });
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-large-'));
  try {
    const { file, grown } = await memoryOf(['keep', `file:${directory}`, `${url}/small`, `${url}/large`]);
    expect(file).toMatchObject({ bytes: 2_048 * MB, sha256: filmDigest(2_048) });
    expect(grown / MB).toBeLessThan(64);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('memory stays flat: a reference of 200 MB is uploaded with less than 64 MB', async () => {
  const received: number[] = [];
  const url = await serve((q, r) => {
    let bytes = 0;
    q.on('data', (chunk: Buffer) => (bytes += chunk.length));
    q.on('end', () => {
      received.push(bytes);
      r.writeHead(201, { 'content-type': 'application/json' }).end('{"id":"file_1","url":"https://files.example/1"}');
    });
  });
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-upload-'));
  const [small, large] = ['small.mp4', 'large.mp4'].map((name) => path.join(directory, name)) as [string, string];
  try {
    await writeFile(small, filmStream(16));
    await writeFile(large, filmStream(200));
    const { file, grown } = await memoryOf(['upload', url, small, large]);
    expect(file).toMatchObject({ bytes: 200 * MB, sha256: filmDigest(200) });
    expect(received[1]).toBeGreaterThan(200 * MB);
    expect(grown / MB).toBeLessThan(64);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a host that falls silent is noticed, and the rest is fetched', async () => {
  const whole = film(10 * MB);
  const asked: (string | undefined)[] = [];
  const url = await serve((q, r) => {
    asked.push(q.headers.range);
    const from = Number(/\d+/.exec(q.headers.range ?? '0')![0]);
    const head = { etag: '"v1"', 'content-length': whole.length - from };
    if (from === 0) return void r.writeHead(200, head).write(whole.subarray(0, 4 * MB));
    r.writeHead(206, { ...head, 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` });
    r.end(whole.subarray(from));
  });
  const { results } = await newResults([url]);
  const file = await results.keep(resultOf(url));
  expect(file.sha256).toBe(createHash('sha256').update(whole).digest('hex'));
  expect(asked).toHaveLength(2);
});

describe('a generation', () => {
  /** An emulator whose media are fetched from this host, and no Workers yet. */
  async function harnessFor(url: string): Promise<Harness> {
    const redirect = { on: 'media', do: { kind: 'redirect', location: url } } as const;
    return startHarness({ workers: false, emulator: { faults: [redirect] } });
  }
  const trusting = (harness: Harness, url: string): { RIVYA_TRUSTED_RESULT_HOSTS: string } => ({
    RIVYA_TRUSTED_RESULT_HOSTS: [harness.emulator.url, url].map((link) => new URL(link).host).join(','),
  });

  test('is whole after the Worker was killed in the middle of 200 MB: one file, and its part is swept', async () => {
    let requests = 0;
    const url = await serve((_q, r) => {
      requests += 1;
      r.setHeader('content-length', 200 * MB);
      // The first one stops in the middle and waits for the kill.
      filmStream(requests === 1 ? 100 : 200, { stalls: requests === 1 }).pipe(r);
    });
    const harness = await harnessFor(url);
    const place = { ...harness, env: trusting(harness, url) };
    const parts = path.join(harness.output, '.rivya/parts');
    try {
      const handle = await harness.client.start({ model: 'sora-2', prompt: 'large' }, { workflowId: 'large' });
      const first = spawnWorker(place);
      await until(async () => {
        // Receipts are parts as well, for a moment.
        const names = await filesIn(parts).catch(() => []);
        const sizes = await Promise.all(names.map((name) => stat(path.join(parts, name)).catch(() => null)));
        return sizes.some((part) => (part?.size ?? 0) > 90 * MB);
      });
      await kill(first);
      const second = spawnWorker(place);
      const { files, taskId } = await handle.result();
      await kill(second);
      expect(files).toMatchObject([{ bytes: 200 * MB, sha256: filmDigest(200) }]);
      expect((await stat(fileURLToPath(files[0]!.uri))).size).toBe(200 * MB);
      const { keys, paidTasks } = await harness.emulator.ledger();
      expect([paidTasks, Object.values(keys)]).toMatchObject([1, [{ tasks: [taskId] }]]);
      const left = await filesIn(parts);
      expect(left).toHaveLength(1);
      const twoDaysAgo = Date.now() / 1_000 - 48 * 3_600;
      await utimes(path.join(parts, left[0]!), twoDaysAgo, twoDaysAgo);
      await new FileStore(`file:${harness.output}`).probe();
      const kept = await filesIn(harness.output);
      expect(kept.filter((name) => !/^\.rivya\/(receipts|tasks)\//.test(name))).toEqual([
        'large/1.json',
        'large/1.mp4',
      ]);
    } finally {
      await harness[Symbol.asyncDispose]();
    }
  });

  const cannotMount = whyNotMounted();
  test.skipIf(cannotMount !== null)(
    `in a store that is full holds, and goes on when there is room${cannotMount ?? ''}`,
    async () => {
      const url = await serve((_q, r) => void r.end(film(4 * MB)));
      const harness = await harnessFor(url);
      const disk = await mkdtemp(path.join(tmpdir(), 'rivya-disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk]);
      const worker = spawnWorker({ ...harness, output: disk, env: trusting(harness, url) });
      try {
        const client = new GenerationClient(harness.temporal, { taskQueue: harness.taskQueue });
        await writeFile(path.join(disk, 'of somebody else'), Buffer.alloc(4 * MB));
        const handle = await client.start({ model: 'sora-2', prompt: 'full' }, { workflowId: 'full' });
        await until(async () => (await stateOf(handle)).phase === 'held');
        const { hold } = await stateOf(handle);
        expect(hold).toMatchObject({
          code: 'ResultUnavailable',
          message: expect.stringContaining(`The store file:${disk} cannot be written: it is full (ENOSPC)`),
        });
        expect((await filesIn(disk)).filter((name) => /^full|parts/.test(name))).toEqual([]);
        await rm(path.join(disk, 'of somebody else'));
        await handle.resume();
        const { files } = await handle.result();
        expect((await readFile(fileURLToPath(files[0]!.uri))).length).toBe(4 * MB);
        expect((await harness.emulator.ledger()).paidTasks).toBe(1);
      } finally {
        await kill(worker);
        execFileSync('umount', [disk]);
        await rm(disk, { recursive: true });
        await harness[Symbol.asyncDispose]();
      }
    },
  );
});

/** Null where a small disk can be mounted here; otherwise why not, for the title of the test. */
function whyNotMounted(): string | null {
  const place = path.join(tmpdir(), `rivya-mount-${process.pid}`);
  try {
    execFileSync('mkdir', [place]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { stdio: 'pipe' });
    execFileSync('umount', [place], { stdio: 'pipe' });
    return null;
  } catch {
    return ' (skipped: mount -t tmpfs is not allowed here)';
  } finally {
    execFileSync('rmdir', [place]);
  }
}
