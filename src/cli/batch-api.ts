/** The API of a batch, as the command itself asks it: for the list of models and for the balance. Neither costs anything. */
import { staticKey } from '../api/key-source.js';
import { RivyaApiError } from '../api/errors.js';
import type { ModelInfo } from '../api/index.js';
import { batchApi } from '../batch/api.js';
import type { BatchPlace } from './batch-place.js';

/** The list of models, and whether it has all of them; null with the problem where it cannot be had. */
export async function modelsOf(place: BatchPlace): Promise<{
  readonly models: readonly ModelInfo[] | null;
  readonly whole: boolean;
  readonly problem: string | null;
}> {
  const { settings, api, at } = place;
  const { createRivyaClient } = await import('../api/client.js');
  const ask = async (baseUrl: string) => {
    const { models, whole } = await createRivyaClient({ baseUrl, keys: settings.keys ?? staticKey('') }).listModels();
    return { models, whole, problem: null };
  };
  try {
    if (api !== 'emulator' || (settings.keys !== null && batchApi(settings.baseUrl) === api))
      return await ask(settings.baseUrl);
    if (at.kind === 'session' && at.session.baseUrl !== null) return await ask(at.session.baseUrl);
    // One that is started later has the same list.
    const { startEmulator } = await import('../emulator/index.js');
    const emulator = await startEmulator();
    try {
      return await ask(emulator.url);
    } finally {
      await emulator.close();
    }
  } catch (error) {
    if (!(error instanceof RivyaApiError)) throw error;
    const problem = `Names of models and prices were not checked: the list of models cannot be had (${error.message}).`;
    return { models: null, whole: false, problem };
  }
}

/** Credits of the account; null where this command has no key for it, or cannot read them. */
export async function balanceOf({ settings, api }: Pick<BatchPlace, 'settings' | 'api'>): Promise<number | null> {
  if (settings.keys === null || batchApi(settings.baseUrl) !== api) return null;
  const { createRivyaClient } = await import('../api/client.js');
  const client = createRivyaClient({ baseUrl: settings.baseUrl, keys: settings.keys });
  return client.getCredits().then(
    ({ currentCredits }) => currentCredits,
    () => null,
  );
}
