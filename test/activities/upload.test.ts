/** A reference that is never given to the end: the Worker must not wait in it for ever. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ActivityDependencies } from '../../activities/context.js';
import { rivyaUpload } from '../../activities/upload.js';
import { Secret } from '../../src/api/index.js';
import type { UploadInput } from '../../src/contract/index.js';
import { TIMEOUTS } from '../../src/policy/index.js';
import { ReferenceSources, type Store } from '../../src/storage/index.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const input: UploadInput = {
  source: { uri: 'hung://film/1.png' },
  kind: 'image',
  model: 'sora-2',
  name: null,
  mimeType: null,
  field: 'references[0]',
};

function uploadFromStore(open: Store['open']): { ended: Promise<unknown>; environment: MockActivityEnvironment } {
  const sources = new ReferenceSources({ roots: [], store: { open } as Store, trustedHosts: new Set(), env: {} });
  const keys = { current: async () => new Secret('rvya_sk_test') };
  const api = { baseUrl: 'https://rivya.ai' };
  const dependencies = { sources, keys, uploads: null, api } as unknown as ActivityDependencies;
  const environment = new MockActivityEnvironment();
  const ended = environment.run(() => rivyaUpload(input, dependencies)).catch((error: unknown) => error);
  return { ended, environment };
}

const never = new Promise<never>(() => undefined);
const neverMore = { [Symbol.asyncIterator]: () => ({ next: () => never }) };

test.each<[string, Store['open']]>([
  ['that is never opened', () => never],
  ['that is opened and never read', async () => ({ body: neverMore, bytes: 1_000 })],
])('a file %s is given up after a minute, tried again, and named', async (_, open) => {
  const { ended } = uploadFromStore(open);
  await vi.advanceTimersByTimeAsync(TIMEOUTS.sourceSilence + TIMEOUTS.heartbeatEvery);
  expect(await ended).toMatchObject({
    type: 'ReferenceUnavailable',
    nonRetryable: false,
    message: expect.stringMatching(/hung:\/\/film\/1\.png has given nothing for 1 min: it hangs\. Nothing was paid/),
  });
});

test('a cancel ends it at once', async () => {
  const { ended, environment } = uploadFromStore(() => never);
  await vi.advanceTimersByTimeAsync(1_000);
  environment.cancel();
  expect(await ended).toMatchObject({ name: 'CancelledFailure' });
});
