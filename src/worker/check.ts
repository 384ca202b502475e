import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SettingsError, type Settings } from '../config.js';
import { deniedBy, TIMEOUTS } from '../policy/index.js';

/** @throws SettingsError that names a setting with which a Worker could only fail later. */
export async function checkWorkerSettings(settings: Settings): Promise<void> {
  checkKey(settings);
  const { roles, store, policy } = settings;
  // Both keep something in it: results, and receipts of what was paid.
  if (store === null || (!roles.has('results') && !roles.has('api'))) return;
  const denial = policy === null ? null : deniedBy(policy, { store: absolute(store.address) });
  if (denial !== null) throw new SettingsError(`RIVYA_STORE: the spending policy (${policy?.source}) ${denial.why}`);
  // A mount that is gone lets every call to it wait for ever.
  const late = sleep(TIMEOUTS.storeProbe, undefined, { ref: false }).then(() => {
    throw new Error(`${store.address} did not answer within ${TIMEOUTS.storeProbe / 1_000} s`);
  });
  await Promise.race([store.probe(), late]).catch((error: Error) => {
    throw new SettingsError(`RIVYA_STORE: ${error.message}`);
  });
}

/** @throws SettingsError for the api role without a key. */
export function checkKey({ roles, keys }: Pick<Settings, 'roles' | 'keys'>): void {
  if (!roles.has('api') || keys !== null) return;
  throw new SettingsError(
    'RIVYA_API_KEY: a Worker with the api role needs a key. Set RIVYA_API_KEY or RIVYA_API_KEY_FILE, or take "api" out of RIVYA_WORKER_ROLES.',
  );
}

/** A directory may be given as seen from here; a policy names places that mean the same everywhere. */
function absolute(address: string): string {
  if (!address.startsWith('file:')) return address;
  const directory = address.startsWith('file://')
    ? fileURLToPath(address)
    : path.resolve(address.slice('file:'.length));
  return pathToFileURL(directory).href;
}
