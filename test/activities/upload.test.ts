/** One upload of a reference: it ends whatever the source does, and no byte leaves for a model that is refused. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ActivityDependencies } from '../../activities/context.js';
import { rivyaUpload } from '../../activities/upload.js';
import { Secret } from '../../src/api/index.js';
import type { UploadInput } from '../../src/contract/index.js';
import { InvalidInput, TIMEOUTS } from '../../src/policy/index.js';
import { parsePolicy } from '../../src/spending-policy.js';
import { openReferenceSources, SourceError, type Store } from '../../src/storage/index.js';
import { fakeService, memo, type EarlierRun } from './service.js';

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
  const sources = openReferenceSources({ roots: [], store: { open } as Store, trustedHosts: new Set(), env: {} });
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

describe('a model that the list or the spending policy refuses by now', () => {
  const refused = new InvalidInput('model', 'the list of models has no "sora-2"');
  const denied = { policy: parsePolicy({ models: ['z-*'] }, 'policy.json'), basePrice: async () => 1 };
  const unanswered = { firstPostedAt: Date.now(), fingerprint: 'f00' };
  const find = (found: object) => ({ find: async () => found }) as unknown as ActivityDependencies['receipts'];
  const receipt = { keyNumber: 1, attempt: 1, idempotencyKey: 'fox-1', bodyDigest: 'd1', taskId: 'task_1' };

  /** An upload of a generation with these earlier runs and receipts. */
  async function upload(runs: readonly EarlierRun[], more: Partial<ActivityDependencies>) {
    const sent: object[] = [];
    const uploadFile = async (request: object) => {
      sent.push(request);
      return { url: 'https://rivya.ai/files/1', fileId: 'file_1' };
    };
    const dependencies = {
      sources: {
        read: async () => ({ sha256: 'a', bytes: 1, fileName: '1.png', stream: () => [], close: async () => {} }),
      },
      keys: { current: async () => new Secret('rvya_sk_test') },
      api: { baseUrl: 'https://rivya.ai', uploadFile },
      receipts: null,
      uploads: null,
      ...more,
    } as unknown as ActivityDependencies;
    const { client } = fakeService({ runs });
    const environment = new MockActivityEnvironment({}, { client });
    const ended = environment.run(() => rivyaUpload({ ...input, baseKey: 'fox-1' }, dependencies));
    return { ended: await ended.catch((error: unknown) => error), sent };
  }

  describe.each([
    ['list', 'InvalidInput', { problemOf: async () => refused }],
    ['spending policy', 'PolicyDenied', { spending: denied }],
  ])('%s', (_, type, judge) => {
    test.each<[string, readonly EarlierRun[], Partial<ActivityDependencies>]>([
      ['the memo of an earlier run has a task', [{ runId: 'run-0', memo: memo({ taskId: 'task_1' }) }], {}],
      ['the memo of an earlier run has a POST', [{ runId: 'run-0', memo: memo({ mayPostSince: unanswered }) }], {}],
      ['a receipt has a task', [], { receipts: find({ submit: null, answers: [receipt] }) }],
      ['a receipt has a POST', [], { receipts: find({ submit: { ...receipt, unanswered }, answers: [] }) }],
    ])('%s: the file is uploaded, without the model that the API may have no more', async (_how, runs, records) => {
      const { ended, sent } = await upload(runs, { ...judge, ...records });
      expect(ended).toMatchObject({ url: 'https://rivya.ai/files/1' });
      expect(sent).toEqual([expect.not.objectContaining({ model: 'sora-2' })]);
    });

    test.each<[string, readonly EarlierRun[], Partial<ActivityDependencies>]>([
      ['nothing is known', [], {}],
      ['an earlier run was refused as well', [{ runId: 'run-0', memo: memo() }], {}],
      ['the only POST was refused', [], { receipts: find({ submit: { ...receipt, unanswered: null }, answers: [] }) }],
    ])('%s: no byte leaves', async (_how, runs, records) => {
      const { ended, sent } = await upload(runs, { ...judge, ...records });
      expect(ended).toMatchObject({ type, nonRetryable: true });
      expect(sent).toEqual([]);
    });

    test('what earlier runs have posted cannot be read: it is tried again', async () => {
      const { ended, sent } = await upload([{ runId: 'run-0', memo: 'unreadable' }], judge);
      expect(ended).toMatchObject({ name: 'EarlierRunsUnreadable' });
      expect(sent).toEqual([]);
    });
  });
});

test('a cancel ends it at once', async () => {
  const { ended, environment } = uploadFromStore(() => never);
  await vi.advanceTimersByTimeAsync(1_000);
  environment.cancel();
  expect(await ended).toMatchObject({ name: 'CancelledFailure' });
});

test.each([
  [404, 7, false],
  [404, 8, true],
  [503, 5, false],
  [503, 6, true],
])('a result link that answers %i at try %i is for a person: %s', async (httpStatus, attempt, forAPerson) => {
  const link = { taskId: 'task_1', file: 0, link: 'https://cdn.example/1.png' };
  let fresh = 0;
  const retrieveGeneration = async () => {
    fresh += 1;
    return { task: { urls: ['https://cdn.example/1.png?fresh'] } };
  };
  const read = () => Promise.reject(new SourceError('does not work', 'now', httpStatus));
  const dependencies = {
    sources: { read },
    keys: { current: async () => new Secret('rvya_sk_test') },
    uploads: null,
    api: { baseUrl: 'https://rivya.ai', retrieveGeneration },
  } as unknown as ActivityDependencies;
  const environment = new MockActivityEnvironment({ attempt });
  const ended = environment.run(() => rivyaUpload({ ...input, source: link }, dependencies));
  await expect(ended).rejects.toMatchObject({ type: 'ReferenceUnavailable', nonRetryable: forAPerson });
  expect(fresh).toBe(httpStatus === 404 ? 1 : 0);
});
