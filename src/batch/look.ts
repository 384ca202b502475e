/**
 * One look at a batch: records the items that have ended, then starts the next ones. It guarantees that an item is started only
 * if neither the store nor Temporal knows it, and that each outcome is in the store before it is counted. A look that is
 * repeated, or runs twice at a time, starts and records the same. `rivyaBatchTick` calls it.
 */
import type { Client } from '@temporalio/client';
import { isOpen, MEMO_FIELD } from '../contract/index.js';
import type { BatchItem, BatchManifest, BatchOutcome, BatchProgress } from '../contract/index.js';
import type { BatchTickInput, BatchTickResult, GenerationMemo, OpenItem } from '../contract/index.js';
import * as policy from '../policy/index.js';
import type { BatchHold, Running } from '../policy/index.js';
import { StoreSettingError, StoreUnavailable, type Store } from '../storage/store.js';
import { decoded, describeRun, listedRuns } from '../temporal/runs.js';
import { hasAttributes } from '../temporal/search-attributes.js';
import { BatchFiles } from './files.js';
import { inLanes } from './lanes.js';
import { CALLS, recordEnd, recordUnseen, startItem, unstarted } from './outcome.js';
import { runningQuery } from './running.js';

export interface LookDependencies {
  readonly client: Client;
  /** Null: the Worker has none, and the batch holds. */
  readonly store: Store | null;
  /** The API of the Workers, as `batchApi` names it. */
  readonly api: string;
  readonly batchId: string;
  /** Of the items. */
  readonly taskQueue: string;
  /** True once nothing more is to be begun. */
  readonly stopped: () => boolean;
}

/** A look, and what a wait for the next one needs to know. */
export interface Look extends BatchTickResult {
  /** Items that run now, also those of other manifests. */
  readonly running: number;
  /** Items that were recorded or started. */
  readonly changes: number;
  /** True where a free slot would be filled. */
  readonly more: boolean;
  /** True where an item waits for the price of its class. */
  readonly probing: boolean;
}

const READS = 16;
// A look returns after this, so that its progress is kept.
const COUNT_MS = 20_000;
const TRY_AGAIN_MS = 10_000;
// Items behind one that waits for the price of its class, which are looked at in each look until it is known.
const LOOK_AHEAD = 500;
const MODELS_NAMED = 5;
// As far as one look can have started items that the next one does not know: the most that may run, and those ahead.
const ADOPTED_WITHIN = 1_000 + LOOK_AHEAD;

export async function lookAtBatch(input: BatchTickInput, dependencies: LookDependencies): Promise<Look> {
  const { client, store, api, batchId } = dependencies;
  const { progress } = input;
  const nothing = { seen: null, done: false, running: 0, changes: 0, more: false, probing: false };
  const held = (hold: BatchHold, waitMs = TRY_AGAIN_MS): Look => ({ ...nothing, progress, hold, waitMs });
  if (store === null) return held(STORE_MISSING);
  if ((await hasAttributes(client)) === false) return held(attributesMissing(client.options.namespace));
  const files = new BatchFiles(store, batchId);
  try {
    const manifest = await files.manifest(input.manifest);
    if (manifest === null) return held(manifestMissing(store, input.manifest));
    if (manifest.api !== api) return held(otherApi(manifest.api, api));
    return await new BatchLook(input, { ...dependencies, store, files, manifest }).run();
  } catch (error) {
    if (isOfStore(error)) return held(storeUnavailable(error));
    throw error;
  }
}

type Parts = LookDependencies & { readonly store: Store; readonly files: BatchFiles; readonly manifest: BatchManifest };

class BatchLook {
  readonly #input: BatchTickInput;
  readonly #parts: Parts;
  readonly #total: number;
  readonly #begun = Date.now();
  readonly #pages = new Map<number, Promise<readonly BatchItem[]>>();
  #progress: BatchProgress;
  /** Items that run, as the list shows them. */
  #listed: ReadonlyMap<string, GenerationMemo | null> = new Map();
  /** Items whose Workflow Temporal does not know any more. */
  #gone: OpenItem[] = [];
  #wrote = false;
  #changes = 0;

  constructor(input: BatchTickInput, parts: Parts) {
    this.#input = input;
    this.#parts = parts;
    this.#progress = input.progress;
    this.#total = policy.itemsOf(parts.manifest, input.settings);
  }

