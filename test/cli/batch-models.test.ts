/** The list of models as the commands of batches ask for it. */
import { expect, test } from 'vitest';
import { staticKey } from '../../src/api/key-source.js';
import { modelsOf } from '../../src/cli/batch-api.js';
import type { BatchPlace } from '../../src/cli/batch-place.js';
import { startEmulator } from '../../src/emulator/index.js';

test('a list of models that goes on behind its first page says so', async () => {
  const emulator = await startEmulator({ switches: { modelList: 'firstPage' } });
  const settings = { baseUrl: emulator.url, keys: staticKey(emulator.apiKey) };
  const place = { settings, api: 'emulator', at: { kind: 'named' } } as BatchPlace;
  expect(await modelsOf(place)).toMatchObject({ whole: false, problem: null });
  emulator.setSwitches({ modelList: 'whole' });
  expect(await modelsOf(place)).toMatchObject({ whole: true, problem: null });
  await emulator.close();
});
