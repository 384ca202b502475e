import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Store, StoredObject } from '../storage/index.js';

/** One promise of a store, for a test of any runner. */
export interface StoreCase {
  readonly name: string;
  /** Rejects where the store breaks the promise. */
  readonly run: () => Promise<void>;
}

export interface StoreContractOptions {
  /**
   * Bytes of the largest object, 20 MiB by default. Make it more than your store sends in one piece.
   */
  readonly bigBytes?: number;
}

const MIB = 1024 * 1024;
// Parts of names that this package makes of IDs have 113 characters, and an ending or a beginning of their own.
const LONGEST_PART = 130;
// A thousand files, one after the other, are slow where each has a round trip.
const WRITES_AT_ONCE = 50;
// All that a name may hold: letters of any script, and what means something in URLs, XML, shells and globs.
const ODD_NAMES = [
  'with space',
  'a+b',
  '100%',
  '%2F',
  'a#b?c',
  `quote's "it"`,
  '<&>;',
  'naïve-日本-🎬',
  '...',
  '[*]',
  '~',
];
const WRONG_NAMES = ['', '/', '/absolute', '.', '..', '../up', 'a/../../up', 'a//b', 'a/', 'nul\0', 'back\\slash'];

/**
 * What this package relies on in a {@link Store}: run each case as a test of your own.
 *
 * @example
 * for (const { name, run } of storeContract(() => openMyStore())) test(name, run);
 * @param open - Opens your store. It may give the same one each time: each case keeps to a folder of its own.
 */
