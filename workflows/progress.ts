/**
 * Where a paid call stands, and how it waits: for the next status check, and for a person (a hold).
 *
 * It guarantees that what later runs must know is in the memo before it is needed, and that two checks of a task are 5 s
 * apart. `generateMedia` and `rivyaChat` have one each. It calls no Activity. Deterministic.
 */
import { condition, isCancellation, setCurrentDetails, sleep, TemporalFailure } from '@temporalio/workflow';
import type { Attributes, GenerationState } from '../src/contract/index.js';
import {
  describeState,
  formatDuration,
  holdRecheckDelay,
  MIN_WAIT_MS,
  readResume,
  resumeProblem,
  stateAtStart,
  waitSummary,
  type Paid,
  type Resume,
  type SubmitRequest,
} from '../src/policy/index.js';
import { actionFor, callFailed, cancelled, type CallEnd, type Left } from './failure.js';
import { listable, writeAttributes, writeMemo } from './listing.js';

/** What a run hands on when it continues as new. */
export interface Standing {
  readonly state: GenerationState;
  /** Milliseconds spent in holds since there was an answer, which do not count for the deadline. */
  readonly heldMs: number;
  readonly lastCheckAt: number;
  /** The request with its references, once they are uploaded: the same bytes for every attempt. */
  readonly request: SubmitRequest | null;
  /** The last hold, until a person answers it or its cause has gone. */
  readonly heldSince: { readonly code: string; readonly since: string } | null;
}

/** What does not change about a paid call. */
export interface About {
  readonly paid: Paid;
  /** One line, for the current details. */
  readonly title: string;
  readonly model: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly onActionNeeded: 'hold' | 'fail';
  /** The key of number 1, or the caller's own; null for a task that the input names. */
  readonly baseKey: string | null;
  /** Of the request, as long as its references are not uploaded. */
  readonly bodyDigest: string;
}

const FRESH = { heldMs: 0, lastCheckAt: 0, request: null, heldSince: null };

export class Progress {
  readonly about: About;
  #standing: Standing;
  #woken = false;
  #resume: Resume | null = null;

  constructor(about: About, standing: Standing = { ...FRESH, state: stateAtStart(about) }) {
    this.about = about;
    this.#standing = standing;
  }

  get standing(): Standing {
    return this.#standing;
  }

  get state(): GenerationState {
    return this.#standing.state;
  }

  /** `milestone` writes the memo, which is one event; current details cost no history. */
  update(change: Partial<GenerationState>, milestone = false): void {
    this.#keep({ state: { ...this.state, ...change } });
    setCurrentDetails(describeState(this.state, this.about.title));
    if (!milestone) return;
    const { request } = this.#standing;
    writeMemo(this.state, { ...this.about, ...(request && { bodyDigest: request.digest }) });
    if (this.state.listable) writeAttributes(this.state);
  }

  /** Fixes the request before its first POST. */
  prepared(request: SubmitRequest): void {
    this.#keep({ request });
  }

  /** A submit has ended. What is unanswered stays until a task or a person ends it. */
  submitted({ unanswered, looked, runId, attributes }: Omit<Left, 'posted'>): void {
    const lookedBy = looked ? runId : this.state.lookedBy;
    this.update({
      submittingSince: null,
      unanswered: unanswered ?? this.state.unanswered,
      lookedBy,
      ...listable(attributes),
    });
  }

  /** Nothing is unanswered any more. */
  answered(): void {
    this.#keep({ heldMs: 0 });
    this.update({ unanswered: null });
  }

  /** Counts status calls that were made just now. */
  checked(count: number, attributes?: Attributes): void {
    this.#keep({ lastCheckAt: Date.now() });
    this.update({ statusChecks: this.state.statusChecks + count, nextCheckAt: null, ...listable(attributes) });
  }

  /** Sleeps until the next check, or until `checkNow`. */
  async pause(waitMs: number): Promise<void> {
    this.update({ phase: 'waiting', nextCheckAt: new Date(Date.now() + waitMs).toISOString() });
    this.#woken = false;
    this.#keep({ heldSince: null });
    await condition(() => this.#woken, waitMs, { summary: waitSummary(waitMs, this.state.statusChecks + 1) });
  }

  /** Sleeps until a check keeps its distance to the last one, which `checkNow` and a short hold can cut. */
  async keepDistance(): Promise<void> {
    const tooSoon = this.#standing.lastCheckAt + MIN_WAIT_MS - Date.now();
    if (tooSoon > 0) await sleep(tooSoon, { summary: 'two checks are at least 5 s apart' });
  }

  /** Holds until a person resumes, or until it is worth trying again by itself (null). Fails where the caller wants that. */
  async hold(end: CallEnd, tries: number): Promise<Resume | null> {
    const { code, message } = end;
    if (this.about.onActionNeeded === 'fail') throw callFailed(end, this.state, this.about.paid);
    const startedAt = Date.now();
    const { phase } = this.state;
    const { heldSince } = this.#standing;
    // A call that was tried again by itself, in vain, is still held since the first time.
    const since = heldSince?.code === code ? heldSince.since : new Date(startedAt).toISOString();
    this.#resume = null;
    const { httpStatus = null, requestId = null } = end.details;
    const hold = { code, message, action: actionFor(end), httpStatus, requestId, since };
    this.update({ phase: 'held', hold, nextCheckAt: null, ...listable(end.attributes) }, true);
    const resumed = (): boolean => this.#resume !== null;
    try {
      const delay = holdRecheckDelay(code, tries, Math.random());
      if (delay === null) await condition(resumed);
      else await condition(resumed, delay, { summary: `held by ${code}; tried again in ${formatDuration(delay)}` });
    } finally {
      this.#keep({ heldMs: this.#standing.heldMs + Date.now() - startedAt });
    }
    this.#keep({ heldSince: this.#resume === null ? { code, since } : null });
    this.update({ phase, hold: null }, true);
    return this.#resume;
  }

  /** Runs it to its end, and leaves in the memo how it ended: readable without a Worker. */
  async end<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // Continuing as new is no end.
      if (!(error instanceof TemporalFailure)) throw error;
      const stopped = isCancellation(error);
      this.update({ phase: stopped ? 'cancelled' : 'failed', hold: null, nextCheckAt: null }, true);
      throw stopped ? cancelled(error, this.state, this.about.paid) : error;
    }
  }

  /** Cuts the present wait short. Two checks are still at least 5 s apart. */
  checkNow(): void {
    this.#woken = true;
  }

  /** Why `resume` cannot be applied now, or null. */
  resumeProblem(request: unknown): string | null {
    if (this.#resume !== null && this.state.hold !== null) return 'It is being resumed already.';
    return resumeProblem(request, this.state, this.about.paid);
  }

  /** Applies a `resume` that has no problem; any other is ignored. The first one counts. */
  resume(request: unknown): void {
    if (this.resumeProblem(request) === null) this.#resume = readResume(request);
  }

  #keep(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change };
  }
}
