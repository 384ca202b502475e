/**
 * The state of a batch between two looks: what requests have changed, and what query, memo and current details say. It
 * guarantees that the memo is written seldom, however long the batch is. `rivyaBatch` has one. Deterministic.
 */
import { patched, setCurrentDetails, upsertMemo } from '@temporalio/workflow';
import { BATCH_MEMO_FIELD } from '../src/contract/index.js';
import type { BatchInput, BatchProgress, BatchRequests, BatchState, BatchTickInput } from '../src/contract/index.js';
import type { BatchTickResult } from '../src/contract/index.js';
import { showBatch } from './metrics.js';
import { acceptedSoFar, describeBatch, LIST_CHANGED, perMinute, progressAtStart } from '../src/policy/index.js';
import { shownHolds, withLeft, withoutPrices } from '../src/policy/index.js';

/** The state that a run passes to the next one when it continues as new. */
export interface CarriedBatch {
  readonly state: BatchState;
  readonly progress: BatchProgress;
  readonly paused: boolean;
  readonly retry: readonly string[];
  readonly skip: readonly string[];
}

// One event each; people who want to see more ask the query.
const MEMO_EVERY_MS = 60_000;
const NO_COUNTS = { items: 0, succeeded: 0, failed: 0, cancelled: 0, skipped: 0, open: 0, held: 0 };

type Accepted = BatchProgress['accepted'];

export class BatchRun {
  #carried: CarriedBatch;
  readonly #id: string;
  readonly #title: string;
  #written: { readonly at: number; readonly phase: string } | null = null;
  /** True where a request came that the look under way does not know. */
  #changed = false;
  /** Counts the manifests and the edits, so that a look at other ones is not taken for one at these. */
  #version = 0;

