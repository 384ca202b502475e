import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import type { Store } from '../storage/index.js';

/** One promise of a store, for a test of any runner. */
export interface StoreCase {
  readonly name: string;
  /** Rejects where the store breaks the promise. */
  readonly run: () => Promise<void>;
}

export interface StoreContractOptions {
  /** Bytes of the largest object, 20 MiB by default. Make it more than your store sends in one piece. */
  readonly bigBytes?: number;
}

const MIB = 1024 * 1024;
// A thousand files, one after the other, are slow where each has a round trip.
const WRITES_AT_ONCE = 50;
// Letters of any script; characters with a meaning in URLs, XML, shells and globs; and more than the 113 characters that this
// package makes of an ID, with an ending or a beginning.
// prettier-ignore
const ODD_NAMES = [
  'a b', 'a+b', '100%', '%2F', 'a#b?c', `'s "it"`, '<&>;', 'naïve-日本-🎬', '...', '[*]', '~', 'a'.repeat(130),
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

  for (const [size, length] of Object.entries({ 'an empty': 0, 'a small': 100_000, 'a big': bigBytes })) {
    promise(`${size} object is opened with the same bytes and their number, by another instance`, async (store, at) => {
      const bytes = randomBytes(length);
      const { uri } = await store.put(`${at}/1.bin`, chunks(bytes), { contentType: 'image/png' });
      await contains(await open(), uri, bytes);
    });
  }

  promise('a name without an object is null, and a folder that is not there is empty', async (store, at) => {
    const { uri } = await store.put(`${at}/there`, chunks('x'));
    assert.equal(await store.open(`${uri}-not`), null);
    assert.equal(await store.read(`${at}/none.json`), null);
    assert.deepEqual(await store.list(`${at}/none`), []);
  });

  promise('the same name is replaced, under the same URI', async (store, at) => {
    const first = await store.put(`${at}/1`, chunks('a longer first'));
    const second = await store.put(`${at}/1`, chunks('second'));
    assert.equal(second.uri, first.uri);
    await contains(store, second.uri, 'second');
    await store.write(`${at}/text`, 'first');
    await store.write(`${at}/text`, 'second');
    assert.equal(await store.read(`${at}/text`), 'second');
  });

  for (const [size, bytes] of Object.entries({ small: 1_000, big: bigBytes })) {
    promise(`a ${size} stream that fails leaves nothing, and its own error is thrown`, async (store, at) => {
      const failure = new Error('the source broke');
      await assert.rejects(store.put(`${at}/1`, failing(randomBytes(bytes), failure)), (error) => error === failure);
      assert.deepEqual(await store.list(at), []);
      assert.equal(await store.read(`${at}/1`), null);
    });

    promise(`a ${size} stream that fails leaves what was there before`, async (store, at) => {
      const { uri } = await store.put(`${at}/1`, chunks('before'));
      await assert.rejects(store.put(`${at}/1`, failing(randomBytes(bytes), new Error('the source broke'))));
      await contains(store, uri, 'before');
    });
  }

  promise('nothing appears under the name before the stream has ended', async (store, at) => {
    let seen: readonly string[] | undefined;
    async function* watched(): AsyncGenerator<Uint8Array> {
      yield* chunks(randomBytes(bigBytes));
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
          yield* chunks(randomBytes(size));
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
    await assert.rejects(store.put(`${at}/1`, chunks('x'), { signal }));
    assert.deepEqual(await store.list(at), []);
    const { uri } = await store.put(`${at}/1`, chunks('x'));
    await assert.rejects(async () => {
      const found = await store.open(uri, { signal });
      return found && buffer(found.body);
    });
  });

  promise('names may hold any character but a backslash and NUL, may be long, and do not meet', async (store, at) => {
    const uris = new Map<string, string>();
    for (const name of ODD_NAMES) {
      uris.set(name, (await store.put(`${at}/${name}/${name}/${name}/${name}`, chunks(name))).uri);
      await store.write(`${at}/texts/${name}`, name);
    }
    for (const [name, uri] of uris) {
      await contains(store, uri, name);
      assert.equal(await store.read(`${at}/${name}/${name}/${name}/${name}`), name, name);
      assert.equal(await store.read(`${at}/texts/${name}`), name, name);
    }
    assert.deepEqual((await store.list(`${at}/texts`)).toSorted(), ODD_NAMES.toSorted());
    assert.deepEqual((await store.list(at)).toSorted(), [...ODD_NAMES, 'texts'].toSorted());
  });

  promise('a name that leaves the store is refused, by every method', async (store, at) => {
    for (const name of WRONG_NAMES) {
      const bad = name === '' || name.startsWith('/') || name.startsWith('.') ? name : `${at}/${name}`;
      const says = JSON.stringify(bad);
      await assert.rejects(store.put(bad, chunks('x')), Error, `put ${says}`);
      await assert.rejects(store.write(bad, 'x'), Error, `write ${says}`);
      await assert.rejects(store.read(bad), Error, `read ${says}`);
      await assert.rejects(store.list(bad), Error, `list ${says}`);
    }
  });

  promise('a URI outside of the store is a StoreSettingError', async (store, at) => {
    const { uri } = await store.put(`${at}/1`, chunks('x'));
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
    const puts = await Promise.all(texts.map((each) => store.put(`${at}/put`, chunks(each))));
    await Promise.all(texts.map((each) => store.write(`${at}/text`, each)));
    const put = await store.open(puts[0]?.uri ?? '');
    assert.ok(put !== null && texts.includes((await buffer(put.body)).toString()), 'a put is mixed');
    assert.ok(texts.includes((await store.read(`${at}/text`)) ?? ''), 'a text is mixed');
    assert.deepEqual((await store.list(at)).toSorted(), ['put', 'text']);
  });

  promise('an object may be opened often, without a reader or with one that stops early', async (store, at) => {
    const bytes = randomBytes(bigBytes);
    const { uri } = await store.put(`${at}/1`, chunks(bytes));
    for (let n = 0; n < 100; n++) assert.equal((await store.open(uri))?.bytes, bigBytes);
    const iterator = (await store.open(uri))?.body[Symbol.asyncIterator]();
    await iterator?.next();
    await iterator?.return?.();
    await contains(store, uri, bytes);
  });

  return cases;
}

/** A stream of these bytes in pieces, as files and networks give them. */
async function* chunks(content: string | Buffer): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += 30_000) yield bytes.subarray(at, at + 30_000);
}

async function* failing(bytes: Buffer, failure: Error): AsyncGenerator<Uint8Array> {
  yield* chunks(bytes);
  throw failure;
}

/** Fails where the object of this URI has other bytes, or another number of them. */
async function contains(store: Store, uri: string, content: string | Buffer): Promise<void> {
  const found = await store.open(uri);
  assert.ok(found !== null, `there is nothing under ${uri}`);
  const [read, expected] = [await buffer(found.body), Buffer.from(content)];
  assert.deepEqual([found.bytes, read.length], [expected.length, expected.length], `${uri} has another length`);
  assert.ok(read.equals(expected), `${uri} has other bytes`);
}
