import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { UploadResult } from '../../src/contract/index.js';
import {
  identityOf,
  InvalidInput,
  isSameInput,
  readInput,
  referenceType,
  requestWith,
  type Reference,
} from '../../src/policy/index.js';

interface Golden {
  readonly input: unknown;
  readonly uploads: readonly (UploadResult | null)[];
  readonly body: string;
  readonly digest: string;
}
const golden = JSON.parse(readFileSync(new URL('../golden/references.json', import.meta.url), 'utf8')) as Golden[];

const SHA = 'a'.repeat(64);
const LINK = 'https://r.example/1.png?sig=x';
const stored = { taskId: 'task_1', urls: [LINK], files: [{ uri: 'file:///out/1.png', sha256: SHA, bytes: 3 }] };

function read(...references: readonly unknown[]): readonly Reference[] {
  return readInput({ model: 'sora-2', prompt: 'x', references }).references;
}

test.each(golden)('the same references give the same bytes and digest in every release: $body', (vector) => {
  const { body, references } = readInput(vector.input);
  expect(requestWith(body, references, vector.uploads)).toMatchObject({ body: vector.body, digest: vector.digest });
});

test('another upload of the same bytes changes the body and not the digest; other bytes change both', () => {
  const { input, uploads } = golden[0]!;
  const { body, references } = readInput(input);
  const of = (change: Partial<UploadResult>) => requestWith(body, references, [{ ...uploads[0]!, ...change }]);
  const again = of({ url: 'https://files.example/9', durationToken: 'dur_9', durationSeconds: 1 });
  expect(again.digest).toBe(of({}).digest);
  expect(again.body).not.toBe(of({}).body);
  expect(of({ sha256: SHA.replaceAll('a', 'd') }).digest).not.toBe(of({}).digest);
});

describe('the result of an earlier step is reduced to what finds its file', () => {
  test.each([
    ['a stored file', { from: stored }, { uri: 'file:///out/1.png', sha256: SHA }],
    ['a link', { from: { ...stored, files: [] } }, { taskId: 'task_1', file: 0, link: LINK }],
    [
      'the file that is named',
      { from: { taskId: 't', urls: ['http://a/0', 'http://a/1'] }, file: 1 },
      { taskId: 't', file: 1, link: 'http://a/1' },
    ],
    ['a file of any program', { from: { files: [{ uri: 's3://b/1.png' }] } }, { uri: 's3://b/1.png' }],
  ])('%s', (_, given, source) => expect(read({ ...given, kind: 'image' })[0]).toMatchObject({ source }));
});

test('a second start with another link of the same task is the same input, and another one where the task is another', () => {
  const same = (a: unknown, b: unknown): boolean => {
    const [one, two] = [a, b].map((reference) => readInput({ model: 'sora-2', prompt: 'x', references: [reference] }));
    return isSameInput(identityOf(one!), identityOf(two!));
  };
  const from = (link: string, taskId = 't') => ({ from: { taskId, urls: [link] }, kind: 'image' });
  expect(same(from(LINK), from(`${LINK}2`))).toBe(true);
  expect(same(from(LINK), from(LINK, 'u'))).toBe(false);
  expect(same({ path: '/a', kind: 'image' }, { path: '/b', kind: 'image' })).toBe(false);
  expect(same({ path: '/a', kind: 'image' }, { path: '/a', kind: 'image' })).toBe(true);
});

