import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { FileStore, openStore, ResultError, resultName, Results, StoreSettingError } from '../../src/storage/index.js';
import { until } from '../support/until.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function newResults(url: string): Promise<{ results: Results; directory: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rivya-store-'));
  const trustedHosts = new Set([new URL(url).host]);
  return { results: new Results(new FileStore(`file:${directory}`), { trustedHosts }), directory };
}

const filesIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true })).filter((e) => e.isFile()).map((e) => e.name);

describe('a stored file', () => {
  test('is whole, with its size, SHA-256, type and source without the query', async () => {
    const bytes = Buffer.alloc(300_000, 'x');
    const url = await serve((_request, response) => response.setHeader('content-type', 'video/mp4; x=1').end(bytes));
    const { results, directory } = await newResults(url);
    const seen: number[] = [];
    const file = await results.keep(`${url}/a.bin?signature=s`, 'job/1', { onProgress: (n) => seen.push(n) });
    expect(file).toEqual({
      uri: `file://${directory}/job/1.mp4`,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      contentType: 'video/mp4',
      sourceUrl: `${url}/a.bin`,
    });
    expect(await readFile(fileURLToPath(file.uri))).toEqual(bytes);
    expect(seen.length).toBeGreaterThan(0);
  });

  test.each<[string, RequestListener, Partial<ResultError>]>([
    [
      'cut short',
      (_q, r) => void r.writeHead(200, { 'content-length': '10' }).write('abc', () => r.destroy()),
      { retryable: true },
    ],
    ['empty', (_q, r) => void r.end(), { retryable: true }],
    ['expired', (_q, r) => void r.writeHead(403).end('no'), { retryable: false, httpStatus: 403 }],
    ['a page', (_q, r) => void r.setHeader('content-type', 'text/html').end('<h1>Sign in'), { retryable: false }],
    ['a page that names no type', (_q, r) => void r.end('\n<html>Sign in'), { retryable: false }],
    ['gone', (_q, r) => void r.writeHead(410).end(), { retryable: false, httpStatus: 410 }],
    ['broken for now', (_q, r) => void r.writeHead(503).end(), { retryable: true, httpStatus: 503 }],
    ['redirected for ever', (q, r) => void r.writeHead(302, { location: `${q.url}x` }).end(), { retryable: true }],
  ])('%s: nothing appears under the final name, no partial file stays', async (_name, listener, expected) => {
    const url = await serve(listener);
    const { results, directory } = await newResults(url);
    const error: unknown = await results.keep(`${url}/a.png`, 'job/1').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ResultError);
    expect(error).toMatchObject(expected);
    expect(await filesIn(directory)).toEqual([]);
  });

  test('appears under its name when it is whole, and not before', async () => {
    let finish = (): void => undefined;
    const url = await serve((_request, response) => {
      response.setHeader('content-type', 'image/png').write('first half,');
      finish = () => void response.end(' second half');
    });
    const { results, directory } = await newResults(url);
    const stored = results.keep(`${url}/a.png`, 'job/1');
    await until(async () => (await filesIn(directory)).length > 0);
    expect(await filesIn(directory)).not.toContain('1.png');
    finish();
    await stored;
    expect(await filesIn(directory)).toEqual(['1.png']);
  });

  test('plain HTTP is refused unless the host is trusted, also behind a redirect', async () => {
    const target = await serve((_q, r) => void r.end('secret'));
    const url = await serve((_q, r) => void r.writeHead(302, { location: target }).end());
    const { results } = await newResults(url);
    await expect(results.keep(target, 'a/1')).rejects.toThrow('RIVYA_TRUSTED_RESULT_HOSTS');
    await expect(results.keep(url, 'a/1')).rejects.toThrow('RIVYA_TRUSTED_RESULT_HOSTS');
  });

  test('carries no credentials to the media host', async () => {
    let headers: NodeJS.Dict<string | string[]> = {};
    const url = await serve((q, r) => {
      headers = q.headers;
      r.end('x');
    });
    const { results } = await newResults(url);
    await results.keep(url, 'a/1');
    expect(Object.keys(headers)).not.toContain('authorization');
  });
});

describe('a store address', () => {
  test.each(['ftp://x', 's4:bucket', 'output', ''])('of an unknown kind is refused: %s', (address) => {
    expect(() => openStore(address)).toThrow(StoreSettingError);
  });
  test('that cannot be written is found by the probe', async () => {
    const file = fileURLToPath(import.meta.url);
    await expect(new FileStore(`file:${file}/below`).probe()).rejects.toThrow('below cannot be written (ENOTDIR)');
  });
});

describe('a name', () => {
  test('is readable where it can be', () => {
    expect(resultName({ workflowId: 'hero-video', step: null, take: 1 }, 1)).toBe('hero-video/1');
    expect(resultName({ workflowId: 'hero', step: 'draft', take: 2 }, 3)).toBe('hero/step-draft/take-2/3');
  });

  test('never leaves the store and never meets another', () => {
    const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(id, id, (a, b) => {
        const nameOf = (workflowId: string): string => resultName({ workflowId, step: null, take: 1 }, 1);
        const full = path.resolve('/store', nameOf(a));
        expect(full.startsWith('/store/')).toBe(true);
        expect(full.split('/')).toHaveLength(4);
        expect(full.split('/').every((part) => Buffer.byteLength(part) <= 200)).toBe(true);
        if (a !== b && a.isWellFormed() && b.isWellFormed()) expect(nameOf(a)).not.toBe(nameOf(b));
      }),
    );
  });
});
