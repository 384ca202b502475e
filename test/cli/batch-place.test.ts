/** Where a batch runs: in the Temporal that runs it already, whatever else of this machine could. In this process. */
import { mkdtempSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { placeOf, refuseSecondRun } from '../../src/cli/batch-place.js';
import { absoluteAddress } from '../../src/storage/open.js';
import { publishSession, type DevSession } from '../../src/local/dev-session.js';

const folder = mkdtempSync(path.join(tmpdir(), 'rivya-cli-place-'));
const before = { ...process.env };
let listening: Server;

beforeAll(async () => {
  for (const name of Object.keys(process.env)) if (/^(RIVYA|TEMPORAL)_/.test(name)) delete process.env[name];
  Object.assign(process.env, { XDG_DATA_HOME: folder, RIVYA_API_KEY: 'rvya_sk_secret' });
  listening = createServer();
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  listening.close();
});

test('a batch that "batch run" runs is found there, also where dev was started later with the same store', async () => {
  const store = `file:${folder}/out`;
  const session = (taskQueue: string): DevSession => {
    const address = `127.0.0.1:${(listening.address() as AddressInfo).port}`;
    return {
      pid: process.pid,
      address,
      uiUrl: null,
      baseUrl: null,
      taskQueue,
      store: absoluteAddress(store),
      directory: null,
    };
  };
  const { at } = await placeOf('spring', { store });
  if (at.kind !== 'own') throw new Error(`it is ${at.kind}`);
  await publishSession({ ...session('of the batch'), directory: at.directory }, at.directory);
  await publishSession({ ...session('of dev'), pid: process.ppid });
  const found = await placeOf('spring', { store });
  expect(found.at).toMatchObject({ kind: 'session', session: { taskQueue: 'of the batch' } });
  await expect(refuseSecondRun(found)).resolves.toBeUndefined();
  const other = await placeOf('summer', { store });
  expect(other.at).toMatchObject({ kind: 'session', session: { taskQueue: 'of dev' } });
  await expect(refuseSecondRun(other)).rejects.toThrow(/use the whole limit of the key/);
});
