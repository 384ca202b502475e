/** Tables, downloads and the report of a batch, from the records in its store alone. */
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { describe, expect, onTestFinished, test } from 'vitest';
import { barsOf } from '../../src/batch/chart.js';
import { download, namesOfStore, type Download } from '../../src/batch/download.js';
import { BatchFiles } from '../../src/batch/files.js';
import { reportOf, type ReportAbout } from '../../src/batch/report.js';
import { creditsOf, rowsOf, writeResults } from '../../src/batch/results.js';
import { FileStore } from '../../src/storage/index.js';
import { madeBatch, type Made } from './made.js';

const png = Buffer.from('89504e470d0a1a0a', 'hex');
const failed = {
  status: 'failed',
  finalCredits: 0,
  error: { code: 'GenerationFailed', message: 'The task failed.', action: 'Start it again.' },
} as const;

async function tables({ store, files, manifest, directory }: Made) {
  await writeResults(store, files, manifest, 'rivya-temporal batch retry b');
  const text = await readFile(path.join(directory, 'spring', 'results.csv'), 'utf8');
  const lines = (await readFile(path.join(directory, 'spring', 'results.jsonl'), 'utf8')).trimEnd().split('\n');
  return {
    text,
    rows: parse(text, { columns: true }) as unknown as Record<string, string>[],
    objects: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('the tables', () => {
  test('every item stands in them exactly once, in the order of the input, also 1,200 of them', async () => {
    const ids = Array.from({ length: 1_200 }, (_, n) => `item-${(n * 7) % 1_200}`);
    const made = await madeBatch(ids.map((id, n) => ({ id, ...(n % 100 === 0 && { outcome: {} }) })));
    const { rows, objects } = await tables(made);
    expect(rows.map(({ id }) => id)).toEqual(ids);
    expect(objects.map(({ id }) => id)).toEqual(ids);
    expect(rows.filter(({ status }) => status === 'succeeded')).toHaveLength(12);
    expect(rows.filter(({ status }) => status === 'unfinished')).toHaveLength(1_188);
  });

  test('carry all columns of the input, the path, credits, status and error', async () => {
    const made = await madeBatch(
      [
        {
          id: 'fox',
          carried: { sku: 'A-1', status: 'new' },
          results: { png, mp4: png },
          outcome: { finalCredits: 2.5 },
        },
        { id: 'owl', carried: { sku: 'A-2' }, outcome: failed },
      ],
      { columns: ['sku', 'status'] },
    );
    const { rows, objects } = await tables(made);
    expect(rows).toMatchObject([
      {
        id: 'fox',
        sku: 'A-1',
        'input.status': 'new',
        status: 'succeeded',
        credits: '2.5',
        path: 'fox/1.png | fox/2.mp4',
      },
      {
        id: 'owl',
        sku: 'A-2',
        'input.status': '',
        status: 'failed',
        credits: '0',
        path: '',
        error: 'GenerationFailed',
      },
    ]);
    expect(objects[0]).toMatchObject({ prompt: 'a picture of fox', carried: { sku: 'A-1' }, credits: 2.5 });
    expect(objects[0]).toMatchObject({ files: [{ path: 'fox/1.png', bytes: 8 }, { path: 'fox/2.mp4' }] });
    expect(objects[1]).toMatchObject({ error: { code: 'GenerationFailed' }, files: [] });
  });

  test('hold no formula that a spreadsheet would run, and keep quotes, lines and commas', async () => {
    const prompt = '=HYPERLINK("http://evil.example","a, b")\nline two';
    const made = await madeBatch([{ id: 'fox', input: { prompt }, carried: { note: '@SUM(A1)', x: '-1.5' } }], {
      columns: ['note', 'x'],
    });
    const { rows, objects } = await tables(made);
    expect(rows[0]).toMatchObject({ prompt: `'${prompt}`, note: `'@SUM(A1)`, x: '-1.5' });
    expect(objects[0]).toMatchObject({ prompt });
  });

  test('the record of an item that was edited since is not taken for the new one', async () => {
    const made = await madeBatch([{ id: 'fox', outcome: { workflowId: 'spring/fox@0123456789ab' } }]);
    const { rows } = await tables(made);
    expect(rows).toMatchObject([
      { status: 'unfinished', credits: '' },
      { status: 'gone', credits: '1', workflow_id: 'spring/fox@0123456789ab' },
    ]);
  });

  test('what an item cost: reserved credits count until its task has ended, and so do earlier attempts', async () => {
    const outcome = { status: 'cancelled', taskStatus: 'processing', reservedCredits: 4, finalCredits: 0 } as const;
    const { files } = await madeBatch([{ id: 'a', outcome }]);
    const record = (await files.outcome('spring/a'))!;
    expect(creditsOf(record)).toBe(4);
    expect(creditsOf({ ...record, taskStatus: 'failed' })).toBe(0);
    expect(creditsOf({ ...record, taskStatus: 'failed', earlierCredits: 2.5 })).toBe(2.5);
    expect(creditsOf({ ...record, reservedCredits: null, finalCredits: null })).toBeNull();
    const unresolved = { ...failed.error, code: 'SubmitUnresolved' };
    const unanswered = { taskId: null, reservedCredits: null, finalCredits: null, error: unresolved };
    expect(creditsOf({ ...record, ...unanswered })).toBeNull();
    expect(creditsOf({ ...record, ...unanswered, error: failed.error })).toBe(0);
    expect(creditsOf(null)).toBeNull();
  });
});

describe('download', () => {
  async function folder(): Promise<string> {
    const made = await mkdtemp(path.join(tmpdir(), 'rivya-download-'));
    onTestFinished(() => rm(made, { recursive: true }));
    return made;
  }
  async function run({ store, files, manifest }: Made, directory: string, signal = new AbortController().signal) {
    const all: Download[] = [];
    const options = { directory, nameOf: namesOfStore('spring'), signal };
    for await (const one of download(store, 'spring', rowsOf(files, manifest), options)) all.push(one);
    return all;
  }
  const two = [
    { id: 'fox', results: { png } },
    { id: 'owl', results: { png: Buffer.from('owl') } },
  ];

  test('copies each file once: what is there and whole is passed over, what is not is copied', async () => {
    const made = await madeBatch(two);
    const here = await folder();
    expect((await run(made, here)).map(({ outcome }) => outcome)).toEqual(['copied', 'copied']);
    expect(await readFile(path.join(here, 'owl', '1.png'), 'utf8')).toBe('owl');
    await rm(path.join(here, 'owl', '1.png'));
    expect((await run(made, here)).map(({ outcome }) => outcome)).toEqual(['there', 'copied']);
  });

  test('never replaces a file of another content, and names a file of the store that has changed', async () => {
    const made = await madeBatch(two);
    const here = await folder();
    await run(made, here);
    await writeFile(path.join(here, 'fox', '1.png'), 'mine');
    await rm(path.join(here, 'owl', '1.png'));
    await writeFile(path.join(made.directory, 'spring', 'owl', '1.png'), 'broken');
    const [fox, owl] = await run(made, here);
    expect(fox?.outcome).toMatchObject({ problem: expect.stringContaining('is not replaced') });
    expect(owl?.outcome).toMatchObject({ problem: expect.stringContaining('SHA-256') });
    expect(await readFile(path.join(here, 'fox', '1.png'), 'utf8')).toBe('mine');
    // Nothing half-written is left.
    expect(await readdir(path.join(here, 'owl'))).toEqual([]);
  });

  test('finds the files of a store that was moved', async () => {
    const made = await madeBatch(two);
    const moved = `${made.directory} moved`;
    await rename(made.directory, moved);
    const store = new FileStore(`file:${moved}`);
    const all = await run({ ...made, store, files: new BatchFiles(store, 'spring') }, await folder());
    expect(all.map(({ outcome }) => outcome)).toEqual(['copied', 'copied']);
  });

  test('an interruption leaves whole files only', async () => {
    const made = await madeBatch(two);
    const here = await folder();
    expect(await run(made, here, AbortSignal.abort())).toEqual([]);
    expect(await readdir(here)).toEqual([]);
  });
});

describe('the report', () => {
  async function page({ files, manifest }: Made, more: Partial<ReportAbout> = {}): Promise<string> {
    const about: ReportAbout = {
      manifest,
      balance: null,
      hrefOf: ({ uri }) => uri.split('/').slice(-2).join('/'),
      linkOf: (id) => `http://ui/${encodeURIComponent(id)}`,
      tables: {},
      retry: 'rivya-temporal batch retry spring',
      madeAt: new Date(),
      ...more,
    };
    let html = '';
    for await (const piece of reportOf(rowsOf(files, manifest), about)) html += piece;
    return html;
  }

  test('escapes what comes from outside, wherever it stands', async () => {
    const evil = `</p><script>alert(1)</script>"'><img src=x onerror=alert(2)>`;
    const made = await madeBatch(
      [
        { id: 'fox', input: { prompt: evil, params: { a: evil } }, carried: { [evil]: evil }, results: { png } },
        {
          id: 'owl',
          input: { prompt: evil },
          outcome: { ...failed, taskId: evil, finalCredits: 1, error: { code: evil, message: evil, action: evil } },
        },
        { id: 'cat', outcome: { urls: ['javascript:alert(3)', `https://x.example/${evil}`] } },
      ],
      { columns: [evil] },
    );
    const html = await page(made, { linkOf: () => evil, hrefOf: () => evil, tables: { [evil]: evil } });
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(html).not.toMatch(/<img src=x|javascript:|="[^"]*'>/);
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  });

  test('says how much of what the account lost is explained, and lists what failed and was charged', async () => {
    const made = await madeBatch([
      { id: 'fox', outcome: { finalCredits: 3 } },
      { id: 'owl', outcome: { ...failed, finalCredits: 2 } },
    ]);
    const at = '2026-05-10T10:00:00.000Z';
    const html = await page(made, { balance: { before: { at, credits: 100 }, last: { at, credits: 93 } } });
    expect(html).toMatch(/fell by <b>7<\/b>.*explain <b>5<\/b> credits. <b class="warn">2<\/b> are left over/);
    expect(html).toMatch(/id="charged">.*task-owl.*key-owl/);
    expect(html).toMatch(/id="failures">.*GenerationFailed.*Start it again/);
  });

  test('lists an attempt that failed and was charged, also where a later one succeeded', async () => {
    const earlier = { attempts: 3, earlierCredits: 4, earlierTasks: { 'task-charged': 4, 'task-given-back': 0 } };
    const html = await page(await madeBatch([{ id: 'fox', outcome: earlier }]));
    expect(html).toMatch(/One task failed and cost 4 credits.*id="charged">.*task-charged.*fox/);
    expect(html).not.toContain('task-given-back');
  });

  test('explains what was paid for items that have left the input', async () => {
    const made = await madeBatch([{ id: 'fox', outcome: { finalCredits: 3 } }]);
    await made.files.writeOutcome({
      ...(await made.files.outcome('spring/fox'))!,
      itemId: 'owl',
      workflowId: 'spring/owl',
    });
    const html = await page(made);
    expect(html).toMatch(/explain <b>6<\/b> credits.*not in the input any more: 1; they cost 3 of/);
    expect(html.match(/<article/g)).toHaveLength(1);
  });

  test('shows so many items and says where the others are', async () => {
    const made = await madeBatch(Array.from({ length: 5 }, (_, n) => ({ id: `i${n}`, outcome: {} })));
    const html = await page(made, { galleryItems: 2 });
    expect(html.match(/<article/g)).toHaveLength(2);
    expect(html).toContain('the first 2 of 5 that ended; all of them are in results.csv');
  });

  test('bars of the rate count each end once, at most 60 of them', () => {
    const start = Date.UTC(2026, 0, 1);
    const ends = Array.from({ length: 1_000 }, (_, n) => start + n * 61_000);
    const { bars, minutes } = barsOf(start, ends);
    expect(bars.length).toBeLessThanOrEqual(60);
    expect(minutes).toBe(30);
    expect(bars.reduce((sum, { items }) => sum + items, 0)).toBe(1_000);
  });
});
