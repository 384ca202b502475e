/** Results from a media host into a store: what is taken, what is refused, and what is left behind. */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, RequestListener } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { ResultAbout, StoredFile } from '../../src/contract/index.js';
import { ResultError } from '../../src/storage/index.js';
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
    let finish = (): void => undefined;
    const url = await serve((q, r) => {
      if (q.url === '/b') return void r.end(film(5_000));
      r.write(FILM.subarray(0, 10_000));
      finish = () => void r.end(FILM.subarray(10_000));
    });
    const { results, directory } = await newResults([url]);
    const slow = results.keep(resultOf(url));
    await until(async () => (await filesIn(directory)).length > 0);
    const quick = await results.keep(resultOf(`${url}/b`, { taskId: 'task_2' }));
    finish();
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

  test('appears under its name when it is whole, and not before', async () => {
    let finish = (): void => undefined;
    const url = await serve((_q, r) => {
      r.write(FILM.subarray(0, 10_000));
      finish = () => void r.end(FILM.subarray(10_000));
    });
    const { results, directory } = await newResults([url]);
    const kept = results.keep(resultOf(url));
    await until(async () => (await filesIn(directory)).length > 0);
    expect((await filesIn(directory)).filter((name) => !name.startsWith('.rivya/parts/'))).toEqual([]);
    finish();
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
    const url = await serve((_q, r) => void r.write(FILM));
    const { results, directory } = await newResults([url]);
    const cancel = new AbortController();
    const kept = results.keep(resultOf(url), { signal: cancel.signal });
    await until(async () => (await filesIn(directory)).length > 0);
    cancel.abort(new Error('cancelled'));
    await expect(kept).rejects.toThrow('aborted');
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

  test.each([{ etag: '"v1"' }, { 'last-modified': 'Sun, 01 Nov 2026 00:00:00 GMT' }])(
    'goes on where it was, where the host can tell that the file is the same: %j',
    async (headers) => {
      const asked: (string | undefined)[] = [];
      const url = await serve(breaking({ ...headers }, asked));
      const { results } = await newResults([url]);
      const file = await results.keep(resultOf(url));
      expect(file).toMatchObject({ bytes: FILM.length, sha256: sha256(FILM) });
      const [first, ...rests] = asked;
      expect(first).toBeUndefined();
      expect(rests.length).toBeGreaterThan(1);
      for (const rest of rests) expect(rest).toMatch(/^bytes=[1-9]\d+-$/);
    },
  );

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
