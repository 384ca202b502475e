import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  isTaskId,
  keyFile,
  parseBaseUrl,
  parseHttpDate,
  parseRetryAfter,
  Secret,
  staticKey,
} from '../../src/api/index.js';
import { creditsSchema, modelListSchema, taskSchema } from '../../src/api/schemas.js';
import { scrub } from '../../src/api/secret.js';

const NOW = Date.UTC(1994, 10, 6, 8, 49, 37);

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['1.5', 1_500],
    ['0.0001', 1],
    ['-5', 0],
    ['31536000', 31_536_000_000],
    ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
    ['Sun, 06 Nov 1994 08:49:47 GMT', 10_000],
    ['Sunday, 06-Nov-94 08:49:47 GMT', 10_000],
    ['Sun Nov  6 08:49:47 1994', 10_000],
    ['Sun, 06 Nov 1994 08:49:00 GMT', 0],
  ])('%j asks for %d ms', (value, ms) => expect(parseRetryAfter(value, NOW)).toBe(ms));

  it.each([
    null,
    '',
    'soon',
    'next 5',
    '1e3',
    '0x10',
    '.5',
    '5 s',
    'Infinity',
    '2020-01-01',
    'Sun, 99 Nov 1994 08:49:47 GMT',
  ])('%j asks for nothing', (value) => expect(parseRetryAfter(value, NOW)).toBeNull());

  it('is never negative, fractional or infinite, whatever the header says', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String)), (value) => {
        const ms = parseRetryAfter(value, NOW);
        expect(ms === null || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
      }),
    );
  });

  it('reads back every date that HTTP can write', () => {
    const seconds = fc.integer({ min: 0, max: 4_102_444_800 });
    fc.assert(
      fc.property(seconds, (s) => {
        expect(parseHttpDate(new Date(s * 1_000).toUTCString())).toBe(s * 1_000);
      }),
    );
  });
});

describe('Secret', () => {
  it('shows itself in no form but reveal()', () => {
    const secret = new Secret('rvya_sk_abc');
    const shown = [String(secret), JSON.stringify({ secret }), inspect({ secret }, { depth: 9, showHidden: true })];
    expect(shown.join('\n')).not.toContain('abc');
    // oxlint-disable-next-line typescript/restrict-template-expressions -- this is the mistake it must survive
    expect(`${secret}`).toBe('[redacted]');
    expect(secret.reveal()).toBe('rvya_sk_abc');
  });

  it('has a fingerprint that is short, stable and different for another key', () => {
    expect(new Secret('rvya_sk_abc').fingerprint()).toMatch(/^[0-9a-f]{12}$/);
    expect(new Secret('rvya_sk_abc').fingerprint()).toBe('5ed911ac1fd5');
    expect(new Secret('rvya_sk_abd').fingerprint()).not.toBe(new Secret('rvya_sk_abc').fingerprint());
  });

  it('is taken out of a text wherever it stands, also percent-encoded, and older Rivya keys with it', () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
      minLength: 12,
    });
    fc.assert(
      fc.property(visible, fc.string(), fc.string(), (value, before, after) => {
        const text = scrub(`${before}${value}${after} ${encodeURIComponent(value)}`, new Secret(value));
        expect(text).not.toContain(value);
        expect(text).not.toContain(encodeURIComponent(value));
      }),
    );
    expect(scrub('old rvya_sk_live_1234, yes', null)).toBe('old [redacted], yes');
  });

  it('is taken out in the forms that servers and libraries make of it, and in pieces of 12 characters', () => {
    const value = `S3c"r\\3t'(.*)+[^a]$&$1|{2}<b>%41/~`;
    const secret = new Secret(value);
    for (const [form, rest = ''] of [
      [value.slice(0, 12), '…'],
      [value.slice(-12)],
      [encodeURIComponent(value).toLowerCase().replace('s3c', 'S3c')],
      [JSON.stringify(value).slice(1, -1)],
      ['S3c&quot;r\\3t&#39;(.*)+[^a]$&amp;$1|{2}&lt;b&gt;%41/~'],
    ]) {
      expect(scrub(`sent: ${form}${rest}`, secret)).toBe(`sent: [redacted]${rest}`);
    }
    for (const text of [value, `Bearer ${value}`, `user:${value}`]) {
      for (const encoding of ['base64', 'base64url'] as const) {
        const said = scrub(Buffer.from(text).toString(encoding), secret);
        expect(said).toContain('[redacted]');
        // The bytes before it stay, and at most two letters of the key beside them.
        const left = Buffer.from(said.split('[redacted]')[0]!, encoding).toString();
        expect(left.length).toBeLessThanOrEqual(text.length - value.length + 2);
      }
    }
    expect(scrub('its start S3c"r\\3t alone tells little', secret)).toContain('S3c"r\\3t alone');
  });

  it('that is short is taken out whole, and a shorter one is none', () => {
    expect(scrub('with k$1.*x+Z, and k$1.*x+', new Secret('k$1.*x+Z'))).toBe('with [redacted], and k$1.*x+');
    expect(scrub('a valid key', new Secret('valid'))).toBe('a valid key');
  });
});

