import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { FileStore } from './file-store.js';
import { S3Store } from './s3-store.js';
import { StoreSettingError, type S3Settings, type Store } from './store.js';

/**
 * The store for an address: `file:<directory>`, absolute or relative to the working directory, or `s3://bucket/prefix`.
 * @throws StoreSettingError for an address of another kind.
 */
export function openStore(address: string, s3: S3Settings = {}): Store {
  if (address.startsWith('file:')) return new FileStore(address);
  if (address.startsWith('s3:')) return new S3Store(address, s3);
  const scheme = /^[a-z0-9+.-]+:/i.exec(address)?.[0] ?? address;
  throw new StoreSettingError(`a store address starts with "file:" or "s3://", not with "${scheme}"`);
}

/** The address of a store that means the same in every directory: a `file:` address as a whole URL. */
export function absoluteAddress(address: string): string {
  if (!address.startsWith('file:')) return address;
  const isUrl = address.startsWith('file://');
  return pathToFileURL(isUrl ? fileURLToPath(address) : path.resolve(address.slice('file:'.length))).href;
}
