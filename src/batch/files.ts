/**
 * The files of a batch in its store: its manifests, which never change, and a record for each item that ended. The records are
 * the truth of a batch: they outlive its Workflow and everything else that Temporal keeps.
 */
import { createHash } from 'node:crypto';
import type { BatchItem, BatchManifest, BatchOutcome, BatchSettings } from '../contract/batch.js';
import type { Hold } from '../contract/index.js';
import { safeName } from '../storage/names.js';
import { StoreUnavailable, type Store } from '../storage/store.js';
import { jsonText, timely, type Texts } from '../storage/texts.js';

/** Items on a page of a manifest: a page of usual prompts is some 200 kB. */
export const PAGE_SIZE = 500;

/** Items, which can be read more than once: from a file, or from another manifest. */
export type ItemSource = () => AsyncIterable<BatchItem>;

/** The part of a manifest that is not counted from its items. */
export type ManifestAbout = Pick<BatchManifest, 'classes' | 'columns' | 'source' | 'api'>;

/** Facts about a batch that are needed when nothing in Temporal is left. */
export interface BatchHead {
  readonly version: 1;
  /** SHA-256 of the manifest that was started or set last. */
  readonly manifest: string;
  /** Settings of the last start, for one that does not give them. `first` counts for one start only. */
  readonly settings: Omit<BatchSettings, 'first'>;
  /** Template of the names of downloaded files; null for the names in the store. */
  readonly name: string | null;
  /** Credits of the account before anything was started, and when a command looked last; null where they are not known. */
  readonly balance: { readonly before: Balance; readonly last: Balance } | null;
  /** Why the last command ended with a batch that was held, and what to do; null or left out where it was not. */
  readonly held?: Pick<Hold, 'message' | 'action'> | null;
  /**
   * Items that had been started and had not ended when the last command did, at most, and what they may cost; null or left out
   * where there were none. A command that was killed leaves what the one before it had written.
   */
  readonly left?: { readonly items: number; readonly credits: number } | null;
}

export interface Balance {
  readonly at: string;
  readonly credits: number;
}

/** The items have changed between two reads of their source. Nothing was started with them. */
export class SourceChanged extends Error {
  override readonly name = 'SourceChanged';
}

export class BatchFiles {
  readonly batchId: string;
  readonly #texts: Texts;
  readonly #root: string;

  constructor(store: Store, batchId: string) {
    this.batchId = batchId;
    this.#texts = timely(store);
    // Names of results never start with a dot, so no result can take these.
    this.#root = `.rivya/batches/${safeName(batchId)}`;
  }

  /**
   * Writes a manifest, its head last: a manifest that has a head is whole. The same items make the same manifest, which is
   * then not written again. Only a page of items is in memory at a time.
   * @throws SourceChanged where the second read of the source gave other items.
   */
  async writeManifest(source: ItemSource, about: ManifestAbout): Promise<BatchManifest> {
    const sha256 = await digestOf(source);
    const known = await this.manifest(sha256);
    if (known !== null) return known;
    const hash = createHash('sha256');
    let page: string[] = [];
    let [pages, items] = [0, 0];
    const flush = async (): Promise<void> => {
      if (page.length === 0) return;
      await this.#texts.write(this.#page(sha256, pages), page.join(''));
      page = [];
      pages += 1;
    };
    for await (const item of source()) {
      const line = lineOf(item);
      hash.update(line);
      page.push(line);
      items += 1;
      if (page.length === PAGE_SIZE) await flush();
    }
    await flush();
    if (hash.digest('hex') !== sha256) throw new SourceChanged('The items have changed while they were read.');
    const { batchId } = this;
    const createdAt = new Date().toISOString();
    const made: BatchManifest = { version: 1, sha256, batchId, items, pageSize: PAGE_SIZE, pages, ...about, createdAt };
    await this.#texts.write(this.#head(sha256), jsonText(made));
    return made;
  }