describe('key sources', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rivya-key-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('a fixed key is trimmed, and an empty one is no key', async () => {
    expect((await staticKey(' rvya_sk_a\n').current())?.reveal()).toBe('rvya_sk_a');
    expect(await staticKey(' \n').current()).toBeNull();
  });

  it.each(['rvya sk', 'rvya\nsk', 'rvya\u0000', 'schlüssel'])(
    'a key that no header can carry is refused unseen: %j',
    (value) => {
      const error = (() => {
        try {
          return staticKey(value);
        } catch (caught) {
          return caught;
        }
      })();
      expect(error).toMatchObject({ code: 'api_key_invalid', outcome: 'refused' });
      expect(inspect(error)).not.toContain(value);
    },
  );

  it('a rotated key is used after a minute, or at once after a refresh', async () => {
    const path = join(directory, 'key');
    let time = 5;
    const source = keyFile(path, { now: () => time });
    const key = async () => (await source.current())?.reveal() ?? null;
    expect(await key()).toBeNull();
    await writeFile(path, 'one\n');
    expect(await key()).toBe('one');
    await writeFile(path, 'two');
    time += 59_999;
    expect(await key()).toBe('one');
    time += 1;
    expect(await key()).toBe('two');
    await writeFile(path, 'three');
    expect((await source.refresh())?.reveal()).toBe('three');
    expect(await key()).toBe('three');
  });

  it('a file that is empty or missing while it is replaced keeps the last key', async () => {
    const path = join(directory, 'key');
    await writeFile(path, 'one');
    const source = keyFile(path);
    expect((await source.current())?.reveal()).toBe('one');
    await writeFile(path, ' \n');
    expect((await source.refresh())?.reveal()).toBe('one');
    await rm(path);
    expect((await source.refresh())?.reveal()).toBe('one');
  });

  it('a file that cannot be read is named, as a missing key', async () => {
    await expect(keyFile(directory).current()).rejects.toMatchObject({ code: 'api_key_missing', outcome: 'refused' });
    await expect(keyFile(directory).current()).rejects.toThrow(directory);
  });

  it('a file with a broken key is named, without the key', async () => {
    const path = join(directory, 'key');
    await writeFile(path, 'rvya_sk_a b');
    await expect(keyFile(path).current()).rejects.toMatchObject({ code: 'api_key_invalid', outcome: 'refused' });
    await expect(keyFile(path).current()).rejects.not.toThrow('rvya_sk_a b');
  });
});

