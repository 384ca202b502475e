/** Results from a media host into a store: what is taken, what is refused, and what is left behind. */
import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, rm, writeFile, type FileHandle } from 'node:fs/promises';
import type { IncomingHttpHeaders, RequestListener } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ResultAbout, SeenResult, StoredFile } from '../../src/contract/index.js';
import { ResultError, type Results } from '../../src/storage/index.js';
import { until } from '../support/until.js';
import { closeAll, film, filesIn, newResults, resultOf, serve } from './media-server.js';

afterEach(closeAll);

const FILM = film(300_000);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const about: ResultAbout = {
  model: 'sora-2',
  body: JSON.stringify({
    model: 'sora-2',
    prompt: 'a fox',
    params: { seconds: '4', start: 'https://media.example/fox.png?signature=secret' },
  }),
  idempotencyKey: 'job-abc',
  labels: { team: 'ads' },
  createdAt: '2026-11-01T00:00:00.000Z',
  reservedCredits: 6,
  finalCredits: 5,
  simulated: true,
};

describe('a stored result', () => {
  test('is whole, with its size, SHA-256, source without the query, and the type of what it is', async () => {
    const url = await serve((_q, r) => r.setHeader('content-type', 'image/png').end(FILM));
    const { results, directory } = await newResults([url]);
    const seen: number[] = [];
    const file = await results.keep(resultOf(`${url}/a.bin?signature=s`), { onProgress: (n) => seen.push(n) });
    expect(file).toEqual({
      uri: `file://${directory}/job/1.mp4`,
      bytes: FILM.length,
      sha256: sha256(FILM),
      contentType: 'video/mp4',
      sourceUrl: `${url}/a.bin`,
    });
    expect(sha256(await readFile(fileURLToPath(file.uri)))).toBe(sha256(FILM));
    expect(seen.length).toBeGreaterThan(0);
  });

  test('has a sidecar that says what it is, where it came from and what it cost, without a signature', async () => {
    const url = await serve((_q, r) => void r.end(FILM));
    const { results, directory } = await newResults([url]);
    await results.keep(resultOf(`${url}/a.mp4?signature=secret`, { about }));
    const text = await readFile(path.join(directory, 'job/1.json'), 'utf8');
    expect(JSON.parse(text)).toEqual({
      version: 1,
      model: 'sora-2',
      prompt: 'a fox',
      params: { seconds: '4', start: 'https://media.example/fox.png' },
      taskId: 'task_1',
      n: 1,
      uri: `file://${directory}/job/1.mp4`,
      bytes: FILM.length,
      sha256: sha256(FILM),
      contentType: 'video/mp4',
      sourceUrl: `${url}/a.mp4`,
      namespace: 'default',
      workflowId: 'job',
      idempotencyKey: 'job-abc',
      labels: { team: 'ads' },
      createdAt: '2026-11-01T00:00:00.000Z',
      storedAt: expect.stringMatching(/^\d{4}-/),
      reservedCredits: 6,
      finalCredits: 5,
      simulated: true,
    });
    expect(text).not.toContain('secret');
  });

  test('keeps its prompt to itself where only digests are wanted', async () => {
    const url = await serve((_q, r) => void r.end(FILM));
    const { results, directory } = await newResults([url], { prompts: 'digest' });
    await results.keep(resultOf(url, { about }));
    const text = await readFile(path.join(directory, 'job/1.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ promptSha256: sha256(Buffer.from('"a fox"')), model: 'sora-2' });
    expect(text).not.toContain('a fox');
    expect(text).not.toContain('seconds');
  });

  test('is not fetched again: the links may have expired since', async () => {
    let asked = 0;
    const url = await serve((_q, r) => void (asked++ === 0 ? r.end(FILM) : r.writeHead(403).end()));
    const { results, directory } = await newResults([url]);
    const first = await results.keep(resultOf(url));
    const before = await filesIn(directory);
    expect(await results.keep(resultOf(url))).toEqual(first);
    expect(asked).toBe(1);
    expect(await filesIn(directory)).toEqual(before);
  });

  test.each<[string, (file: string) => Promise<void>]>([
    ['is gone', (file) => rm(file)],
    ['is not as long as it was', (file) => writeFile(file, 'short')],
  ])('is fetched again where its file %s', async (_name, damage) => {
    const url = await serve((_q, r) => void r.end(FILM));
    const { results } = await newResults([url]);
    const file = fileURLToPath((await results.keep(resultOf(url))).uri);
    await damage(file);
    await results.keep(resultOf(url));
    expect(sha256(await readFile(file))).toBe(sha256(FILM));
  });

  test('of another task under the same name, as from another namespace, takes nothing away', async () => {
    const url = await serve((q, r) => void r.end(q.url === '/b' ? film(5_000) : FILM));
    const { results, directory } = await newResults([url]);
    const first = await results.keep(resultOf(url));
    // Its sidecar alone tells whose the name is.
    await rm(path.join(directory, '.rivya/names'), { recursive: true });
    const second = await results.keep({ ...resultOf(`${url}/b`, { taskId: 'task_2' }), namespace: 'staging' });
    expect(second.uri).toMatch(/\/job\/1-[0-9a-f]{12}\.mp4$/);
    expect(sha256(await readFile(fileURLToPath(first.uri)))).toBe(sha256(FILM));
    expect(await filesIn(directory)).toHaveLength(4);
    // Each is known again by its task.
    expect(await results.keep(resultOf(url))).toEqual(first);
    expect(await results.keep(resultOf(url, { taskId: 'task_2' }))).toEqual(second);
  });

  test('of another task that arrives at the same time under the same name takes nothing away', async () => {
    let finish: (() => void) | undefined;
    const url = await serve((q, r) => {
      if (q.url === '/b') return void r.end(film(5_000));
      r.write(FILM.subarray(0, 10_000));
      finish = () => void r.end(FILM.subarray(10_000));
    });
    const { results, directory } = await newResults([url]);
    const slow = results.keep(resultOf(url));
    await until(async () => finish !== undefined && (await filesIn(directory)).length > 0);
    const quick = await results.keep(resultOf(`${url}/b`, { taskId: 'task_2' }));
    finish?.();
    expect(path.basename((await slow).uri)).toBe('1.mp4');
    expect(path.basename(quick.uri)).toMatch(/^1-[0-9a-f]{12}\.mp4$/);
    for (const { uri, sha256: said } of [await slow, quick]) {
      expect(sha256(await readFile(fileURLToPath(uri)))).toBe(said);
    }
  });

  test('of two tasks that begin at the same moment under the same name: each is there, whole, at once or when tried again', async () => {
    const url = await serve((q, r) => void r.end(q.url === '/b' ? film(5_000) : FILM));
    for (let round = 0; round < 20; round++) {
      const { results } = await newResults([url]);
      const keep = async (link: string, taskId: string): Promise<StoredFile> => {
        const result = resultOf(link, { taskId });
        return results.keep(result).catch(async (error: unknown) => {
          expect(error).toMatchObject({ name: 'ResultError', retryable: true });
          return results.keep(result);
        });
      };
      const kept = await Promise.all([keep(url, 'task_1'), keep(`${url}/b`, 'task_2')]);
      for (const { uri, sha256: said } of kept) expect(sha256(await readFile(fileURLToPath(uri)))).toBe(said);
    }
  });

  test('of a task that loses its name while its file is flushed takes nothing away', async () => {
    const url = await serve((q, r) => void r.end(q.url === '/b' ? film(5_000) : FILM));
    const { results, directory } = await newResults([url]);
    const handle = await open(path.join(directory, 'any'), 'w');
    const files = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    let [hasBegun, isFlushed, isStored] = [false, false, false];
    // The note of the second task arrives when the first one has all its bytes; from then on the second one is quicker.
    const sync = vi.spyOn(files, 'sync').mockImplementation(async function slow(this: FileHandle) {
      if (!hasBegun) {
        hasBegun = true;
        await until(() => isFlushed);
      } else if ((await this.stat()).size === FILM.length && !isFlushed) {
        isFlushed = true;
        await until(() => isStored);
      }
    });
    const second = results.keep(resultOf(`${url}/b`, { taskId: 'task_2' })).finally(() => (isStored = true));
    await until(() => hasBegun);
    const first = results.keep(resultOf(url));
    await expect(first).rejects.toMatchObject({ name: 'ResultError', retryable: true });
    sync.mockRestore();
    const kept = [await second, await results.keep(resultOf(url))];
    for (const { uri, sha256: said } of kept) expect(sha256(await readFile(fileURLToPath(uri)))).toBe(said);
  });

  test('appears under its name when it is whole, and not before', async () => {
    let finish: (() => void) | undefined;
    const url = await serve((_q, r) => {
      r.write(FILM.subarray(0, 10_000));
      finish = () => void r.end(FILM.subarray(10_000));
    });
    const { results, directory } = await newResults([url]);
    const kept = results.keep(resultOf(url));
    await until(async () => finish !== undefined && (await filesIn(directory)).length > 0);
    expect((await filesIn(directory)).filter((name) => !name.startsWith('.rivya/parts/'))).toEqual([]);
    finish?.();
    await kept;
    expect(await filesIn(directory)).toEqual(['job/1.json', 'job/1.mp4']);
  });

  test('comes slowly, as long as it comes', async () => {
    const url = await serve((_q, r) => {
      let sent = 0;
      const timer = setInterval(() => {
        r.write(FILM.subarray(sent, (sent += 30_000)));
        if (sent < FILM.length) return;
        clearInterval(timer);
        r.end();
      }, 20);
    });
    const { results } = await newResults([url]);
    expect((await results.keep(resultOf(url))).sha256).toBe(sha256(FILM));
  });

  test('carries no credentials to the media host', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const last = await serve((q, r) => {
      seen.push(q.headers);
      r.end(FILM);
    });
    const url = await serve((q, r) => {
      seen.push(q.headers);
      r.writeHead(302, { location: last }).end();
    });
    const { results } = await newResults([url, last]);
    await results.keep(resultOf(url));
    const names = seen.flatMap((headers) => Object.keys(headers));
    expect(new Set(names)).toEqual(new Set(['host', 'connection', 'accept-encoding']));
  });
});

/** Answers, and says more and more about it. */
const dripping =
  (status: number, headers: IncomingHttpHeaders = {}): RequestListener =>
  (_q, r) => {
    r.writeHead(status, headers);
    const drip = setInterval(() => r.write('x'), 50);
    r.on('close', () => clearInterval(drip));
  };

const endless: RequestListener = (_q, r) => {
  const more = (): void => void (r.destroyed || r.write(FILM, () => setImmediate(more)));
  more();
};

describe('what is no whole result', () => {
  test.each<[string, RequestListener, Partial<ResultError>]>([
    [
      'cut short',
      (_q, r) => void r.writeHead(200, { 'content-length': '9000' }).write(film(5_000), () => r.destroy()),
      { retryable: true },
    ],
    ['empty', (_q, r) => void r.end(), { retryable: true }],
    ['expired', (_q, r) => void r.writeHead(403).end('no'), { retryable: false, httpStatus: 403 }],
    ['gone', (_q, r) => void r.writeHead(410).end(), { retryable: false, httpStatus: 410 }],
    ['gone, in words that never end', dripping(404), { retryable: false, httpStatus: 404 }],
    [
      'redirected in words that never end',
      dripping(302, { location: 'http://127.0.0.1:1/' }),
      { retryable: false, message: expect.stringContaining('127.0.0.1') },
    ],
    ['broken for now', (_q, r) => void r.writeHead(503).end(), { retryable: true, httpStatus: 503 }],
    ['a page', (_q, r) => void r.setHeader('content-type', 'image/png').end('<h1>Sign in'), { retryable: false }],
    ['a page in UTF-16', (_q, r) => void r.end(Buffer.from('\ufeff<h1>Sign in', 'utf16le')), { retryable: false }],
    ['a text that begins like a picture', (_q, r) => void r.end('BM is under maintenance.'), { retryable: false }],
    ['a text', (_q, r) => void r.end('Please try again later.'), { retryable: false }],
    ['an archive', (_q, r) => void r.end(Buffer.from('1f8b0800000000000003', 'hex')), { retryable: false }],
    ['endless', endless, { retryable: false, message: expect.stringContaining('RIVYA_MAX_RESULT_BYTES') }],
    [
      'announced as larger than allowed',
      (_q, r) => void r.writeHead(200, { 'content-length': '9'.repeat(15) }).write(FILM),
      { retryable: false, message: expect.stringContaining('RIVYA_MAX_RESULT_BYTES') },
    ],
    ['redirected for ever', (q, r) => void r.writeHead(302, { location: `${q.url}x` }).end(), { retryable: true }],
    ['redirected to nowhere', (_q, r) => void r.writeHead(302, { location: 'http://' }).end(), { httpStatus: 302 }],
  ])('%s: nothing appears under the final name, no partial file stays', async (_name, listener, expected) => {
    const url = await serve(listener);
    const { results, directory } = await newResults([url], { maxBytes: 2_000_000 });
    const error: unknown = await results.keep(resultOf(`${url}/a.png`)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ResultError);
    expect(error).toMatchObject(expected);
    expect(await filesIn(directory)).toEqual([]);
  });

  test('is left behind by no cancellation either', async () => {
    let asked = false;
    const url = await serve((_q, r) => {
      asked = true;
      r.write(FILM);
    });
    const { results, directory } = await newResults([url]);
    const cancel = new AbortController();
    const kept = results.keep(resultOf(url), { signal: cancel.signal });
    // A file before the request is only the note of whose the name is.
    await until(async () => asked && (await filesIn(directory)).length > 0);
    cancel.abort(new Error('cancelled'));
    await expect(kept).rejects.toThrow('aborted');
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('a result that the host sends with a Content-Encoding, though nobody asked for one', () => {
  test.each<[string, Buffer]>([
    ['gzip', gzipSync(FILM)],
    ['x-gzip', gzipSync(FILM)],
    ['GZIP', gzipSync(FILM)],
    ['br', brotliCompressSync(FILM)],
    ['deflate', deflateSync(FILM)],
    ['deflate', deflateRawSync(FILM)],
    ['br, gzip', gzipSync(brotliCompressSync(FILM))],
    ['aws-chunked', FILM],
    ['aws-chunked,gzip', gzipSync(FILM)],
    ['identity', FILM],
    // Words that name no coding, and codings that the file does not have.
    ['utf-8', FILM],
    ['base64', FILM],
    ['none', FILM],
    ['gzip', FILM],
    ['x-gzip, utf-8', FILM],
    ['br, gzip', brotliCompressSync(FILM)],
    ['binary,gzip', gzipSync(FILM)],
  ])('%s is decoded: size and SHA-256 are those of the film', async (coding, body) => {
    const url = await serve((_q, r) => {
      r.writeHead(200, { 'content-encoding': coding, 'content-length': body.length, 'content-type': 'video/mp4' });
      r.end(body);
    });
    const { results, directory } = await newResults([url], { maxBytes: FILM.length });
    const file = await results.keep(resultOf(`${url}/a.mp4`));
    expect(file).toMatchObject({ bytes: FILM.length, sha256: sha256(FILM), contentType: 'video/mp4' });
    expect(sha256(await readFile(path.join(directory, 'job/1.mp4')))).toBe(sha256(FILM));
  });

  const bomb = gzipSync(film(20_000_000));
  test.each<[string, RequestListener, Partial<ResultError>]>([
    [
      'a coding that no Worker decodes',
      (_q, r) => void r.setHeader('content-encoding', 'gzip, compress').end(FILM),
      {
        retryable: false,
        message: expect.stringMatching(/Content-Encoding "gzip, compress"; this Worker decodes gzip/),
      },
    ],
    [
      'too large once it is unpacked',
      (_q, r) => void r.setHeader('content-encoding', 'gzip').end(bomb),
      { retryable: false, message: expect.stringContaining('RIVYA_MAX_RESULT_BYTES') },
    ],
    [
      'cut short',
      (_q, r) => void r.setHeader('content-encoding', 'gzip').end(gzipSync(FILM).subarray(0, -50)),
      { retryable: true, message: expect.stringContaining('no whole "gzip"') },
    ],
    ['not as it is coded', (_q, r) => void r.setHeader('content-encoding', 'br').end(FILM), { retryable: true }],
    [
      'a page that is not coded at all',
      (_q, r) => void r.setHeader('content-encoding', 'gzip').end('<h1>Sign in'),
      { retryable: false, found: 'text/html' },
    ],
    ['empty', (_q, r) => void r.setHeader('content-encoding', 'gzip').end(), { retryable: true }],
    [
      'a page',
      (_q, r) => void r.setHeader('content-encoding', 'gzip').end(gzipSync('<h1>Sign in')),
      { retryable: false },
    ],
  ])('%s: nothing appears', async (_name, listener, expected) => {
    expect(bomb.length).toBeLessThan(2_000_000);
    const url = await serve(listener);
    const { results, directory } = await newResults([url], { maxBytes: 2_000_000 });
    const error: unknown = await results.keep(resultOf(`${url}/a.mp4`)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ResultError);
    expect(error).toMatchObject(expected);
    expect(await filesIn(directory)).toEqual([]);
  });

  test('is judged by its first bytes, however few of them come at once', async () => {
    const url = await serve((_q, r) => {
      const body = gzipSync(FILM);
      r.setHeader('content-encoding', 'gzip').write(body.subarray(0, 1));
      setTimeout(() => r.end(body.subarray(1)), 100);
    });
    const { results } = await newResults([url]);
    expect((await results.keep(resultOf(url))).sha256).toBe(sha256(FILM));
  });

  test('is begun anew after a break: a part of it cannot be decoded', async () => {
    const body = gzipSync(FILM);
    const asked: (string | undefined)[] = [];
    const url = await serve((q, r) => {
      asked.push(q.headers.range);
      r.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length, etag: '"v1"' });
      if (asked.length > 1) return void r.end(body);
      r.write(body.subarray(0, -100), () => r.socket?.end());
    });
    const { results } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ retryable: true });
    expect((await results.keep(resultOf(url))).sha256).toBe(sha256(FILM));
    expect(asked).toEqual([undefined, undefined]);
  });

  test('is left at once where it cannot be used, also while the host sends no more of it', async () => {
    const begun = gzipSync(Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), randomBytes(100_000)]));
    const url = await serve((_q, r) => void r.setHeader('content-encoding', 'gzip').write(begun.subarray(0, 50_000)));
    const { results } = await newResults([url]);
    const startedAt = Date.now();
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ retryable: false });
    // Silence would end it after 20 s.
    expect(Date.now() - startedAt).toBeLessThan(15_000);
  });
});

