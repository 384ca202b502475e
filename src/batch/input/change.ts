/** What another input changes in a batch that has had one: which items are new, and which are the same and not paid again. */
import type { BatchItem, BatchManifest, PriceClass } from '../../contract/batch.js';
import { InvalidInput } from '../../policy/fields.js';
import { SourceChanged, type BatchFiles, type ItemSource, type ManifestAbout } from '../files.js';
import { estimate, PriceClasses, type Estimate } from './classes.js';

/** IDs that are shown of each kind. */
const SHOWN = 10;

export interface ChangedItems {
  readonly items: number;
  /** The first 10. */
  readonly ids: readonly string[];
}

export interface Changes {
  readonly same: ChangedItems;
  readonly new: ChangedItems;
  /** Items of an ID whose request is another one now. */
  readonly changed: ChangedItems;
  readonly gone: ChangedItems;
  /** Credits of the new and changed items. */
  readonly estimate: Estimate;
}

/** Compares the items of two manifests. Of the first one only IDs and digests are in memory, of the second one nothing. */
export async function changesBetween(
  before: AsyncIterable<BatchItem>,
  after: AsyncIterable<BatchItem>,
  classes: readonly PriceClass[],
): Promise<Changes> {
  const kinds = { same: kind(), new: kind(), changed: kind(), gone: kind() };
  const digests = new Map<string, string>();
  for await (const { id, digest } of before) digests.set(id, digest);
  const toPay = classes.map(() => 0);
  for await (const { id, digest, priceClass } of after) {
    const known = digests.get(id);
    digests.delete(id);
    const name = known === undefined ? 'new' : known === digest ? 'same' : 'changed';
    count(kinds[name], id);
    if (name !== 'same') toPay[priceClass] = (toPay[priceClass] ?? 0) + 1;
  }
  for (const id of digests.keys()) count(kinds.gone, id);
  return { ...kinds, estimate: estimate(classes.map((known, index) => ({ ...known, items: toPay[index] ?? 0 }))) };
}

function kind(): { items: number; ids: string[] } {
  return { items: 0, ids: [] };
}

function count(into: ReturnType<typeof kind>, id: string): void {
  into.items += 1;
  if (into.ids.length < SHOWN) into.ids.push(id);
}

/**
 * For `readBatchInput`: the digest with which the Workflow `<batch>/<id>` was started, or may be, by ID. An item that has
 * another one needs another Workflow.
 */
export async function earlierItems(files: BatchFiles): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  for (const manifest of await manifestsOf(files)) {
    for await (const { id, workflowId, digest } of files.items(manifest)) {
      if (workflowId === `${files.batchId}/${id}` && !digests.has(id)) digests.set(id, digest);
    }
  }
  return digests;
}

/**
 * The manifest that was made from the same file in the same way (`sourceDigest`); null for none. It is the present one where
 * items were added or dropped since.
 */
export async function manifestOfSource(
  files: BatchFiles,
  source: string,
  present: BatchManifest | null = null,
): Promise<BatchManifest | null> {
  if (present?.source === source) return present;
  return (await manifestsOf(files)).find((manifest) => manifest.source === source) ?? null;
}

/** The manifests that are whole, the oldest one first. */
async function manifestsOf(files: BatchFiles): Promise<readonly BatchManifest[]> {
  const all = await Promise.all((await files.manifests()).map((sha256) => files.manifest(sha256)));
  return all.filter((manifest) => manifest !== null).toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
}

export interface ChangedInput {
  readonly source: ItemSource;
  readonly about: ManifestAbout;
  readonly items: number;
}

/**
 * `batch add`: the items of a manifest, and behind them those of an input that it does not have yet.
 * @throws InvalidInput for an ID that the manifest has with another content.
 */
export async function withAdded(
  files: BatchFiles,
  manifest: BatchManifest,
  input: Pick<ChangedInput, 'source' | 'about'>,
): Promise<ChangedInput> {
  const digests = new Map<string, string>();
  for await (const { id, digest } of files.items(manifest)) digests.set(id, digest);
  async function* source(): AsyncGenerator<BatchItem> {
    yield* files.items(manifest);
    for await (const item of input.source()) {
      const known = digests.get(item.id);
      if (known === undefined) yield item;
      else if (known !== item.digest) throw new InvalidInput('id', `the batch has "${item.id}" with another content`);
    }
  }
  const columns = [...new Set([...manifest.columns, ...input.about.columns])];
  return repriced(source, { ...manifest, columns }, [...manifest.classes, ...input.about.classes]);
}

/** `batch drop`: the items of a manifest without some. */
export async function withDropped(files: BatchFiles, manifest: BatchManifest, ids: ReadonlySet<string>) {
  async function* source(): AsyncGenerator<BatchItem> {
    for await (const item of files.items(manifest)) if (!ids.has(item.id)) yield item;
  }
  return repriced(source, manifest, manifest.classes);
}

async function repriced(
  source: ItemSource,
  { columns, api, source: file }: Omit<ManifestAbout, 'classes'>,
  known: readonly PriceClass[],
): Promise<ChangedInput> {
  const classes = new PriceClasses();
  let items = 0;
  for await (const item of source()) {
    classes.add(item);
    items += 1;
  }
  const priceOf = (model: string): number | null =>
    known.findLast(({ model: other, estimate: price }) => other === model && price !== null)?.estimate ?? null;
  const about = { classes: classes.list(priceOf), columns, api, source: file };
  async function* priced(): AsyncGenerator<BatchItem> {
    for await (const item of source()) {
      const now = classes.priced(item);
      if (now === null) throw new SourceChanged('The items have changed while they were read. Start again.');
      yield now;
    }
  }
  return { source: priced, about, items };
}