describe('base URL', () => {
  it.each([
    'https://rivya.ai',
    'https://gateway.example/rivya/',
    'http://localhost:1',
    'http://127.0.0.9:8080',
    'http://[::1]:80',
  ])('takes %s', (value) => expect(parseBaseUrl(value).href).toContain('://'));
  it.each([
    'rivya.ai',
    '',
    'http://rivya.ai',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://10.0.0.1',
    'ftp://localhost',
    'https://user:hunter2@rivya.ai',
    'https://hunter2@rivya.ai',
    'https://rivya.ai/?k=hunter2',
    'https://rivya.ai/#hunter2',
    'https://rivya.ai?',
  ])('refuses %s without repeating it', (value) => {
    expect(() => parseBaseUrl(value)).toThrow(expect.objectContaining({ name: 'InvalidAddress' }));
    expect(() => parseBaseUrl(value)).not.toThrow('hunter2');
  });
});

describe('what comes back', () => {
  const odd = fc.oneof(fc.anything(), fc.constant(Number.NaN), fc.constant(-1), fc.constant('1'));

  it('only the ID decides: any other field may be missing or of any type (P2: a task ID is never lost)', () => {
    const fields = [
      'status',
      'model',
      'reserved_credits',
      'final_credits',
      'created_at',
      'updated_at',
      'result',
      'error',
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...fields), odd), (rest) => {
        const task = taskSchema.parse({ ...rest, id: 'task_1', surprise: 1 });
        expect(task.id).toBe('task_1');
        for (const n of [task.reservedCredits, task.finalCredits]) expect(n === null || n >= 0).toBe(true);
        expect(task.urls.every((url) => typeof url === 'string')).toBe(true);
        expect(task).not.toHaveProperty('surprise');
      }),
    );
  });

  it.each([
    [{ primary_url: 'https://m.example/a.png', urls: ['https://m.example/a.png', 'https://m.example/b.png'] }, 2],
    [{ primary_url: 'https://m.example/a.png' }, 1],
    [{ primary_url: 'https://m.example/a.png', urls: null }, 1],
    [{ primary_url: 'https://m.example/a.png', urls: [] }, 1],
    [{ urls: ['http://m.example/a', 'javascript:alert(1)', 'file:///etc/passwd', 'data:,x', '/a.png', 7, null] }, 1],
    [{ primary_url: 'ftp://m.example/a' }, 0],
    [{}, 0],
    [null, 0],
    ['https://m.example/a.png', 0],
  ])('result %j has %d links', (result, links) => {
    expect(taskSchema.parse({ id: 't', status: 'succeeded', result }).urls).toHaveLength(links);
  });

  it('a task that failed without an error object, or with half of one, is still read', () => {
    expect(taskSchema.parse({ id: 't', status: 'failed', error: null }).error).toBeNull();
    expect(taskSchema.parse({ id: 't', status: 'failed', error: { code: 'x' } }).error).toEqual({
      code: 'x',
      message: null,
    });
    expect(taskSchema.parse({ id: 't', status: 'failed', error: 'boom' }).error).toBeNull();
  });

  it.each([
    ['words', { model: 'x'.repeat(1e6) }],
    ['an error', { error: { code: '🦊'.repeat(2e5), message: 'x'.repeat(1e5) } }],
    ['a status', { status: 'x'.repeat(1e6) }],
    ['a time', { created_at: `2026-05-10T00:00:00.${'0'.repeat(1e6)}Z` }],
    ['a link', { result: { primary_url: `https://media.example/${'x'.repeat(1e6)}` } }],
    ['links', { result: { urls: Array.from({ length: 1e5 }, (_, n) => `http://a/${n}`) } }],
    [
      'links of wide characters',
      { result: { urls: Array.from({ length: 100 }, () => `http://a/${'狐'.repeat(3e3)}`) } },
    ],
  ])('a task with %s as long as a reply is cut to what a history can carry (P2: nothing stands still)', (_, fields) => {
    const task = taskSchema.parse({ id: 'task_1', ...fields });
    expect(task.id).toBe('task_1');
    expect(Buffer.byteLength(JSON.stringify(task))).toBeLessThan(300_000);
    expect(task.urls.length).toBeLessThan(600);
    expect(task.error?.code?.isWellFormed()).not.toBe(false);
  });

  it('signed links, and many files, are not cut', () => {
    const urls = Array.from({ length: 60 }, (_, n) => `https://media.example/${n}?signature=${'x'.repeat(3_000)}`);
    expect(taskSchema.parse({ id: 'task_1', result: { urls } }).urls).toEqual(urls);
  });

  it('a time without a zone is dropped, because it would be read in the zone of the Worker', () => {
    expect(taskSchema.parse({ id: 't', created_at: '2026-05-10T00:00:00' }).createdAt).toBeNull();
    expect(taskSchema.parse({ id: 't', created_at: '2026-05-10T00:00:00+02:00' }).createdAt).not.toBeNull();
  });

  it('an ID that could change the path of a request is refused', () => {
    for (const id of ['', '.', '..', 'a\nb', 'a\u0000', '\ud800', 'x'.repeat(257)]) {
      expect([id, isTaskId(id)]).toEqual([id, false]);
      expect([id, taskSchema.safeParse({ id }).success]).toEqual([id, false]);
    }
  });

  it('a model that cannot be read does not hide the others', () => {
    const data = [null, { id: 7 }, { id: 'a', category: 'image', base_credits: 'free', surprise: 1 }, 'x', { id: 'b' }];
    const { models, whole } = modelListSchema.parse({ object: 'list', data });
    expect(whole).toBe(false);
    expect(models.map((model) => [model.id, model.kind, model.baseCredits])).toEqual([
      ['a', 'image', null],
      ['b', null, null],
    ]);
  });

  it.each<[object, boolean]>([
    [{}, true],
    [{ has_more: false, next: null }, true],
    [{ has_more: true }, false],
    [{ next_cursor: 'abc' }, false],
    [{ next_page: 2 }, false],
  ])('a list of models that says %j is whole: %s', (more, whole) => {
    expect(modelListSchema.parse({ data: [{ id: 'a' }], ...more })).toMatchObject({ whole, models: [{ id: 'a' }] });
  });

  it.each([0, -1, '20', null])('a longest prompt of %j is no limit', (length) => {
    const { models } = modelListSchema.parse({ data: [{ id: 'a', max_prompt_length: length }] });
    expect(models).toMatchObject([{ id: 'a', maxPromptLength: null }]);
  });

  it('params of a model are read by key, or by a name that can only be the key; one with neither leaves all unknown', () => {
    const paramsOf = (params: unknown): unknown =>
      modelListSchema.parse({ data: [{ id: 'a', params }] }).models[0]?.params;
    const size = { type: 'select', required: true, default: 's', options: ['s', { label: 'Large', value: 'l' }] };
    const read = { ...size, name: 'size', min: null, max: null, options: ['s', 'l'] };
    expect(paramsOf([{ key: 'size', name: 'Size', ...size }])).toEqual([read]);
    expect(paramsOf([{ name: 'size', ...size, min: 'x' }])).toEqual([read]);
    expect(paramsOf([{ name: 'size', ...size, options: [['s']] }])).toMatchObject([{ name: 'size', options: null }]);
    const forPeople = [
      { name: 'Aspect ratio' },
      { name: 'Seed' },
      ...['id', 'param', 'slug'].map((field) => ({ [field]: 'seed', name: 'seed' })),
    ];
    for (const unread of [...forPeople, { label: 'Seed' }]) expect(paramsOf([{ key: 'size' }, unread])).toBeNull();
    for (const unread of [['size'], { size }, 7]) expect(paramsOf(unread)).toBeNull();
    expect(paramsOf([])).toEqual([]);
  });

  it.each([{}, { current_credits: 'many' }, { current_credits: -1 }])(
    'credits %j are unknown, not an error',
    (body) => {
      expect(creditsSchema.parse(body).currentCredits).toBeNull();
    },
  );
});
