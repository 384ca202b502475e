/**
 * The state of a paid call, and its two kinds of waits: for the next status check, and for a person (a hold). It
 * guarantees that the memo says that a POST may go out before one can, and that two checks of a task are 5 s apart.
 * `generateMedia` and `rivyaChat` have one each. It calls no Activity. Deterministic.
 */
import {
  condition,
  isCancellation,
  setCurrentDetails,
  sleep,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import { STOPPED, type GenerationState, type StoredFile } from '../src/contract/index.js';
import { describeState, formatDuration, holdRecheckDelay, MIN_WAIT_MS, readResume } from '../src/policy/index.js';
import { resumeProblem, stateAtStart, waitSummary } from '../src/policy/index.js';
import type { Described, Paid, Resume, SubmitRequest } from '../src/policy/index.js';
import { actionFor, callFailed, cancelled, type CallEnd, type SubmitReport } from './failure.js';
import { writeAttributes, writeMemo } from './listing.js';
import { countEnd, countHold } from './metrics.js';

/** The part of the progress that a Workflow passes to its next run when it continues as new. */
export interface CarriedProgress {
  readonly state: GenerationState;
  /** Milliseconds spent in holds since there was an answer, which do not count for the deadline. */
  readonly heldMs: number;
  readonly lastCheckAt: number;
  /** The request with its references, once they are uploaded: the same bytes for every attempt. */
  readonly request: SubmitRequest | null;
  /** The last hold: its code and its start. Null once a person has resumed, or a call went well. */
  readonly heldSince: { readonly code: string; readonly since: string } | null;
  /** Since when its phase is what it is. ISO 8601; left out by older versions. */
  readonly phaseSince?: string;
}

/** The facts about a paid call that never change. */
export interface PaidSubject {
  readonly paid: Paid;
  readonly model: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly onActionNeeded: 'hold' | 'fail';
  /** The key of number 1, or the caller's own; null for a task that the input names. */
  readonly baseKey: string | null;
  /** Digest of the request before its references are uploaded. */
  readonly bodyDigest: string;
}

const FRESH = { heldMs: 0, lastCheckAt: 0, request: null, heldSince: null };

export class Progress {
  readonly subject: PaidSubject;
  #carried: CarriedProgress;
  #woken = false;
  #resume: Resume | null = null;
  #ended: Pick<Described, 'stored' | 'failure'> = {};

  constructor(subject: PaidSubject, carried: CarriedProgress = { ...FRESH, state: stateAtStart(subject) }) {
    this.subject = subject;
    this.#carried = carried;
  }

  get carried(): CarriedProgress {
    return this.#carried;
  }

  get state(): GenerationState {
    return this.#carried.state;
  }

  /** `milestone` writes the memo, which is one event; current details cost no history. */
  update(change: Partial<GenerationState>, milestone = false): void {
    const { phase } = this.state;
    this.#carry({ state: { ...this.state, ...change } });
    if (this.state.phase !== phase) this.#carry({ phaseSince: new Date().toISOString() });
    this.#describe();
    if (!milestone) return;
    const { request } = this.#carried;
    writeMemo(this.state, { ...this.subject, ...(request && { bodyDigest: request.digest }) });
    if (this.state.listable) writeAttributes(this.state);
  }

  #describe(): void {
    const { model } = this.subject;
    const about = { model, workflowId: workflowInfo().workflowId, since: this.#carried.phaseSince, ...this.#ended };
    setCurrentDetails(describeState(this.state, about));
  }

  /** Fixes the request before its first POST. */
  fixRequest(request: SubmitRequest): void {
    this.#carry({ request });
  }

  /** Notes the end of a submit. An unanswered POST stays until `clearUnanswered`. */
  recordSubmit({ unanswered, looked, runId, attributes }: Omit<SubmitReport, 'posted'>): void {
    const { state } = this;
    const known = { lookedBy: looked ? runId : state.lookedBy, listable: attributes ?? state.listable };
    this.update({ submittingSince: null, unanswered: unanswered ?? state.unanswered, ...known });
  }

  /** Notes that no POST is unanswered any more: its task is known, or a person has accepted to post again. */
  clearUnanswered(): void {
    this.#carry({ heldMs: 0 });
    this.update({ unanswered: null });
  }

  /** Notes that all is done. The current details name the stored files, the memo does not. */
  recordSuccess(files: readonly StoredFile[]): void {
    this.#ended = { stored: files.map(({ uri }) => uri) };
    this.update({ phase: 'succeeded', nextCheckAt: null }, true);
  }

  /** Counts status calls that were made just now. */
  countChecks(count: number, attributes?: boolean): void {
    this.#carry({ lastCheckAt: Date.now() });
    const { statusChecks, listable } = this.state;
    this.update({ statusChecks: statusChecks + count, nextCheckAt: null, listable: attributes ?? listable });
  }

  /** Sleeps until the next check, or until `checkNow`. */
  async pause(waitMs: number): Promise<void> {
    this.update({ phase: 'waiting', nextCheckAt: new Date(Date.now() + waitMs).toISOString() });
    this.#woken = false;
    this.#carry({ heldSince: null });
    await condition(() => this.#woken, waitMs, { summary: waitSummary(waitMs, this.state.statusChecks + 1) });
  }

  /** Sleeps until the last check is 5 s old: `checkNow` and a short hold can end a wait earlier. */
  async keepDistance(): Promise<void> {
    const tooSoon = this.#carried.lastCheckAt + MIN_WAIT_MS - Date.now();
    if (tooSoon > 0) await sleep(tooSoon, { summary: 'two checks are at least 5 s apart' });
  }

  /** Holds until a person resumes, or until the call is worth another try (null). Fails where the caller wants that. */
  async hold(end: CallEnd, tries: number): Promise<Resume | null> {
    const { code, message } = end;
    // A stop is a pause by the operator: nothing has failed.
    if (this.subject.onActionNeeded === 'fail' && code !== STOPPED)
      throw callFailed(end, this.state, this.subject.paid);
    const startedAt = Date.now();
    const { phase } = this.state;
    const { heldSince } = this.#carried;
    if (heldSince?.code !== code) countHold(this.subject.model, code);
    // After a try in vain the call is still held since the first time.
    const since = heldSince?.code === code ? heldSince.since : new Date(startedAt).toISOString();
    this.#resume = null;
    const { httpStatus = null, requestId = null, link, found } = end.details;
    const result = { ...(link !== undefined && { link }), ...(found !== undefined && { found }) };
    const hold = { code, message, action: actionFor(end), httpStatus, requestId, since, ...result };
    this.update({ phase: 'held', hold, nextCheckAt: null, listable: end.attributes ?? this.state.listable }, true);
    const resumed = (): boolean => this.#resume !== null;
    try {
      const delay = holdRecheckDelay(code, tries, Math.random());
      if (delay === null) await condition(resumed);
      else await condition(resumed, delay, { summary: `held by ${code}; tried again in ${formatDuration(delay)}` });
    } finally {
      this.#carry({ heldMs: this.#carried.heldMs + Date.now() - startedAt });
    }
    this.#carry({ heldSince: this.#resume === null ? { code, since } : null });
    this.update({ phase, hold: null }, true);
    return this.#resume;
  }

  /** Does the work of the Workflow, and writes a failure or a cancellation into the memo, which is readable without a Worker. */
  async recordEnd<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      countEnd(this.state);
      return result;
    } catch (error) {
      // To continue as new is no end.
      if (!(error instanceof TemporalFailure)) throw error;
      const stopped = isCancellation(error);
      this.update({ phase: stopped ? 'cancelled' : 'failed', hold: null, nextCheckAt: null }, true);
      countEnd(this.state, error);
      const end = stopped ? cancelled(error, this.state, this.subject.paid) : error;
      this.#ended = { failure: end.message };
      this.#describe();
      throw end;
    }
  }

  /** Cuts the present wait short. Two checks are still at least 5 s apart. */
  checkNow(): void {
    this.#woken = true;
  }

  /** Why `resume` cannot be applied now, or null. */
  resumeRefusal(request: unknown): string | null {
    if (this.#resume !== null && this.state.hold !== null) return 'It is being resumed already.';
    return resumeProblem(request, this.state, this.subject.paid);
  }

  /** Applies the first `resume` that has no problem; any other is ignored. */
  resume(request: unknown): void {
    if (this.resumeRefusal(request) === null) this.#resume = readResume(request);
  }

  #carry(change: Partial<CarriedProgress>): void {
    this.#carried = { ...this.#carried, ...change };
  }
}
