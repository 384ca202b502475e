export { FileStore } from './file-store.js';
export { resultName } from './names.js';
export { type KeyFolder, type ReceiptHead } from './key-folders.js';
export { Receipts, type ChatReceipt, type TaskReceipt } from './receipts.js';
export { openResults, type KeepOptions, type Results, type ResultsOptions } from './results.js';
export { withoutQuery, type Result, type SidecarPrompts } from './sidecar.js';
export { S3Store } from './s3-store.js';
export { openStore } from './open.js';
export { openReferenceSources, SourceError, type ReferenceSources, type SourceFile } from './sources.js';
export { Uploads } from './uploads.js';
export {
  BrokenReceipt,
  ResultError,
  StoreSettingError,
  StoreUnavailable,
  type Store,
  type StoredObject,
} from './store.js';
