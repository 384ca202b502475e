/**
 * Where a batch runs: on the Temporal that the settings name, with the `dev` of this machine, or on a server and Worker that
 * `batch run` starts for itself. Its state lies in a directory for each batch and store, so the same command goes on with it.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { batchApi } from '../batch/api.js';
import { hasKey, type Settings } from '../config.js';
import { findSession, type DevSession } from '../local/dev-session.js';
import { userDirectory } from '../local/directories.js';
import { safeName, shortDigest } from '../storage/names.js';
import { absoluteAddress } from '../storage/open.js';
import type { Store } from '../storage/store.js';
import { configuredAddress } from '../temporal/connect.js';
import { DEFAULT_STORE, settingsWith } from './batches.js';
import { UsageError } from './errors.js';
import type { Texts } from './options.js';

export interface BatchPlace {
  readonly settings: Settings;
  readonly store: Store;
  /** The API as its Workers see it: its host, or `emulator`. */
  readonly api: string;
  /** `named`: by Temporal's settings. `session`: a `dev`, or another `batch run` of the same batch. `own`: to be started. */
  readonly at:
    | { readonly kind: 'named' }
    | { readonly kind: 'session'; readonly session: DevSession }
    | { readonly kind: 'own'; readonly directory: string };
}

/** @throws UsageError where no store is named, or two of this machine would share the limit of one key without knowing it. */
export async function placeOf(batchId: string, options: Texts<'store'>): Promise<BatchPlace> {
  const settings = settingsWith(options);
  const isReal = hasKey();
  const api = isReal || process.env['RIVYA_BASE_URL'] ? batchApi(settings.baseUrl) : 'emulator';
  if (configuredAddress() !== null) {
    if (settings.store === null) {
      throw new UsageError(
        '--store: a batch needs the store that its Workers have; give it as they have it, or set RIVYA_STORE. Nothing was paid.',
      );
    }
    return { settings, store: settings.store, api: batchApi(settings.baseUrl), at: { kind: 'named' } };
  }
  const own = settings.store === null ? settingsWith({ store: DEFAULT_STORE }) : settings;
  const { store } = own;
  if (store === null) throw new UsageError('--store: no store is named.');
  // One that runs the batch already comes first: with a dev that was started later, it would run twice.
  const directory = directoryOf(batchId, store);
  const session = await findSession(directory);
  if (session !== null) return { settings: own, store, api, at: { kind: 'session', session } };
  const dev = await findSession();
  const address = settings.store === null ? null : absoluteAddress(settings.store.address);
  if (dev?.store != null) {
    const sameStore = address === null || address === dev.store;
    const devIsReal = dev.baseUrl === null;
    if (sameStore && (devIsReal || !isReal)) {
      const withStore = settings.store === null ? settingsWith({ store: dev.store }) : settings;
      if (withStore.store !== null) {
        const found = { settings: withStore, store: withStore.store };
        const running = await findSession(directoryOf(batchId, withStore.store));
        if (running !== null) return { ...found, api, at: { kind: 'session', session: running } };
        const itsApi = devIsReal ? batchApi(settings.baseUrl) : 'emulator';
        return { ...found, api: itsApi, at: { kind: 'session', session: dev } };
      }
    }
    if (devIsReal && isReal) {
      throw new UsageError(
        `--store: the "rivya-temporal dev" of this machine (process ${dev.pid}) keeps results in ${dev.store}, and would share the limit of this API key with a batch elsewhere. Leave --store out, or stop it. Nothing was paid.`,
      );
    }
  }
  return { settings: own, store, api, at: { kind: 'own', directory } };
}

/** @throws UsageError where another `batch run` of this machine calls the real API. */
export async function refuseSecondRun({ api, at }: BatchPlace): Promise<void> {
  if (at.kind === 'named' || api === 'emulator') return;
  for (const name of folders(batchesDirectory())) {
    const other = await findSession(path.join(batchesDirectory(), name));
    if (other === null || other.baseUrl !== null) continue;
    if (at.kind === 'session' && other.pid === at.session.pid) return;
    throw new UsageError(
      `Another "rivya-temporal batch run" of this machine (process ${other.pid}) calls the API, and each of two would use the whole limit of the key. Wait for it, or run both with "rivya-temporal dev". Nothing was paid.`,
    );
  }
}

function batchesDirectory(): string {
  return path.join(userDirectory('data'), 'batches');
}

function directoryOf(batchId: string, store: Store): string {
  return path.join(batchesDirectory(), `${safeName(batchId)}-${shortDigest(absoluteAddress(store.address))}`);
}

function folders(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // No batch has run here yet.
    return [];
  }
}
