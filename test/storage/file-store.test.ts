import { mkdtemp, readFile, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FileStore, openStore, resultName, StoreSettingError } from '../../src/storage/index.js';
import { filesIn } from './media-server.js';

let directory: string;
let store: FileStore;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-store-'));
  store = new FileStore(`file:${directory}`);
});

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<string> {
  const read: Uint8Array[] = [];
  for await (const chunk of body) read.push(chunk);
  return Buffer.concat(read).toString();
}

describe('a directory', () => {
  test('gives back what was put, by its URI, and replaces it under the same name', async () => {
    const { uri } = await store.put('a b/1.bin', chunks('one', 'two'));
    expect(uri).toBe(pathToFileURL(path.join(directory, 'a b/1.bin')).href);
    await store.put('a b/1.bin', chunks('three'));
    const found = await store.open(uri);
    expect(found?.bytes).toBe(5);
    expect(await readAll(found!.body)).toBe('three');
    expect(await filesIn(directory)).toEqual(['a b/1.bin']);
  });

  test('keeps nothing of a stream that breaks, and hands its error on', async () => {
    const broken = new Error('broken');
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half');
      throw broken;
    }
    await expect(store.put('a/1', breaking())).rejects.toBe(broken);
    expect(await filesIn(directory)).toEqual([]);
  });

  test('has nothing under a name that was never put', async () => {
    expect(await store.open(pathToFileURL(path.join(directory, 'none')).href)).toBeNull();
    expect(await store.read('none')).toBeNull();
    expect(await store.list('none')).toEqual([]);
  });

  test.each(['file:///etc/passwd', 's3://bucket/a', 'nonsense', ''])('opens nothing outside of it: %s', async (uri) => {
    await expect(store.open(uri)).rejects.toThrow(StoreSettingError);
  });

  test('opens nothing outside of it by a way out', async () => {
    for (const way of ['/../x', '/%2e%2e/x', '/a/../../x', '-other/x', '/a%2f..%2f..%2fx', '']) {
      await expect(store.open(`file://${directory}${way}`), way).rejects.toThrow(StoreSettingError);
    }
  });

  test.each(['../x', 'a/../../x', '/etc/x', 'a//b', '', '.', 'a\0b', String.raw`..\x`, 'x'.repeat(256)])(
    'takes no name that leaves it: %j',
    async (name) => {
      await expect(store.put(name, chunks('x'))).rejects.toThrow(TypeError);
      await expect(store.write(name, 'x')).rejects.toThrow(TypeError);
      await expect(store.read(name)).rejects.toThrow(TypeError);
      expect(await filesIn(directory)).toEqual([]);
    },
  );

  test('that is damaged needs a person, and says why', async () => {
    await writeFile(path.join(directory, 'job'), '');
    await expect(store.put('job/1.png', chunks('x'))).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: `The store file:${directory} cannot be written: a file is where a directory should be (EEXIST).`,
      retryable: false,
    });
  });

  test('loses the parts that killed processes left behind, when they are a day old and not before', async () => {
    await store.probe();
    const [old, young] = ['old', 'young'].map((name) => path.join(directory, '.rivya/parts', name));
    await writeFile(old!, 'x');
    await writeFile(young!, 'x');
    const yesterday = Date.now() / 1_000 - 25 * 3_600;
    await utimes(old!, yesterday, yesterday);
    await store.probe();
    expect(await filesIn(directory)).toEqual(['.rivya/parts/young']);
  });
});

describe('a store address', () => {
  test.each(['ftp://x', 's4:bucket', 'output', ''])('of an unknown kind is refused: %s', (address) => {
    expect(() => openStore(address)).toThrow(StoreSettingError);
  });

  test('with a host in it says how a directory is written', () => {
    expect(() => openStore('file://output')).toThrow(
      new StoreSettingError('file://output is not the URL of a directory: write file:./output or file:///data/output'),
    );
  });

  test('that cannot be written is found by the probe', async () => {
    const file = fileURLToPath(import.meta.url);
    await expect(new FileStore(`file:${file}/below`).probe()).rejects.toThrow('below cannot be written (ENOTDIR)');
  });
});

describe('a name', () => {
  test('is readable where it can be', () => {
    expect(resultName({ workflowId: 'hero-video' }, 1)).toBe('hero-video/1');
    // A step lies in the folder of its parent.
    expect(resultName({ workflowId: 'hero/draft' }, 3)).toBe('hero/draft/3');
    expect(resultName({ workflowId: 'Hero/été' }, 1)).toMatch(/^Hero-[0-9a-f]{12}\/t--[0-9a-f]{12}\/1$/);
  });

  test('never leaves the store and never meets another', () => {
    const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(id, id, (a, b) => {
        const nameOf = (workflowId: string): string => resultName({ workflowId }, 1);
        const full = path.resolve('/store', nameOf(a));
        expect(full.startsWith('/store/')).toBe(true);
        expect(full.split('/')).toHaveLength(3 + a.split('/').length);
        expect(full.split('/').every((part) => Buffer.byteLength(part) <= 200)).toBe(true);
        if (a !== b && a.isWellFormed() && b.isWellFormed()) expect(nameOf(a)).not.toBe(nameOf(b));
      }),
    );
  });

  test('of whatever Workflow and step is one that the store takes', async () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 120 }),
      fc.constantFrom('..', '.', 'CON', ''),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 3 }), async (parts) => {
        const name = resultName({ workflowId: parts.join('/') }, 1);
        const { uri } = await store.put(name, chunks('x'));
        expect(fileURLToPath(uri)).toBe(path.join(directory, name));
        expect(await readFile(fileURLToPath(uri), 'utf8')).toBe('x');
      }),
      { numRuns: 30 },
    );
  });
});
