import { setTimeout as sleep } from 'node:timers/promises';
import { SettingsError, type Settings } from '../config.js';
import { deniedBy, TIMEOUTS } from '../policy/index.js';
import { absoluteAddress } from '../storage/open.js';

/** @throws SettingsError that names each setting with which a Worker could only fail later. */
export async function checkWorkerSettings(settings: Settings): Promise<void> {
  const problems = [keyProblem(settings), await storeProblem(settings)].filter((problem) => problem !== null);
  if (problems.length > 0) throw new SettingsError(problems.join('\n'));
}

async function storeProblem({ roles, store, policy }: Settings): Promise<string | null> {
  // Both keep something in it: results, and receipts of what was paid.
  if (store === null || (!roles.has('results') && !roles.has('api'))) return null;
  const denial = policy === null ? null : deniedBy(policy, { store: absoluteAddress(store.address) });
  if (denial !== null) return `RIVYA_STORE: the spending policy (${policy?.source}) ${denial.why}`;
  // A mount that is gone lets every call to it wait for ever.
  const late = sleep(TIMEOUTS.storeProbe, undefined, { ref: false }).then(() => {
    throw new Error(`${store.address} did not answer within ${TIMEOUTS.storeProbe / 1_000} s`);
  });
  return Promise.race([store.probe(), late]).then(
    () => null,
    (error: Error) => `RIVYA_STORE: ${error.message}`,
  );
}

/** @throws SettingsError for the api role without a key. */
export function checkKey(settings: Settings): void {
  const problem = keyProblem(settings);
  if (problem !== null) throw new SettingsError(problem);
}

function keyProblem({ roles, keys }: Settings): string | null {
  if (!roles.has('api') || keys !== null) return null;
  return 'RIVYA_API_KEY: a Worker with the api role needs a key. Set RIVYA_API_KEY or RIVYA_API_KEY_FILE, or take "api" out of RIVYA_WORKER_ROLES.';
}
