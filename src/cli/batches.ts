/** A batch as the commands find it: in its store, whether or not Temporal has anything of it. */
import { BatchFiles } from '../batch/files.js';
import { readSettings, type Settings } from '../config.js';
import { openStore } from '../storage/open.js';
import type { Store } from '../storage/store.js';
import { findStore } from './context.js';
import { UsageError } from './errors.js';
import type { Texts } from './options.js';
import { quoted } from './output.js';

export const STORE = [
  '--store <address>',
  'store of the batch: file:<directory> or s3://… (default: RIVYA_STORE, that of dev, or file:./output)',
] as const;

/** The settings, with the store of `--store`. @throws UsageError */
export function settingsWith({ store }: Texts<'store'>, env: NodeJS.ProcessEnv = process.env): Settings {
  if (store === undefined) return readSettings(env);
  if (store.trim() === '') throw new UsageError('--store: is empty. Nothing was paid.');
  try {
    return readSettings({ ...env, RIVYA_STORE: store });
  } catch (error) {
    throw new UsageError((error as Error).message.replace('RIVYA_STORE:', '--store:'));
  }
}

// As `batch run` and `dev` have it.
export const DEFAULT_STORE = 'file:./output';

/** The store of a batch: by the settings, that of `dev`, or the usual one. */
async function openBatchStore(settings: Settings): Promise<Store> {
  return (await findStore(settings))?.store ?? openStore(DEFAULT_STORE);
}

/** A batch that was started: its store, files and current manifest. @throws UsageError where the store has none */
export async function findBatch(batchId: string, options: Texts<'store'>) {
  const settings = settingsWith(options);
  const store = await openBatchStore(settings);
  if (batchId.trim() === '') throw new UsageError('batch-id: is empty.');
  const files = new BatchFiles(store, batchId);
  const [head, manifest] = await Promise.all([files.head(), files.current()]);
  if (head !== null && manifest !== null) return { settings, store, files, head, manifest };
  throw new UsageError(
    `There is no batch "${batchId}" in the store ${store.address}. If it is in another one, give --store. Start one with: rivya-temporal batch run <file> --id ${quoted(batchId)}`,
  );
}
