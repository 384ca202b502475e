/** A batch as its users see it, and its files in the store. Imports types only and contains no code. */
import type { StoredFile } from './activities.js';
import type { EndRange, GenerateMediaInput, Hold } from './generation.js';

/** One item of a manifest: a generation and the columns that go along. */
export interface BatchItem {
  /** Unique in its batch: 1 to 100 characters of `A-Za-z0-9._-`, given or derived from the content. */
  readonly id: string;
  /** 1, or the number of this item among those that the input has with the same content (or the same given ID). */
  readonly variant: number;
  /** `<batch>/<id>`; an item whose content was changed under the same ID gets a digest at its end. */
  readonly workflowId: string;
  readonly input: GenerateMediaInput;
  /** Digest of the request (as in `InputIdentity`): equal requests have the same one. */
  readonly digest: string;
  /** Index into `BatchManifest.classes`. */
  readonly priceClass: number;
  /** Columns that the batch does not read, by name, for the tables of results. */
  readonly carried: Readonly<Record<string, string>>;
}

/** Items that are expected to cost the same: one model with the same params, or a whole model where its params vary a lot. */
export interface PriceClass {
  readonly model: string;
  /** Number of items of this class. */
  readonly items: number;
  /** Starting price by the list of models when the manifest was made; null where it names none. */
  readonly estimate: number | null;
  /** The most attempts that an item of it may pay for (`options.maxAttempts`); left out where it is one. */
  readonly attempts?: number;
}

/** The head of a manifest. A manifest never changes; an edited input makes another one. */
export interface BatchManifest {
  readonly version: 1;
  /** SHA-256 of its items, in hex. It names the manifest. */
  readonly sha256: string;
  readonly batchId: string;
  readonly items: number;
  /** Items on each page but the last one. */
  readonly pageSize: number;
  readonly pages: number;
  readonly classes: readonly PriceClass[];
  /** Names of the carried columns, in the order of the input. */
  readonly columns: readonly string[];
  /**
   * SHA-256 of the input file and of the options that it was read with: the same ones need not be read again. `batch add` and
   * `batch drop` keep it. Null for items that are of no file.
   */
  readonly source: string | null;
  /** Host of the API, or `emulator`: the two are never mixed in one batch. */
  readonly api: string;
  readonly createdAt: string;
}

/** How an item ended. `skipped` items were never started. */
export type OutcomeStatus = 'succeeded' | 'failed' | 'cancelled' | 'skipped';

/** The record of an item that ended, one file in the store for each item. The records are the truth of a batch. */
export interface BatchOutcome {
  readonly version: 1;
  readonly itemId: string;
  readonly workflowId: string;
  /** The run that ended; null for a skipped item. */
  readonly runId: string | null;
  readonly status: OutcomeStatus;
  readonly digest: string;
  readonly priceClass: number;
  readonly model: string;
  readonly taskId: string | null;
  /** The last status that the API gave for the task. The final credits are final after `succeeded` and `failed` only. */
  readonly taskStatus: string | null;
  readonly idempotencyKey: string | null;
  readonly reservedCredits: number | null;
  readonly finalCredits: number | null;
  /** Credits of the attempts before the last one: for those whose final credits are not known, what was reserved or expected. */
  readonly earlierCredits: number;
  /** Final credits of the tasks before the last one by their IDs, as far as they are known; left out where none are. */
  readonly earlierTasks?: Readonly<Record<string, number>>;
  /** Tasks that were paid for, or may have been. */
  readonly attempts: number;
  readonly statusChecks: number;
  readonly files: readonly StoredFile[];
  /** Result links; they expire. */
  readonly urls: readonly string[];
  readonly error: { readonly code: string; readonly message: string; readonly action: string | null } | null;
  readonly simulated: boolean;
  readonly startedAt: string | null;
  readonly endedAt: string;
  /**
   * Set by `batch retry`: the next look starts the item again. `wait` waits again for its task and pays nothing; `buy`
   * allows one more paid task.
   */
  readonly retry: 'wait' | 'buy' | null;
}

/** Settings of a batch that may change while it runs. */
export interface BatchSettings {
  /** Items that may be open at the same time. 1 to 1,000, default 50. */
  readonly maxInFlight: number;
  /** Credits that all items together may cost; null: any number. */
  readonly maxCredits: number | null;
  /** Failed items at which the batch holds: a number, or a share of all items such as `"20%"`; null: any number. */
  readonly maxFailures: string | null;
  /** Only this many items of the manifest are started; null: all. */
  readonly first: number | null;
}

/** Input of the Workflow `rivyaBatch`; its Workflow ID is the ID of the batch. */
export interface BatchInput {
  /** SHA-256 of the manifest in the store. */
  readonly manifest: string;
  readonly settings: BatchSettings;
}

export interface BatchCounts {
  readonly items: number;
  /** Items that have ended, by how they ended. */
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly skipped: number;
  /** Items whose Workflow runs, also those that have left the manifest; those that are held are among them. */
  readonly open: number;
  readonly held: number;
  /** Failed items by error code, and held items by the code of their hold; at most 20 codes each. */
  readonly failedBy: Readonly<Record<string, number>>;
  readonly heldBy: Readonly<Record<string, number>>;
}

