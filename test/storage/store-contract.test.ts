import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FileStore, type Store } from '../../src/storage/index.js';
import { MemoryStore, storeContract } from '../../src/testing/index.js';

const directory = await mkdtemp(path.join(tmpdir(), 'rivya-contract-'));
afterAll(() => rm(directory, { recursive: true }));

describe.each([
  ['as it is', `file:${directory}/plain`],
  ['with a slash at its end', `file://${directory}/slash/`],
  ['with a slash twice', `file://${directory}//twice`],
])('a directory, %s', (_, address) => {
  test.each([...storeContract(() => new FileStore(address))])('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

describe('memory', () => {
  const store = new MemoryStore();
  test.each([...storeContract(() => store)])('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});

describe('the contract notices', () => {
  /** Runs the contract on a store that breaks it and gives the names of the cases that notice. */
  async function broken(change: (store: Store) => Partial<Store>): Promise<string[]> {
    const good = new MemoryStore();
    const store = new Proxy(good, {
      get(target, key) {
        const changed = change(good) as Record<string | symbol, unknown>;
        const value = changed[key] ?? Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const noticed: string[] = [];
    for (const { name, run } of storeContract(() => store, { bigBytes: 2_000_000 })) {
      await run().catch(() => noticed.push(name));
    }
    return noticed;
  }

  test('nothing about a store that keeps it', async () => {
    expect(await broken(() => ({}))).toEqual([]);
  });

  test('a store that keeps what came before the stream failed', async () => {
    const noticed = await broken((store) => ({
      put: (name, body) => {
        async function* untilItFails(): AsyncGenerator<Uint8Array> {
          try {
            yield* body;
          } catch {
            // Half of it is taken for all.
          }
        }
        return store.put(name, untilItFails());
      },
    }));
    expect(noticed).toContain('a small stream that fails leaves nothing, and its own error is thrown');
    expect(noticed).toContain('a big stream that fails leaves what was there before');
  });

  test('a store that lists what lies deeper', async () => {
    const noticed = await broken((store) => ({
      list: async (folder) => [...(await store.list(folder)), 'deeper/3'],
    }));
    expect(noticed).toContain('a list has the names right below, files and folders, each once');
  });
});
