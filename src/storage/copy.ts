/** Copies of stored files in a folder, whole or not at all, and compared with their SHA-256. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { StoredFile } from '../contract/index.js';
import { StoreSettingError, type Store } from './store.js';

/** `there`: the file was there already, with the same content. `problem` says why it was not copied. */
export type Copied = 'copied' | 'there' | { readonly problem: string };

type Source = Pick<StoredFile, 'uri' | 'sha256'>;

/** Copies one file, unless it is there already. It never replaces a file of another content, and never throws. */
export async function copyFile(store: Store, source: Source, file: string, signal: AbortSignal): Promise<Copied> {
  try {
    return await copy(store, source, file, signal);
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

async function copy(store: Store, { uri, sha256 }: Source, file: string, signal: AbortSignal): Promise<Copied> {
  const there = await sha256Of(createReadStream(file, { signal })).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (there === sha256) return 'there';
  if (there !== null) return { problem: `${file} exists with another content, and is not replaced` };
  const object = await store.open(uri, { signal }).catch((error: unknown) => {
    const host = error instanceof StoreSettingError && uri.startsWith('file:') ? new URL(uri).host : '';
    throw host === '' ? error : new Error(`it is a file of another machine (${host}): copy it from there`);
  });
  if (object === null) return { problem: 'it is not in the store any more' };
  await mkdir(path.dirname(file), { recursive: true });
  const part = `${file}.${randomUUID()}.part`;
  try {
    const hash = createHash('sha256');
    const hashed = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        hash.update(chunk);
        yield chunk;
      }
    };
    await pipeline(object.body, hashed, createWriteStream(part, { flags: 'wx' }), { signal });
    const found = hash.digest('hex');
    if (found !== sha256) return { problem: `its SHA-256 in the store is ${found}, and the result says ${sha256}` };
    // The name appears with all of its bytes.
    await rename(part, file);
    return 'copied';
  } finally {
    await rm(part, { force: true });
  }
}

async function sha256Of(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk);
  return hash.digest('hex');
}