/** Answer of the query `batch`, and the memo of a batch (field `rivyaBatch`). */
export interface BatchState extends BatchInput {
  readonly phase: 'running' | 'paused' | 'held' | 'done' | 'cancelled';
  readonly counts: BatchCounts;
  /** Credits of items that ended; of items that are open: the larger of reserved and expected. */
  readonly spentCredits: number;
  readonly committedCredits: number;
  /** Why nothing is started; null while items are started, or all are. */
  readonly hold: Hold | null;
  /**
   * Models whose price is waited for, the first 5: an item of each runs first, and its price decides on the others. Left out
   * before it is known.
   */
  readonly pricing?: readonly string[];
  /** Items that ended in the last 10 minutes, for each minute. */
  readonly perMinute: number;
  /** When the last of the items that run should end, by earlier tasks like them; left out or null where nothing is known of them. */
  readonly lastEnd?: EndRange | null;
  readonly startedAt: string;
  readonly simulated: boolean;
}

/**
 * The Updates and Signals of `rivyaBatch` by their names, each with its argument. The answer of an Update is a sentence. The
 * items that run go on, whatever is sent.
 */
export interface BatchRequests {
  /** Starts nothing more until `resume`. */
  readonly pause: undefined;
  /** Goes on after `pause` or a hold: accepts the failures and the prices that were seen so far. */
  readonly resume: undefined;
  readonly setMaxInFlight: Pick<BatchSettings, 'maxInFlight'>;
  readonly setMaxCredits: Pick<BatchSettings, 'maxCredits'>;
  /** Starts an item again that has ended: waits for the task that it has, or allows one more where the task has failed. */
  readonly retryItem: { readonly itemId: string };
  /** Never starts this item. An item that runs or has ended stays as it is. */
  readonly skipItem: { readonly itemId: string };
  /**
   * Goes on with another manifest of the store, or looks through the same one again, as after records were changed. `from`: the
   * manifest that it was made from. Where the batch has another one by now, it is refused.
   */
  readonly setManifest: Pick<BatchInput, 'manifest'> &
    Partial<Pick<BatchSettings, 'first'>> & { readonly from?: string };
}

/** An item that was started and whose outcome has not been recorded. */
export interface OpenItem extends Pick<BatchItem, 'workflowId' | 'priceClass'> {
  /** Its place in the manifest, from 0. */
  readonly index: number;
  /** Credits of attempts that its record names, where it was started again: `spentCredits` has them. Left out: none. */
  readonly earlierCredits?: number;
  /** True for an item that is started again: it may pay for one task, whatever its input allows. Left out: false. */
  readonly again?: boolean;
}

/** The place of a batch in its manifest, and its counters: all that one look passes to the next. */
export interface BatchProgress {
  /** Page of the manifest whose records are counted next; null once all are counted. Items are started only then. */
  readonly counting: number | null;
  /** Index of the item that is started next: each one before it has a record or is open. */
  readonly next: number;
  readonly open: readonly OpenItem[];
  /**
   * Items that run, or may run, and are not in the manifest: their ends are recorded, too, and the batch waits for them. Before the
   * records are counted, they are all that were open. Left out: no look has asked Temporal for items that have ended yet.
   */
  readonly left?: readonly Pick<OpenItem, 'workflowId' | 'earlierCredits'>[];
  readonly ended: Readonly<Record<OutcomeStatus, number>>;
  readonly failedBy: Readonly<Record<string, number>>;
  readonly spentCredits: number;
  /** Highest price that an item which ended has had, by the index of its class. */
  readonly prices: Readonly<Record<string, number>>;
  /** The same, with the credits that are reserved for items which run. */
  readonly quoted: Readonly<Record<string, number>>;
  /** The failures since the last item that succeeded, where all have the same code. */
  readonly equalFailures: { readonly code: string; readonly count: number };
  /** Items that ended in the last minutes: minute since the epoch, and their number. */
  readonly ends: readonly (readonly [minute: number, count: number])[];
  /** The failures and the prices that a person has accepted by `resume`. */
  readonly accepted: { readonly failed: number; readonly prices: Readonly<Record<string, number>> };
}

/** Input of the Activity `rivyaBatchTick`. */
export interface BatchTickInput extends BatchInput {
  /** True where nothing is started: items that end are recorded all the same. */
  readonly paused: boolean;
  /** The holds of batch and items that people see now, as `shownHolds` writes them. */
  readonly shown: string;
  readonly progress: BatchProgress;
  /** IDs of items to start again or to skip, which the counting of the records does. */
  readonly retry: readonly string[];
  readonly skip: readonly string[];
}

/** Result of the Activity `rivyaBatchTick`. */
export interface BatchTickResult {
  readonly progress: BatchProgress;
  /** Null where the batch could not be looked at. */
  readonly seen: {
    readonly items: number;
    readonly heldBy: Readonly<Record<string, number>>;
    readonly committedCredits: number;
    readonly simulated: boolean;
    /** As in `BatchState`. */
    readonly pricing?: readonly string[];
    readonly lastEnd?: BatchState['lastEnd'];
  } | null;
  /** Why nothing was started; the Workflow knows since when. */
  readonly hold: Omit<Hold, 'since'> | null;
  /** True once each item has a record. */
  readonly done: boolean;
  /** Milliseconds until the next look; null: the next look comes with a request. */
  readonly waitMs: number | null;
}

/** Result of `rivyaBatch`. */
export interface BatchResult {
  readonly counts: BatchCounts;
  readonly spentCredits: number;
}
