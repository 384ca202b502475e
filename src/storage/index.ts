import { FileStore } from './file-store.js';
import { S3Store } from './s3-store.js';
import { StoreSettingError, type S3Settings, type Store } from './store.js';

export { FileStore } from './file-store.js';
export { resultName } from './names.js';
export type { ChatReceipt, ChatReceipts } from './chat-receipts.js';
export { BrokenReceipt, type KeyFolder, type ReceiptHead, type SubmitReceipt } from './key-folders.js';
export { Receipts, type KeyReceipts, type TaskReceipt } from './receipts.js';
export { MAX_RESULT_BYTES, Results, type KeepOptions, type ResultsOptions } from './results.js';
export { withoutQuery, type Result, type SidecarPrompts } from './sidecar.js';
export { S3Store } from './s3-store.js';
export { ReferenceSources, SourceError, type SourceFile } from './sources.js';
export { Uploads, type UploadFacts } from './uploads.js';
export {
  ResultError,
  StoreSettingError,
  StoreUnavailable,
  type S3Settings,
  type Store,
  type StoredObject,
} from './store.js';

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