describe('a wrong reference is refused by the name of its field, and no address of it is said', () => {
  const image = { kind: 'image' };
  test.each<[string, unknown, string]>([
    ['no list', {}, 'references'],
    ['too many', Array.from({ length: 21 }, () => ({ url: LINK, kind: 'image' })), 'references'],
    ['no object', ['a.png'], 'references[0]'],
    ['no source', [image], 'references[0]'],
    ['two sources', [{ ...image, url: LINK, path: '/a' }], 'references[0]'],
    ['an unknown field', [{ ...image, url: LINK, size: 1 }], 'references[0].size'],
    ['no kind', [{ url: LINK }], 'references[0].kind'],
    ['another kind', [{ url: LINK, kind: 'text' }], 'references[0].kind'],
    ['a relative path', [{ ...image, path: 'a.png' }], 'references[0].path'],
    ['a NUL in a path', [{ ...image, path: '/a\0.png' }], 'references[0].path'],
    ['plain HTTP', [{ ...image, url: 'http://a.example/1.png?sig=x' }], 'references[0].url'],
    ['no URL', [{ ...image, url: 'a.png' }], 'references[0].url'],
    ['credentials', [{ ...image, url: 'https://me:sig@a.example/1.png' }], 'references[0].url'],
    ['a web address as store URI', [{ ...image, uri: LINK }], 'references[0].uri'],
    ['no URI', [{ ...image, uri: 'a.png' }], 'references[0].uri'],
    ['file without from', [{ ...image, url: LINK, file: 1 }], 'references[0].file'],
    ['a file that the result has not', [{ ...image, from: stored, file: 1 }], 'references[0].from'],
    ['a file before the first', [{ ...image, from: stored, file: -1 }], 'references[0].file'],
    ['a result of nothing', [{ ...image, from: { taskId: 't', urls: [] } }], 'references[0].from'],
    [
      'a digest that is none',
      [{ ...image, from: { files: [{ uri: 'file:/a', sha256: '../x' }] } }],
      'references[0].from.files[0].sha256',
    ],
    ['a media type that is none', [{ ...image, url: LINK, mimeType: 'png' }], 'references[0].mimeType'],
    ['a duration of nothing', [{ ...image, url: LINK, durationSeconds: 0 }], 'references[0].durationSeconds'],
    ['a token for an upload of ours', [{ ...image, path: '/a', durationToken: 't' }], 'references[0].durationToken'],
    ['a name that is too long', [{ ...image, url: LINK, name: 'n'.repeat(256) }], 'references[0].name'],
  ])('%s', (_, references, field) => {
    let refused: unknown = null;
    try {
      readInput({ model: 'sora-2', prompt: 'x', references });
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(InvalidInput);
    expect(refused).toMatchObject({ field, message: expect.not.stringContaining('sig') });
  });

  test('references and the params that they fill', () => {
    const params = { referenceMediaItems: [] };
    const input = { model: 'sora-2', params, references: [{ url: LINK, kind: 'image' }] };
    expect(() => readInput(input)).toThrow(/^params\.referenceMediaItems: /);
    expect(() => readInput({ model: 'sora-2', params })).not.toThrow();
  });
});

test('null counts as left out, and no reference changes no byte of the body', () => {
  expect(read({ url: LINK, kind: 'image', name: null, path: null, durationToken: null })).toHaveLength(1);
  const plain = readInput({ model: 'z-image', prompt: 'x' }).body;
  expect(readInput({ model: 'z-image', prompt: 'x', references: [] }).body).toBe(plain);
  expect(readInput({ model: 'z-image', references: [{ url: LINK, kind: 'image' }] }).body).toBe('{"model":"z-image"}');
});

test.each([
  ['audio/mpeg', null, { type: 'audio/mpeg' }],
  // First bytes that say nothing: the caller does.
  [null, 'audio/mp3', { type: 'audio/mpeg' }],
  [null, null, { problem: expect.stringContaining('is no file of a known type') }],
  [null, 'audio/pcm', { problem: expect.stringContaining('is audio/pcm; for audio the API takes audio/mpeg') }],
  ['text/html', 'audio/mpeg', { problem: expect.stringContaining('is text/html; for audio') }],
  ['audio/wav', 'audio/mpeg', { problem: expect.stringContaining('is audio/wav, not audio/mpeg') }],
])('audio that begins like %s and is given as %s', (seen, said, judged) => {
  expect(referenceType('audio', seen, said)).toEqual(judged);
});