  async run(): Promise<Look> {
    const { client, batchId, manifest, api } = this.#parts;
    const { settings, paused } = this.#input;
    let hold: BatchHold | null = null;
    let pricing: readonly string[] = [];
    let gate = new policy.Gate({ ...this.#gateInput([]), now: this.#begun });
    let running: Running[] = [];
    try {
      this.#listed = await runningItems(client, batchId);
      await this.#recordEnded();
      if (this.#progress.counting !== null) await this.#count();
      if (this.#progress.counting === null) {
        await this.#recordLeft();
        await this.#adopt();
      }
      running = this.#running();
      this.#progress = policy.withReserved(this.#progress, running);
      gate = new policy.Gate({ ...this.#gateInput(running), now: this.#begun });
      hold = policy.brake(this.#gateInput(running));
      if (hold === null && !paused && this.#progress.counting === null) ({ hold, pricing } = await this.#start(gate));
    } catch (error) {
      // What was recorded is counted all the same.
      if (!isOfStore(error)) throw error;
      hold = storeUnavailable(error);
    }
    const { counting, next, open, left = [], ended } = this.#progress;
    const isCounted = counting === null;
    const started = isCounted && next >= this.#total;
    const records = Object.values(ended).reduce((sum, count) => sum + count, 0);
    const over = started && open.length + left.length === 0;
    // Another look has counted otherwise, as one that was given up may: the records are counted anew.
    const recount = over && records !== this.#total;
    const isHeldByStore = hold?.code === STORE_UNAVAILABLE;
    const idle = open.length === 0 && running.length === 0 && (hold !== null || paused);
    return {
      progress: recount ? policy.progressAtStart(this.#progress) : this.#progress,
      seen: {
        items: this.#total,
        heldBy: policy.heldBy(running),
        committedCredits: policy.round(gate.committed),
        simulated: api === 'emulator',
        pricing: pricing.slice(0, MODELS_NAMED),
        lastEnd: policy.lastEnd(running),
      },
      hold,
      done: over && !recount,
      waitMs: isHeldByStore || recount ? TRY_AGAIN_MS : idle ? null : 0,
      running: isCounted && !recount ? Math.max(running.length, open.length) : 0,
      more: !paused && hold === null && next < this.#total && manifest.items > 0 && settings.maxInFlight > 0,
      probing: pricing.length > 0,
      changes: this.#changes,
    };
  }

  #gateInput(running: readonly Running[]) {
    const { batchId, manifest } = this.#parts;
    return { batchId, manifest, settings: this.#input.settings, progress: this.#progress, running };
  }

  /** Items that are open, and others of the batch that run: those that have left the manifest. */
  #running(): Running[] {
    const ours = this.#progress.open.map(({ workflowId, priceClass, earlierCredits, again }) => {
      return { workflowId, priceClass, earlierCredits, again, memo: this.#listed.get(workflowId) ?? null };
    });
    const known = new Set(ours.map(({ workflowId }) => workflowId));
    const left = (this.#progress.left ?? []).map(({ workflowId }) => workflowId);
    const others = [...new Set([...left, ...this.#listed.keys()])].filter((workflowId) => !known.has(workflowId));
    return [
      ...ours,
      ...others.map((workflowId) => ({ workflowId, priceClass: null, memo: this.#listed.get(workflowId) ?? null })),
    ];
  }

  /** Writes and counts the records of open items that are listed no more. Their latest runs say what became of them. */
  async #recordEnded(): Promise<void> {
    const { client } = this.#parts;
    const unlisted = this.#progress.open.filter(({ workflowId }) => !this.#listed.has(workflowId));
    const runs = await inLanes(unlisted, CALLS, async (open) => {
      return { open, run: await describeRun(client, open.workflowId) };
    });
    this.#gone = runs.filter(({ run }) => run === null).map(({ open }) => open);
    const over = runs.flatMap(({ open, run }) => (run === null || isOpen(run.status.name) ? [] : [{ open, run }]));
    await inLanes(over, CALLS, async ({ open, run }) => {
      const item = await this.#item(open.index);
      const expected = policy.expectedPrice(this.#parts.manifest, this.#progress, item.priceClass);
      const outcome = await recordEnd(this.#parts, item, run, expected);
      this.#wrote = true;
      this.#changes += 1;
      // In the order in which the items end or nearly so: it matters for failures in a row alone.
      this.#take(outcome, open, expected);
    });
  }

  #take(outcome: BatchOutcome, open: OpenItem, expected: number): void {
    const { priceClass } = open;
    const now = Date.parse(outcome.endedAt);
    const counted = policy.counted(this.#progress, outcome, { priceClass, expected, now });
    const others = counted.open.filter(({ index }) => index !== open.index);
    // The new record has what the one before it had, which was counted at the start.
    this.#progress = policy.withPaid({ ...counted, open: others }, -(open.earlierCredits ?? 0));
  }

  /** The same for items that have left the manifest: of them only the credits count. */
  async #recordLeft(): Promise<void> {
    const { client, files } = this.#parts;
    const unlisted = (this.#progress.left ?? []).filter(({ workflowId }) => !this.#listed.has(workflowId));
    if (unlisted.length === 0) return;
    const items = await files.itemsNamed(new Set(unlisted.map(({ workflowId }) => workflowId)));
    for (const { workflowId, earlierCredits = 0 } of unlisted) {
      const item = items.find((one) => one.workflowId === workflowId);
      const run = await describeRun(client, workflowId);
      if (run !== null && isOpen(run.status.name)) continue;
      if (run !== null && item !== undefined) {
        const record = await recordEnd(this.#parts, item, run, 0);
        this.#changes += 1;
        this.#progress = policy.withPaid(this.#progress, paidFor(record) - earlierCredits);
      }
      const left = this.#progress.left?.filter((one) => one.workflowId !== workflowId) ?? [];
      this.#progress = { ...this.#progress, left };
    }
  }

  /** Counts the records of all items, page by page, and finds the items that run. Nothing is started before. */
  async #count(): Promise<void> {
    const { files, manifest, stopped } = this.#parts;
    if (this.#progress.left === undefined) {
      await recordUnseen(this.#parts, stopped);
      if (stopped()) return;
    }
    const left = new Set(this.#progress.left?.map(({ workflowId }) => workflowId));
    const hasRecord = await files.ended();
    const { counting } = this.#progress;
    const pages = Math.ceil(this.#total / manifest.pageSize);
    let page = counting ?? 0;
    // Where the first page is counted, the place of the next item is not known yet.
    let next = page === 0 ? this.#total : this.#progress.next;
    for (; page < pages && Date.now() - this.#begun < COUNT_MS && !stopped(); page++) {
      const first = page * manifest.pageSize;
      const items = (await this.#page(page)).slice(0, this.#total - first);
      const records = await inLanes(items, READS, async (item) => {
        return this.#edited(item, hasRecord(item.workflowId) ? await files.outcome(item.workflowId) : null);
      });
      for (const [place, item] of items.entries()) {
        const index = first + place;
        const record = records[place] ?? null;
        const { priceClass, workflowId } = item;
        const wasOpen = left.delete(workflowId);
        if (policy.hasEnded(record)) {
          const expected = policy.expectedPrice(manifest, this.#progress, priceClass);
          this.#progress = policy.counted(this.#progress, record, { priceClass, expected });
          continue;
        }
        const opened = this.#opened(item, record);
        this.#progress = policy.withPaid(this.#progress, opened.earlierCredits ?? 0);
        const runs = this.#listed.has(workflowId) || (wasOpen && record === null);
        if (runs) this.#open([{ index, ...opened }]);
        else next = Math.min(next, index);
      }
      this.#pages.delete(page);
    }
    if (page === pages) {
      for await (const record of files.gone(files.items(manifest, this.#total))) {
        this.#progress = policy.withPaid(this.#progress, paidFor(record));
      }
    }
    const others = await inLanes([...left], READS, (workflowId) => this.#left(workflowId));
    this.#progress = { ...this.#progress, next, left: others, counting: page < pages ? page : null };
  }

  /** The record of an item after the requests to start it again or to skip it. */
  async #edited(item: BatchItem, record: BatchOutcome | null): Promise<BatchOutcome | null> {
    const { files, client, api } = this.#parts;
    const ended = policy.hasEnded(record);
    let edited: BatchOutcome | null = null;
    if (record !== null && ended && this.#input.retry.includes(item.id)) {
      edited = { ...record, retry: policy.retryKind(record, item.input) };
    }
    if (!ended && this.#input.skip.includes(item.id) && (await describeRun(client, item.workflowId)) === null) {
      edited = unstarted(item, api === 'emulator');
    }
    if (edited !== null) await files.writeOutcome(edited);
    return edited ?? record;
  }

  /**
   * Takes in items that run although this look does not know them: a look that did not come to its end has started them. Those
   * that are not in the manifest have left it.
   */
  async #adopt(): Promise<void> {
    const { next, open, left = [] } = this.#progress;
    const known = new Set([...open, ...left].map(({ workflowId }) => workflowId));
    const others = new Set([...this.#listed.keys()].filter((workflowId) => !known.has(workflowId)));
    const last = Math.min(this.#total, next + ADOPTED_WITHIN);
    for (let index = next; index < last && others.size > 0; index++) {
      const item = await this.#item(index);
      if (!others.delete(item.workflowId)) continue;
      this.#open([{ index, ...this.#opened(item, await this.#parts.files.outcome(item.workflowId)) }]);
    }
    const more = await inLanes([...others], READS, (workflowId) => this.#left(workflowId));
    this.#progress = { ...this.#progress, left: [...left, ...more] };
  }

  async #left(workflowId: string): Promise<Pick<OpenItem, 'workflowId' | 'earlierCredits'>> {
    const record = await this.#parts.files.outcome(workflowId);
    return { workflowId, ...(record !== null && { earlierCredits: paidFor(record) }) };
  }

  #opened({ workflowId, priceClass }: BatchItem, record: BatchOutcome | null): Omit<OpenItem, 'index'> {
    const expected = policy.expectedPrice(this.#parts.manifest, this.#progress, priceClass);
    const earlierCredits = policy.creditsBefore(record, expected);
    const again = record !== null && record.retry !== null;
    return { workflowId, priceClass, ...(earlierCredits > 0 && { earlierCredits }), ...(again && { again }) };
  }

  /** Starts items in the order of the manifest, as far as the gate lets them. */
  async #start(gate: policy.Gate): Promise<{ hold: BatchHold | null; pricing: string[] }> {
    const { files, manifest, stopped } = this.#parts;
    const opened = new Set(this.#progress.open.map(({ workflowId }) => workflowId));
    const gone = new Set(this.#gone.map(({ workflowId }) => workflowId));
    const due: { readonly item: BatchItem; readonly index: number; readonly record: BatchOutcome | null }[] = [];
    for (const { index } of this.#gone) {
      const item = await this.#item(index);
      due.push({ item, index, record: await files.outcome(item.workflowId) });
    }
    let { next } = this.#progress;
    let hold: BatchHold | null = null;
    const pricing = new Set<string>();
    let index = next;
    const passed = (): void => {
      index += 1;
      if (pricing.size === 0) next = index;
    };
    // Few where few slots are free; more where all of them have ended already.
    let size = Math.max(gate.slots, 6);
    walk: while (gate.slots > 0 && index < this.#total && index - next < LOOK_AHEAD && !stopped()) {
      const page = Math.floor(index / manifest.pageSize);
      const from = index % manifest.pageSize;
      const items = (await this.#page(page)).slice(from, from + Math.min(size, this.#total - index));
      const records = await inLanes(items, READS, async ({ workflowId }) => {
        return opened.has(workflowId) ? null : files.outcome(workflowId);
      });
      for (const [place, item] of items.entries()) {
        const record = records[place] ?? null;
        const { workflowId } = item;
        if (opened.has(workflowId) || gone.has(workflowId) || policy.hasEnded(record)) {
          passed();
          continue;
        }
        const verdict = gate.admit(this.#opened(item, record));
        if (verdict === 'probing') {
          pricing.add(item.input.model);
          index += 1;
          continue;
        }
        if (verdict !== 'start') {
          hold = verdict === 'full' ? null : verdict;
          break walk;
        }
        due.push({ item, index, record });
        passed();
      }
      size = Math.min(2 * size, 100);
    }
    if (due.length > 0 && !this.#wrote) await files.probe();
    this.#changes += due.length;
    await inLanes(due, CALLS, async ({ item, record }) => {
      if (!stopped()) await startItem(this.#parts, item, record);
    });
    this.#open(due.map(({ item, record, index: at }) => ({ index: at, ...this.#opened(item, record) })));
    this.#progress = { ...this.#progress, next };
    return { hold, pricing: [...pricing] };
  }

  #open(items: readonly OpenItem[]): void {
    const known = new Set(this.#progress.open.map(({ index }) => index));
    const others = items.filter(({ index }) => !known.has(index));
    const opened = new Set(others.map(({ workflowId }) => workflowId));
    const { open, left } = this.#progress;
    // An item counts once.
    const rest = left?.filter(({ workflowId }) => !opened.has(workflowId));
    this.#progress = { ...this.#progress, open: [...open, ...others], ...(rest !== undefined && { left: rest }) };
  }

  async #item(index: number): Promise<BatchItem> {
    const { pageSize } = this.#parts.manifest;
    const item = (await this.#page(Math.floor(index / pageSize)))[index % pageSize];
    if (item === undefined) throw new StoreUnavailable(`The manifest has no item ${index}.`, { retryable: false });
    return item;
  }

  #page(page: number): Promise<readonly BatchItem[]> {
    const known = this.#pages.get(page) ?? this.#parts.files.page(this.#parts.manifest, page);
    this.#pages.set(page, known);
    return known;
  }
}

/** Credits of a record which is of no item of the manifest. */
function paidFor(record: BatchOutcome): number {
  return policy.creditsBefore({ ...record, retry: null }, 0);
}

/** The items of a batch that run, by their Workflow IDs, each with its memo. The list lags by seconds. */
async function runningItems(client: Client, batchId: string): Promise<Map<string, GenerationMemo | null>> {
  const items = new Map<string, GenerationMemo | null>();
  for await (const { execution, memo } of listedRuns(client, runningQuery(batchId))) {
    const workflowId = execution?.workflowId ?? '';
    const field = memo?.fields?.[MEMO_FIELD];
    // A memo that cannot be read says nothing of a hold; the item runs all the same.
    const value = await decoded(client, workflowId, 'memo', field).catch(() => null);
    items.set(workflowId, policy.readMemo(value));
  }
  return items;
}

const STORE_UNAVAILABLE = 'StoreUnavailable';
const NO_STORE = 'A batch keeps its items, records and results in a store, and this Worker has none.';
const STORE_MISSING = policy.batchHold(
  'StoreMissing',
  `${NO_STORE} Nothing is started and nothing is paid.`,
  'Start the Worker again with RIVYA_STORE, for example file:/data/rivya or s3://bucket/prefix: the batch goes on by itself.',
);

function attributesMissing(namespace: string): BatchHold {
  return policy.batchHold(
    'SearchAttributesMissing',
    `A batch finds its items by search attributes, which the namespace "${namespace}" does not have. Nothing is started and nothing is paid.`,
    'Register them, and the batch goes on within a minute: rivya-temporal setup',
  );
}

function manifestMissing({ address }: Store, sha256: string): BatchHold {
  return policy.batchHold(
    'ManifestMissing',
    `The store ${address} has no manifest ${sha256.slice(0, 12)}… of this batch. Nothing is started and nothing is paid.`,
    'Start the Worker with the store that the batch was made with (RIVYA_STORE): the batch goes on by itself.',
  );
}

function otherApi(wanted: string, ours: string): BatchHold {
  const named = (api: string): string => (api === 'emulator' ? 'the emulator' : api);
  return policy.batchHold(
    'OtherApi',
    `This batch is for ${named(wanted)}, and the Worker calls ${named(ours)}. Nothing is started: the two are never mixed in one batch.`,
    `Start the Worker with the RIVYA_BASE_URL of ${named(wanted)}, or make a batch under another --id.`,
  );
}

function isOfStore(error: unknown): error is Error {
  return error instanceof StoreUnavailable || error instanceof StoreSettingError;
}

function storeUnavailable({ message }: Error): BatchHold {
  const action = 'Repair the store; the batch goes on by itself. Items that run go on.';
  return policy.batchHold(STORE_UNAVAILABLE, message, action);
}