describe('a result without a known signature is what its host says', () => {
  const samples = (...first: number[]): Buffer => Buffer.concat([Buffer.from(first), randomBytes(9_000)]);
  const SILENCE = Buffer.alloc(9_000);
  const chunk = (type: string, data: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)]);
  };
  const PNG = Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', Buffer.alloc(13)),
    chunk('IDAT', randomBytes(5_000)),
  ]);
  test.each<[string, Buffer, string, string]>([
    ['audio/pcm', SILENCE, 'audio/pcm', '1.pcm'],
    ['audio/pcm;rate=24000', samples(0, 0, 0, 0), 'audio/pcm;rate=24000', '1.pcm'],
    ['audio/L16; rate=16000; channels=1', samples(0, 0, 3, 0), 'audio/L16; rate=16000; channels=1', '1.pcm'],
    // The first samples look like the signature of an MP3, an icon, a bitmap and an archive.
    ['audio/pcm', samples(0xff, 0xff, 0, 0), 'audio/pcm', '1.pcm'],
    ['audio/pcm', samples(0xff, 0xfb, 0x90, 0), 'audio/pcm', '1.pcm'],
    ['audio/x-pcm', samples(0, 0, 1, 0), 'audio/x-pcm', '1.pcm'],
    ['audio/pcm', samples(0x42, 0x4d), 'audio/pcm', '1.pcm'],
    ['audio/pcm', samples(0x1f, 0x8b, 8), 'audio/pcm', '1.pcm'],
    ['audio/basic', samples(0xff, 0x7f), 'audio/basic', '1.ulaw'],
    ['audio/mpeg', samples(0, 0, 0, 0), 'audio/mpeg', '1.mp3'],
    ['video/x-new-kind', samples(1, 2), 'video/x-new-kind', '1.newkind'],
    ['image/vnd.a.very.long-kind', samples(1, 2), 'image/vnd.a.very.long-kind', '1.raw'],
    ['audio/ogg', Buffer.concat([Buffer.from('OggS\0\x02'), Buffer.alloc(5_000)]), 'audio/ogg', '1.ogg'],
    // What says by itself what it is needs no word of a host.
    ['audio/pcm', Buffer.concat([Buffer.from('RIFF\x24\x28\0\0WAVEfmt '), SILENCE]), 'audio/wav', '1.wav'],
    ['audio/pcm', FILM, 'video/mp4', '1.mp4'],
    ['audio/pcm', PNG, 'image/png', '1.png'],
    ['audio/pcm', Buffer.concat([Buffer.from('ID3\x04\0\0\0\x01\x10\0'), SILENCE]), 'audio/mpeg', '1.mp3'],
    // The first samples are those of a brace, a bracket and an angle bracket.
    ['audio/pcm', samples(0, 0, 0x7b, 0, 2, 0), 'audio/pcm', '1.pcm'],
    ['audio/pcm', samples(0, 0, 0x5b, 1, 2, 0), 'audio/pcm', '1.pcm'],
    ['audio/pcm', samples(0x3c, 0, 2, 0), 'audio/pcm', '1.pcm'],
    ['application/octet-stream', FILM, 'video/mp4', '1.mp4'],
  ])('%s', async (said, body, contentType, name) => {
    const url = await serve((_q, r) => void r.setHeader('content-type', said).end(body));
    const { results, directory } = await newResults([url]);
    const file = await results.keep(resultOf(`${url}/speech.raw?sig=1`));
    expect(file).toMatchObject({ uri: `file://${directory}/job/${name}`, bytes: body.length, contentType });
    expect(file.sha256).toBe(sha256(body));
    const sidecar = JSON.parse(await readFile(path.join(directory, 'job/1.json'), 'utf8')) as object;
    expect(sidecar).toMatchObject({ contentType, bytes: body.length });
  });

  test.each<[string, string | Buffer, string]>([
    ['a page', '<!doctype html><h1>Sign in</h1>', 'audio/pcm'],
    ['a page after a byte order mark', '\ufeff\n <html><body>', 'audio/pcm'],
    ['a page in UTF-16', Buffer.from('\ufeff<html>', 'utf16le'), 'audio/pcm'],
    ['a page in UTF-16 without a mark', Buffer.from('<html><body>', 'utf16le'), 'audio/pcm'],
    ['a page in UTF-16 the other way round', Buffer.from('<html><body>', 'utf16le').swap16(), 'audio/pcm'],
    ['a page in ISO-8859-1', Buffer.from('\n<!DOCTYPE html><h1>Accès refusé', 'latin1'), 'image/png'],
    ['a page in ISO-8859-1 as audio', Buffer.from('<h1>Accès refusé</h1>', 'latin1'), 'audio/pcm'],
    ['a page with control characters', '<p>\0\x01</p>', 'video/mp4'],
    ['XML in ISO-8859-1', Buffer.from('<?xml version="1.0"?><Error>é</Error>', 'latin1'), 'audio/pcm'],
    ['a JSON error in ISO-8859-1', Buffer.from('{"message":"Accès refusé"}', 'latin1'), 'audio/mpeg'],
    ['a list of errors in UTF-16', Buffer.from('[{"error":"no"}]', 'utf16le'), 'audio/pcm'],
    ['XML', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', 'audio/pcm'],
    ['a JSON error', '{"error":{"code":"quota_exceeded"}}', 'audio/mpeg'],
    ['a text', 'Too many requests', 'audio/pcm'],
    ['an archive', Buffer.from('504b030414000000', 'hex'), 'audio/mpeg'],
    ['an archive as raw audio', Buffer.concat([Buffer.from('504b030414000000', 'hex'), SILENCE]), 'audio/pcm'],
    ['bytes of which the host says nothing', SILENCE, 'application/octet-stream'],
    ['bytes of a type that is none', SILENCE, 'audio'],
  ])('but %s is no image, video or audio', async (_what, body, said) => {
    const url = await serve((_q, r) => void r.setHeader('content-type', said).end(body));
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ name: 'ResultError', retryable: false });
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('JSON that was ordered beside audio', () => {
  const words = JSON.stringify({ error: null, alignment: { characters: ['f', 'o', 'x'], starts: [0, 0.1, 0.2] } });
  const long = JSON.stringify({ alignment: { starts: Array.from({ length: 5_000 }, (_, n) => n / 10) } });
  const second = (url: string, name: string, n = 2) => ({
    ...resultOf(url, { urls: [`${url}/speech.mp3`, `${url}/${name}?sig=1`] }),
    n,
  });

  test.each([words, long, '[]', '{"success":true,"code":0,"status":200,"words":[]}'])(
    'is stored beside its sidecar (%#)',
    async (body) => {
      const url = await serve((_q, r) => void r.setHeader('content-type', 'application/json; charset=utf-8').end(body));
      const { results, directory } = await newResults([url]);
      const file = await results.keep(second(url, 'timestamps.json'));
      expect(file).toMatchObject({
        uri: `file://${directory}/job/2.data.json`,
        contentType: 'application/json; charset=utf-8',
        bytes: body.length,
        sourceUrl: `${url}/timestamps.json`,
      });
      expect(await readFile(path.join(directory, 'job/2.data.json'), 'utf8')).toBe(body);
      expect(JSON.parse(await readFile(path.join(directory, 'job/2.json'), 'utf8'))).toMatchObject({ n: 2, ...file });
      // It is known again.
      expect(await results.keep(second(url, 'timestamps.json'))).toEqual(file);
    },
  );

  test.each([
    ['an error', '{"error":{"code":"expired"}}', 'application/json', 'timestamps.json', 2],
    ['an error without the word', '{"code":"AccessDenied","status":403}', 'application/json', 'timestamps.json', 2],
    ['an error in capitals', '{"Code":"NoSuchKey","Key":"a"}', 'application/json', 'timestamps.json', 2],
    ['an error by its status', '{"status":"failed","items":[]}', 'application/json', 'timestamps.json', 2],
    ['no success', '{"success":false,"words":null}', 'application/json', 'timestamps.json', 2],
    ['an error of many words', `{"message":"${'no '.repeat(3_000)}"}`, 'application/json', 'timestamps.json', 2],
    ['cut short', '{"alignment":', 'application/json', 'timestamps.json', 2],
    ['no JSON', 'soon', 'application/json', 'timestamps.json', 2],
    ['of another type by its host', words, 'text/html', 'timestamps.json', 2],
    ['not JSON by the list of results', words, 'application/json', 'timestamps', 2],
    ['the primary result', words, 'application/json', 'speech.mp3', 1],
  ])('but what is %s is not', async (_how, body, said, name, n) => {
    const url = await serve((_q, r) => void r.setHeader('content-type', said).end(body));
    const { results, directory } = await newResults([url]);
    await expect(results.keep(second(url, name, n))).rejects.toMatchObject({ retryable: false });
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('what a person wants to have stored as it is', () => {
  const words = Buffer.from('{"words":[]}');
  const seenIn = async (results: Results, url: string, n: number): Promise<SeenResult> => {
    const error: unknown = await results.keep({ ...resultOf(url, { urls: [url, url] }), n }).catch((e: unknown) => e);
    return { file: n, beginning: (error as ResultError).beginning! };
  };

  test('is stored with its type and name, however its bytes arrive', async () => {
    const long = Buffer.concat([Buffer.from('%PDF-1.7\n'), randomBytes(20_000)]);
    let asked = 0;
    const url = await serve((_q, r) => {
      r.write(long.subarray(0, ++asked === 1 ? 5 : 6_000));
      setTimeout(() => r.end(long.subarray(asked === 1 ? 5 : 6_000)), 50);
    });
    const { results, directory } = await newResults([url]);
    const asIs = await seenIn(results, url, 1);
    const file = await results.keep(resultOf(url, { asIs }));
    expect(file).toMatchObject({ uri: `file://${directory}/job/1.pdf`, sha256: sha256(long) });
  });

  test.each([
    ['an error that comes instead, of the same type', '{"error":{"code":"expired"}}', 1],
    ['a page that comes instead', '<h1>Sign in', 1],
    ['another result of the task', words, 2],
  ])('is not %s', async (_what, then, n) => {
    let body: string | Buffer = words;
    const url = await serve((_q, r) => void r.setHeader('content-type', 'application/json').end(body));
    const { results, directory } = await newResults([url]);
    const asIs = await seenIn(results, url, 1);
    body = then;
    const result = { ...resultOf(url, { urls: [url, url], asIs }), n };
    await expect(results.keep(result)).rejects.toMatchObject({ name: 'ResultError', retryable: false });
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('an SVG is an image', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle r="1"/></svg>';
  const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>';
  const doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">';
  const entities = '<!DOCTYPE svg [<!ENTITY ns "http://ns.example/>"> ]>';
  test.each<[string, string | Buffer]>([
    ['alone', svg],
    ['with a declaration', `${declaration}\n${svg}`],
    ['with declaration, document type and comment', `${declaration}\n<!-- by <a> tool -->\n${doctype}\n${svg}`],
    ['with entities', `${declaration}${entities}${svg}`],
    ['with a style sheet', `${declaration}<?xml-stylesheet href="a.css"?>${svg}`],
    ['with a byte order mark', `\ufeff${declaration}${svg}`],
    ['in UTF-16', Buffer.from(`\ufeff${svg}`, 'utf16le')],
    ['in ISO-8859-1', Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?><!-- é -->${svg}`, 'latin1')],
    ['with a prefix', '<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>'],
    ['with a long comment', `${declaration}<!--${'x'.repeat(20_000)}-->${svg}`],
    ['without a word of its host', svg],
  ])('%s', async (how, body) => {
    const url = await serve((_q, r) => {
      if (!how.startsWith('without')) r.setHeader('content-type', 'image/svg+xml');
      r.end(body);
    });
    const { results, directory } = await newResults([url]);
    const file = await results.keep(resultOf(url));
    expect(file).toMatchObject({ uri: `file://${directory}/job/1.svg`, contentType: 'image/svg+xml' });
    expect(await readFile(path.join(directory, 'job/1.svg'))).toEqual(Buffer.from(body));
  });

  test('but one that its host calls a page is a page, and so is what is held', async () => {
    const url = await serve((_q, r) => void r.setHeader('content-type', 'text/html; charset=utf-8').end(svg));
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ name: 'ResultError', found: 'text/html' });
    expect(await filesIn(directory)).toEqual([]);
  });

  test.each([
    ['XML', `${declaration}<Error><Code>AccessDenied</Code></Error>`],
    ['XML with an SVG in it', `${declaration}<page>${svg}</page>`],
    ['a page with an SVG in it', `<!doctype html><html><body>${svg}</body></html>`],
    ['an element of another name', '<svgs/>'],
    ['a comment only', `<!-- ${svg}`],
  ])('and %s is none', async (_how, body) => {
    const url = await serve((_q, r) => void r.setHeader('content-type', 'image/svg+xml').end(body));
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ name: 'ResultError', retryable: false });
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('a download that breaks off', () => {
  /** Gives the film in pieces of 100 kB, each cut off, and notes what it was asked for. */
  function breaking(headers: Record<string, string>, asked: (string | undefined)[]): RequestListener {
    return (q, r) => {
      asked.push(q.headers.range);
      const from = Number(/\d+/.exec(q.headers.range ?? '0')![0]);
      const same = q.headers['if-range'] === (headers['etag'] ?? headers['last-modified']);
      const part = FILM.subarray(from, from + 100_000);
      const whole = { ...headers, 'content-length': String(FILM.length - from) };
      if (q.headers.range !== undefined && !same) r.writeHead(200, { 'content-length': String(FILM.length) });
      else if (q.headers.range === undefined) r.writeHead(200, whole);
      else r.writeHead(206, { ...whole, 'content-range': `bytes ${from}-${FILM.length - 1}/${FILM.length}` });
      r.write(part, () => r.socket?.end());
    };
  }

  test.each([
    { etag: '"v1"' },
    { 'last-modified': 'Sun, 01 Nov 2026 00:00:00 GMT' },
    { etag: '"v1"', 'content-encoding': 'utf-8' },
  ])('goes on where it was, where the host can tell that the file is the same: %j', async (headers) => {
    const asked: (string | undefined)[] = [];
    const url = await serve(breaking({ ...headers }, asked));
    const { results } = await newResults([url]);
    const file = await results.keep(resultOf(url));
    expect(file).toMatchObject({ bytes: FILM.length, sha256: sha256(FILM) });
    const [first, ...rests] = asked;
    expect(first).toBeUndefined();
    expect(rests.length).toBeGreaterThan(1);
    for (const rest of rests) expect(rest).toMatch(/^bytes=[1-9]\d+-$/);
  });

  test.each<[string, RequestListener]>([
    ['nothing to tell by', breaking({}, [])],
    ['a weak ETag only', breaking({ etag: 'W/"v1"' }, [])],
  ])('is begun anew where the host has %s', async (_name, listener) => {
    const url = await serve(listener);
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ name: 'ResultError', retryable: true });
    expect(await filesIn(directory)).toEqual([]);
  });

  test.each<[string, (r: Parameters<RequestListener>[1], from: number) => void]>([
    ['another file', (r) => void r.writeHead(200, { etag: '"v2"' }).end(film(50_000))],
    [
      'another part, as long as the right one',
      (r, from) => {
        const part = FILM.subarray(0, FILM.length - from);
        r.writeHead(206, { 'content-range': `bytes 0-${part.length - 1}/${FILM.length}` }).end(part);
      },
    ],
    [
      'the right part of another file, from a host that does not know If-Range',
      (r, from) => {
        const headers = { etag: '"v2"', 'content-range': `bytes ${from}-${FILM.length - 1}/${FILM.length}` };
        r.writeHead(206, headers).end(Buffer.alloc(FILM.length - from));
      },
    ],
    ['no such part', (r) => void r.writeHead(416).end()],
  ])('never joins what does not belong together: %s', async (_name, second) => {
    const first = breaking({ etag: '"v1"' }, []);
    const url = await serve((q, r) => {
      const from = /\d+/.exec(q.headers.range ?? '')?.[0];
      if (from === undefined) first(q, r);
      else second(r, Number(from));
    });
    const { results, directory } = await newResults([url]);
    await expect(results.keep(resultOf(url))).rejects.toMatchObject({ name: 'ResultError', retryable: true });
    expect(await filesIn(directory)).toEqual([]);
  });
});