  /** Null where the store has no such manifest. */
  async manifest(sha256: string): Promise<BatchManifest | null> {
    const text = await this.#texts.read(this.#head(sha256));
    return text === null ? null : (parse(text, this.#head(sha256)) as BatchManifest);
  }

  /** SHA-256 of the manifests in the store, in no order. */
  async manifests(): Promise<readonly string[]> {
    return this.#texts.list(`${this.#root}/manifests`);
  }

  /** Null where nothing was started yet. */
  async head(): Promise<BatchHead | null> {
    const name = `${this.#root}/batch.json`;
    const text = await this.#texts.read(name);
    return text === null ? null : (parse(text, name) as BatchHead);
  }

  async writeHead(head: BatchHead): Promise<void> {
    await this.#texts.write(`${this.#root}/batch.json`, jsonText(head));
  }

  /** Changes the head as it is now, so that what another command has written meanwhile stays. */
  async changeHead(change: (head: BatchHead) => Partial<BatchHead>): Promise<void> {
    const head = await this.head();
    if (head !== null) await this.writeHead({ ...head, ...change(head) });
  }

  /** The manifest that was started or set last; null where nothing was started yet. */
  async current(): Promise<BatchManifest | null> {
    const head = await this.head();
    return head === null ? null : this.manifest(head.manifest);
  }

  /** @param index - From 0. */
  async page({ sha256 }: Pick<BatchManifest, 'sha256'>, index: number): Promise<readonly BatchItem[]> {
    const name = this.#page(sha256, index);
    const text = await this.#texts.read(name);
    if (text === null)
      throw new StoreUnavailable(`The manifest of batch ${this.batchId} is incomplete: ${name} is missing.`);
    return text.split('\n').flatMap((line) => (line === '' ? [] : [parse(line, name) as BatchItem]));
  }

  /** The items in the order of the input, or the first ones, a page in memory at a time. */
  async *items(manifest: Pick<BatchManifest, 'sha256' | 'pages'>, first = Infinity): AsyncGenerator<BatchItem> {
    let left = first;
    for (let index = 0; index < manifest.pages && left > 0; index += 1) {
      const items = await this.page(manifest, index);
      yield* items.slice(0, left);
      left -= items.length;
    }
  }

  /** The items with these Workflow IDs, from whichever manifest has them. */
  async itemsNamed(workflowIds: ReadonlySet<string>): Promise<readonly BatchItem[]> {
    const found = new Map<string, BatchItem>();
    for (const sha256 of await this.manifests()) {
      const manifest = found.size < workflowIds.size ? await this.manifest(sha256) : null;
      if (manifest === null) continue;
      for await (const item of this.items(manifest)) {
        if (workflowIds.has(item.workflowId)) found.set(item.workflowId, item);
      }
    }
    return [...found.values()];
  }

  /** The record of an item by its Workflow ID; null while it has not ended. An item of other content has another one. */
  async outcome(workflowId: string): Promise<BatchOutcome | null> {
    const text = await this.#texts.read(this.#outcome(workflowId));
    return text === null ? null : (parse(text, this.#outcome(workflowId)) as BatchOutcome);
  }

  /** Replaces the record that the item has. */
  async writeOutcome(outcome: BatchOutcome): Promise<void> {
    await this.#texts.write(this.#outcome(outcome.workflowId), jsonText(outcome));
  }

  /** True for each Workflow ID that has a record: one list instead of a read for each item. */
  async ended(): Promise<(workflowId: string) => boolean> {
    const names = new Set(await this.#texts.list(`${this.#root}/outcomes`));
    return (workflowId) => names.has(this.#recordName(workflowId));
  }

  /** The records that are of none of these items: those of items that have left the input, or are of other content now. */
  async *gone(
    items: AsyncIterable<Pick<BatchItem, 'workflowId'>> | Iterable<Pick<BatchItem, 'workflowId'>>,
  ): AsyncGenerator<BatchOutcome> {
    const names = new Set(await this.#texts.list(`${this.#root}/outcomes`));
    if (names.size === 0) return;
    for await (const { workflowId } of items) names.delete(this.#recordName(workflowId));
    for (const file of names) {
      const name = `${this.#root}/outcomes/${file}`;
      const text = await this.#texts.read(name);
      if (text !== null) yield parse(text, name) as BatchOutcome;
    }
  }

  /** @throws StoreUnavailable where no record could be written now. */
  async probe(): Promise<void> {
    await this.#texts.write(`${this.#root}/probe`, '');
  }

  #head(sha256: string): string {
    return `${this.#root}/manifests/${sha256}/manifest.json`;
  }

  #page(sha256: string, index: number): string {
    return `${this.#root}/manifests/${sha256}/items-${String(index + 1).padStart(5, '0')}.jsonl`;
  }

  #outcome(workflowId: string): string {
    return `${this.#root}/outcomes/${this.#recordName(workflowId)}`;
  }

  /** By the part of the Workflow ID behind that of the batch. */
  #recordName(workflowId: string): string {
    return `${safeName(workflowId.slice(this.batchId.length + 1))}.json`;
  }
}

function lineOf(item: BatchItem): string {
  return `${JSON.stringify(item)}\n`;
}

async function digestOf(source: ItemSource): Promise<string> {
  const hash = createHash('sha256');
  for await (const item of source()) hash.update(lineOf(item));
  return hash.digest('hex');
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new StoreUnavailable(`${name} in the store is not JSON. Take it away, then start the batch again.`, {
      retryable: false,
    });
  }
}