export function storeContract(
  open: () => Store | Promise<Store>,
  { bigBytes = 20 * MIB }: StoreContractOptions = {},
): readonly StoreCase[] {
  const cases: StoreCase[] = [];
  const promise = (name: string, check: (store: Store, folder: string) => Promise<void>): void => {
    cases.push({ name, run: async () => check(await open(), `contract-${randomUUID()}`) });
  };

  promise('a probe passes, also twice', async (store) => {
    await store.probe();
    await store.probe();
  });

  promise(
    'what was put is opened with the same bytes and their number, also by another instance',
    async (store, at) => {
      const bytes = randomBytes(100_000);
      const { uri } = await store.put(`${at}/1.bin`, chunks(bytes), { contentType: 'image/png' });
      assert.deepEqual(await opened(await open(), uri), {
        digest: digest(bytes),
        bytes: bytes.length,
        read: bytes.length,
      });
    },
  );

  promise('an object that nobody reads may be opened, often', async (store, at) => {
    const { uri } = await store.put(`${at}/1`, chunks(Buffer.from('x')));
    for (let n = 0; n < 100; n++) assert.equal((await store.open(uri))?.bytes, 1);
  });

  promise('an empty object is an object', async (store, at) => {
    const { uri } = await store.put(`${at}/empty`, chunks(Buffer.alloc(0)));
    assert.equal((await opened(store, uri))?.bytes, 0);
  });

  promise('a big object arrives whole', async (store, at) => {
    const { body, expected } = big(bigBytes);
    const { uri } = await store.put(`${at}/big.bin`, body);
    assert.deepEqual(await opened(store, uri), { digest: expected(), bytes: bigBytes, read: bigBytes });
  });

  promise('what is not there is null, and a folder that is not there is empty', async (store, at) => {
    const { uri } = await store.put(`${at}/there`, chunks(Buffer.from('x')));
    assert.equal(await store.open(`${uri}-not`), null);
    assert.equal(await store.read(`${at}/none.json`), null);
    assert.deepEqual(await store.list(`${at}/none`), []);
  });

  promise('the same name is replaced, under the same URI', async (store, at) => {
    const first = await store.put(`${at}/1`, chunks(Buffer.from('a longer first')));
    const second = await store.put(`${at}/1`, chunks(Buffer.from('second')));
    assert.equal(second.uri, first.uri);
    assert.equal(await text(store, second.uri), 'second');
    await store.write(`${at}/text`, 'first');
    await store.write(`${at}/text`, 'second');
    assert.equal(await store.read(`${at}/text`), 'second');
  });

  for (const [size, bytes] of [
    ['small', 1_000],
    ['big', bigBytes],
  ] as const) {
    promise(`a ${size} stream that fails leaves nothing, and its own error is thrown`, async (store, at) => {
      const failure = new Error('the source broke');
      await assert.rejects(store.put(`${at}/1`, failing(big(bytes).body, failure)), (error) => error === failure);
      assert.deepEqual(await store.list(at), []);
      assert.equal(await store.read(`${at}/1`), null);
    });

    promise(`a ${size} stream that fails leaves what was there before`, async (store, at) => {
      const { uri } = await store.put(`${at}/1`, chunks(Buffer.from('before')));
      await assert.rejects(store.put(`${at}/1`, failing(big(bytes).body, new Error('the source broke'))));
      assert.equal(await text(store, uri), 'before');
    });
  }

  promise('nothing appears under the name before the stream has ended', async (store, at) => {
    let seen: readonly string[] | undefined;
    async function* watched(): AsyncGenerator<Uint8Array> {
      yield* big(bigBytes).body;
      seen = await store.list(at);
    }
    await store.put(`${at}/1`, watched());
    assert.deepEqual(seen, []);
    assert.deepEqual(await store.list(at), ['1']);
  });

  promise('an aborted put fails, ends its source and leaves nothing', async (store, at) => {
    for (const size of [1_000, bigBytes]) {
      const abort = new AbortController();
      let ended = false;
      async function* source(): AsyncGenerator<Uint8Array> {
        try {
          yield* big(size).body;
          abort.abort(new Error('no more'));
          // Enough for a store that looks at the signal now and then; one that never looks stores it all.
          for (let n = 0; n < 100; n++) {
            await setImmediate();
            yield Buffer.alloc(1_000);
          }
        } finally {
          ended = true;
        }
      }
      await assert.rejects(store.put(`${at}/1`, source(), { signal: abort.signal }));
      assert.equal(ended, true, 'the source goes on');
      assert.deepEqual(await store.list(at), []);
    }
  });

  promise('a signal that was aborted before stores and opens nothing', async (store, at) => {
    const signal = AbortSignal.abort(new Error('no more'));
    await assert.rejects(store.put(`${at}/1`, chunks(Buffer.from('x')), { signal }));
    assert.deepEqual(await store.list(at), []);
    const { uri } = await store.put(`${at}/1`, chunks(Buffer.from('x')));
    await assert.rejects(async () => {
      const found = await store.open(uri, { signal });
      return found && drain(found);
    });
  });

  promise('names may hold any character but a backslash and NUL, and do not meet', async (store, at) => {
    const uris = new Map<string, string>();
    for (const name of ODD_NAMES) {
      uris.set(name, (await store.put(`${at}/${name}/${name}`, chunks(Buffer.from(name)))).uri);
      await store.write(`${at}/texts/${name}`, name);
    }
    for (const [name, uri] of uris) {
      assert.equal(await text(store, uri), name, name);
      assert.equal(await store.read(`${at}/${name}/${name}`), name, name);
      assert.equal(await store.read(`${at}/texts/${name}`), name, name);
    }
    assert.deepEqual((await store.list(`${at}/texts`)).toSorted(), ODD_NAMES.toSorted());
    assert.deepEqual((await store.list(at)).toSorted(), [...ODD_NAMES, 'texts'].toSorted());
  });

  promise('a name that leaves the store is refused, by every method', async (store, at) => {
    for (const name of WRONG_NAMES) {
      const bad = name === '' || name.startsWith('/') || name.startsWith('.') ? name : `${at}/${name}`;
      const says = JSON.stringify(bad);
      await assert.rejects(store.put(bad, chunks(Buffer.from('x'))), Error, `put ${says}`);
      await assert.rejects(store.write(bad, 'x'), Error, `write ${says}`);
      await assert.rejects(store.read(bad), Error, `read ${says}`);
      await assert.rejects(store.list(bad), Error, `list ${says}`);
    }
  });

  promise('a URI outside of the store is a StoreSettingError', async (store, at) => {
    const { uri } = await store.put(`${at}/1`, chunks(Buffer.from('x')));
    const root = uri.slice(0, uri.indexOf(at));
    for (const other of ['', 'nonsense', 'file:///etc/passwd', 's3://other-bucket/1', `${root}../outside`, `${at}/1`]) {
      await assert.rejects(store.open(other), { name: 'StoreSettingError' }, other);
    }
  });

  promise('a list has the names right below, files and folders, each once', async (store, at) => {
    for (const name of ['a', 'b', 'folder/1', 'folder/2', 'folder/deeper/3']) await store.write(`${at}/${name}`, name);
    // Begins like the folder and is another.
    await store.write(`${at}-other/c`, 'c');
    assert.deepEqual((await store.list(at)).toSorted(), ['a', 'b', 'folder']);
    assert.deepEqual((await store.list(`${at}/folder`)).toSorted(), ['1', '2', 'deeper']);
  });

  promise('a list is whole, also where a service gives it in pages', async (store, at) => {
    // One more than the thousand that object stores give at once.
    const names = Array.from({ length: 1_001 }, (_, n) => `${n}.json`);
    for (let n = 0; n < names.length; n += WRITES_AT_ONCE) {
      await Promise.all(names.slice(n, n + WRITES_AT_ONCE).map((name) => store.write(`${at}/${name}`, name)));
    }
    assert.deepEqual((await store.list(at)).toSorted(), names.toSorted());
  });

  promise('names may be as long as those of receipts and results', async (store, at) => {
    const part = (letter: string): string => letter.repeat(LONGEST_PART);
    const name = [at, part('a'), part('b'), part('c'), `${part('d')}.json`].join('/');
    await store.write(name, 'text');
    const { uri } = await store.put(`${name}.bin`, chunks(Buffer.from('bytes')));
    assert.equal(await store.read(name), 'text');
    assert.equal(await text(store, uri), 'bytes');
  });

  promise('a text is read and listed as it was written, at once', async (store, at) => {
    for (let n = 0; n < 10; n++) {
      const written = `${n}\r\n\u{1F3AC} "ümlaut"\n\n`;
      await store.write(`${at}/${n}.json`, written);
      assert.equal(await store.read(`${at}/${n}.json`), written);
      assert.equal((await store.list(at)).length, n + 1);
    }
  });

  promise('of writers at the same time one wins, whole', async (store, at) => {
    const texts = Array.from({ length: 8 }, (_, n) => String(n).repeat(50_000));
    const puts = await Promise.all(texts.map((each) => store.put(`${at}/put`, chunks(Buffer.from(each)))));
    await Promise.all(texts.map((each) => store.write(`${at}/text`, each)));
    assert.ok(texts.includes(await text(store, puts[0]?.uri ?? '')), 'a put is mixed');
    assert.ok(texts.includes((await store.read(`${at}/text`)) ?? ''), 'a text is mixed');
    assert.deepEqual((await store.list(at)).toSorted(), ['put', 'text']);
  });

  promise('an object whose reader stops early does not disturb the next', async (store, at) => {
    const { uri } = await store.put(`${at}/1`, big(bigBytes).body);
    const iterator = (await store.open(uri))?.body[Symbol.asyncIterator]();
    await iterator?.next();
    await iterator?.return?.();
    assert.equal((await opened(store, uri))?.read, bigBytes);
  });

  return cases;
}

