/** Batches made by hand: a store with a manifest, and outcome records. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { BatchFiles } from '../../src/batch/files.js';
import type { BatchItem, BatchManifest, BatchOutcome } from '../../src/contract/batch.js';
import type { GenerateMediaInput, StoredFile } from '../../src/contract/index.js';
import { FileStore, type Store } from '../../src/storage/index.js';

const root = await mkdtemp(path.join(tmpdir(), 'rivya-batch-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let stores = 0;

export interface MadeItem {
  readonly id: string;
  readonly input?: Partial<GenerateMediaInput>;
  readonly carried?: Readonly<Record<string, string>>;
  /** Left out: the item has not ended. */
  readonly outcome?: Partial<BatchOutcome>;
  /** Bytes of result files, by the ending of their names. */
  readonly results?: Readonly<Record<string, Uint8Array>>;
}

export interface Made {
  readonly directory: string;
  readonly store: Store;
  readonly files: BatchFiles;
  readonly manifest: BatchManifest;
}

/** A batch in a `file:` store of its own. */
export async function madeBatch(
  made: readonly MadeItem[],
  { id = 'spring', columns = [] as string[] } = {},
): Promise<Made> {
  const directory = path.join(root, `store ${++stores}`);
  const store = new FileStore(`file:${directory}`);
  const files = new BatchFiles(store, id);
  const items = made.map((one): BatchItem => itemOf(id, one));
  async function* source(): AsyncGenerator<BatchItem> {
    yield* items;
  }
  const classes = [{ model: 'z-image', items: items.length, estimate: 1 }];
  const manifest = await files.writeManifest(source, { classes, columns, source: null, api: 'rivya.ai' });
  await files.writeHead({
    version: 1,
    manifest: manifest.sha256,
    settings: { maxInFlight: 50, maxCredits: null, maxFailures: null },
    name: null,
    balance: null,
  });
  const write = async (one: MadeItem): Promise<void> => {
    const stored: StoredFile[] = [];
    for (const [n, [ending, bytes]] of Object.entries(one.results ?? {}).entries()) {
      const { uri } = await store.put(
        `${id}/${one.id}/${n + 1}.${ending}`,
        (async function* () {
          yield bytes;
        })(),
      );
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const contentType = { png: 'image/png', mp4: 'video/mp4', mp3: 'audio/mpeg' }[ending] ?? null;
      stored.push({ uri, bytes: bytes.length, sha256, contentType, sourceUrl: 'https://cdn.example/1' });
    }
    if (one.outcome === undefined && stored.length === 0) return;
    await files.writeOutcome(outcomeOf(itemOf(id, one), { files: stored, ...one.outcome }));
  };
  for (let n = 0; n < made.length; n += 100) await Promise.all(made.slice(n, n + 100).map(write));
  return { directory, store, files, manifest };
}

function itemOf(batch: string, { id, input, carried = {} }: MadeItem): BatchItem {
  const request = { model: 'z-image', prompt: `a picture of ${id}`, ...input };
  return {
    id,
    variant: 1,
    workflowId: `${batch}/${id}`,
    input: request,
    digest: `digest of ${id}`,
    priceClass: 0,
    carried,
  };
}

function outcomeOf(item: BatchItem, more: Partial<BatchOutcome>): BatchOutcome {
  const { id: itemId, workflowId, digest, input } = item;
  return {
    version: 1,
    itemId,
    workflowId,
    runId: `run-of-${itemId}`,
    status: 'succeeded',
    digest,
    priceClass: 0,
    model: input.model,
    taskId: `task-${itemId}`,
    taskStatus: more.status === 'failed' ? 'failed' : 'succeeded',
    idempotencyKey: `key-${itemId}`,
    reservedCredits: 1,
    finalCredits: 1,
    earlierCredits: 0,
    attempts: 1,
    statusChecks: 2,
    files: [],
    urls: [],
    error: null,
    simulated: false,
    startedAt: '2026-05-10T10:00:00.000Z',
    endedAt: '2026-05-10T10:00:20.000Z',
    retry: null,
    ...more,
  };
}
