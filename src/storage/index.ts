import { FileStore } from './file-store.js';
import { StoreSettingError, type Store } from './store.js';

export { FileStore } from './file-store.js';
export { resultName } from './names.js';
export { Receipts, type KeyReceipts, type ReceiptHead, type SubmitReceipt, type TaskReceipt } from './receipts.js';
export { MAX_RESULT_BYTES, Results, type KeepOptions, type Result, type ResultsOptions } from './results.js';
export type { SidecarPrompts } from './sidecar.js';
export { ResultError, StoreSettingError, StoreUnavailable, type Store, type StoredObject } from './store.js';

/**
 * The store for an address: `file:<directory>`, absolute or relative to the working directory.
 * @throws StoreSettingError for an address of another kind.
 */
export function openStore(address: string): Store {
  if (address.startsWith('file:')) return new FileStore(address);
  const scheme = /^[a-z0-9+.-]+:/i.exec(address)?.[0] ?? address;
  throw new StoreSettingError(`a store address starts with "file:", not with "${scheme}"`);
}