  constructor(input: BatchInput, batchId: string, carried?: CarriedBatch) {
    this.#id = batchId;
    this.#title = `Batch ${batchId}`;
    this.#carried = carried ?? {
      state: stateAtStart(input),
      progress: progressAtStart(),
      paused: false,
      retry: [],
      skip: [],
    };
  }

  get carried(): CarriedBatch {
    return this.#carried;
  }

  get state(): BatchState {
    return this.#carried.state;
  }

  get changed(): boolean {
    return this.#changed;
  }

  /** The input of the next look, and what takes its result. */
  look(): { readonly input: BatchTickInput; readonly take: (result: BatchTickResult) => void } {
    const { state, progress, paused, retry, skip } = this.#carried;
    const version = this.#version;
    this.#changed = false;
    const { manifest, settings, hold, counts } = state;
    const input = { manifest, settings, paused, shown: shownHolds(hold, counts.heldBy), progress, retry, skip };
    const { accepted } = progress;
    return { input, take: (result) => this.#take(result, version, accepted) };
  }

  #take({ progress: looked, seen, hold, done }: BatchTickResult, version: number, accepted: Accepted): void {
    // Requests that came during the look have begun another count of the records, which finds what it has recorded.
    const isCurrent = version === this.#version;
    const { state, paused, retry, skip } = this.#carried;
    // A person has resumed during the look.
    const resumed = this.#carried.progress.accepted !== accepted;
    const progress = resumed ? acceptedSoFar(looked) : looked;
    const counted = progress.counting === null;
    const next = isCurrent ? progress : withLeft(this.#carried.progress, progress);
    this.#carried = {
      ...this.#carried,
      progress: next,
      retry: isCurrent && counted ? [] : retry,
      skip: isCurrent && counted ? [] : skip,
    };
    const { ended, failedBy, open, left = [], spentCredits } = progress;
    const now = Date.now();
    const since = hold !== null && state.hold?.code === hold.code ? state.hold.since : new Date(now).toISOString();
    const heldBy = seen?.heldBy ?? state.counts.heldBy;
    const held = Object.values(heldBy).reduce((sum, count) => sum + count, 0);
    const { items } = seen ?? state.counts;
    this.update({
      phase: done ? 'done' : paused ? 'paused' : hold !== null ? 'held' : 'running',
      // While the records are counted, the last numbers are nearer to the truth.
      ...(counted && {
        counts: { items, ...ended, open: open.length + left.length, held, failedBy, heldBy },
        spentCredits,
      }),
      committedCredits: seen?.committedCredits ?? state.committedCredits,
      hold: hold === null || done ? null : { ...hold, since },
      perMinute: perMinute(progress, now),
      simulated: seen?.simulated ?? state.simulated,
      pricing: seen?.pricing ?? [],
      lastEnd: seen?.lastEnd ?? null,
    });
  }

  /** The memo is written where the phase has changed, or once a minute; current details cost no history. */
  update(change: Partial<BatchState>, milestone = false): void {
    this.#carried = { ...this.#carried, state: { ...this.state, ...change } };
    const now = Date.now();
    setCurrentDetails(describeBatch(this.state, this.#title, now));
    showBatch(this.#id, this.state.counts);
    const { phase, hold } = this.state;
    const written = `${phase} ${hold?.code ?? ''}`;
    if (!milestone && this.#written?.phase === written && now - this.#written.at < MEMO_EVERY_MS) return;
    this.#written = { at: now, phase: written };
    upsertMemo({ [BATCH_MEMO_FIELD]: this.state });
  }

  /** Why a request cannot be applied now, or null. */
  refusal(name: keyof BatchRequests, argument: BatchRequests[keyof BatchRequests]): string | null {
    const { paused, state } = this.#carried;
    const { manifest, from } = (argument ?? {}) as Partial<BatchRequests['setManifest']>;
    const isOfAnother = from !== undefined && from !== state.manifest && manifest !== state.manifest;
    if (name === 'setManifest' && isOfAnother) return LIST_CHANGED;
    if (name === 'pause' && paused) return 'It is paused already.';
    if (name === 'resume' && !paused && state.hold === null) return 'It is neither paused nor held: nothing to resume.';
    return null;
  }

  readonly apply: { readonly [Name in keyof BatchRequests]: (argument: BatchRequests[Name]) => void } = {
    pause: () => {
      this.#change({ paused: true });
      this.update({ phase: 'paused' });
    },
    resume: () => {
      this.#change({ paused: false, progress: acceptedSoFar(this.#carried.progress) });
      this.update({ phase: 'running', hold: null });
    },
    setMaxInFlight: (argument) => this.#set(argument),
    setMaxCredits: (argument) => this.#set(argument),
    retryItem: ({ itemId }) => this.#recount({ retry: [...this.#carried.retry, itemId] }),
    skipItem: ({ itemId }) => this.#recount({ skip: [...this.#carried.skip, itemId] }),
    setManifest: ({ manifest, from: _, ...first }) => {
      const isOther = manifest !== this.state.manifest;
      this.#set(first);
      this.update({ manifest });
      // The classes of another manifest are others.
      if (isOther) this.#change({ progress: withoutPrices(this.#carried.progress) });
      this.#recount({});
    },
  };

  #set(settings: Partial<BatchState['settings']>): void {
    this.#change({});
    // In the memo at once: a start after a termination goes on with the limit that a person has lowered.
    this.update({ settings: { ...this.state.settings, ...settings } }, patched('limits-in-the-memo'));
  }

  /** Has the records counted anew: that finds what has ended, what runs, and what is to be started. */
  #recount(change: Partial<CarriedBatch>): void {
    this.#version += 1;
    this.#change({ progress: progressAtStart(this.#carried.progress), ...change });
  }

  #change(change: Partial<CarriedBatch>): void {
    this.#changed = true;
    this.#carried = { ...this.#carried, ...change };
  }
}

function stateAtStart({ manifest, settings }: BatchInput): BatchState {
  return {
    manifest,
    settings,
    phase: 'running',
    counts: { ...NO_COUNTS, failedBy: {}, heldBy: {} },
    spentCredits: 0,
    committedCredits: 0,
    hold: null,
    perMinute: 0,
    startedAt: new Date(Date.now()).toISOString(),
    simulated: false,
  };
}