async function* chunks(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 30_000) yield bytes.subarray(at, at + 30_000);
}

/** So many bytes that do not repeat, with the digest of what was read of them. */
function big(bytes: number): { body: AsyncIterable<Uint8Array>; expected: () => string } {
  const hash = createHash('sha256');
  const block = randomBytes(MIB - 1);
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0; left -= block.length) {
      const chunk = block.subarray(0, Math.min(left, block.length));
      hash.update(chunk);
      yield chunk;
    }
  }
  return { body: body(), expected: () => hash.digest('hex') };
}

async function* failing(body: AsyncIterable<Uint8Array>, failure: Error): AsyncGenerator<Uint8Array> {
  yield* body;
  throw failure;
}

async function opened(store: Store, uri: string): Promise<{ digest: string; bytes: number; read: number } | null> {
  const found = await store.open(uri);
  if (found === null) return null;
  const { hash, read } = await drain(found);
  return { digest: hash.digest('hex'), bytes: found.bytes, read };
}

async function drain({ body }: StoredObject): Promise<{ hash: Hash; read: number }> {
  const hash = createHash('sha256');
  let read = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    read += chunk.length;
  }
  return { hash, read };
}

async function text(store: Store, uri: string): Promise<string> {
  const found = await store.open(uri);
  assert.ok(found !== null, `there is nothing under ${uri}`);
  const parts: Uint8Array[] = [];
  for await (const chunk of found.body) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
