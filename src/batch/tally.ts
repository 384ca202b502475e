/** The numbers of a batch, counted from its rows: how items ended, credits, failures by code, and times. */
import type { BatchItem, BatchOutcome, OutcomeStatus } from '../contract/batch.js';
import { itemAdvice } from '../policy/index.js';
import { creditsOf, statusOf, type BatchRow, type RowStatus } from './results.js';

/** Failed items of one error code, which one way helps. */
export interface FailedBy {
  readonly code: string;
  items: number;
  credits: number;
  /** The error of the first of them. */
  readonly message: string;
  /** What a person does. */
  readonly action: string;
}

export interface ModelTally {
  readonly model: string;
  items: number;
  succeeded: number;
  credits: number;
  /** Items whose price is known. */
  priced: number;
}

/** A task that failed and cost credits all the same. */
export type Charged = Pick<BatchOutcome, 'itemId' | 'taskId' | 'model' | 'idempotencyKey' | 'endedAt' | 'error'> & {
  readonly credits: number;
};

export class Tally {
  readonly counts: Record<RowStatus, number> = { succeeded: 0, failed: 0, cancelled: 0, skipped: 0, unfinished: 0 };
  readonly models = new Map<string, ModelTally>();
  readonly #failures = new Map<string, FailedBy>();
  readonly charged: Charged[] = [];
  /** Milliseconds from the start of each succeeded item to its end. */
  readonly durations: number[] = [];
  /** Milliseconds since the epoch at which each item ended. */
  readonly ends: number[] = [];
  /** When the first item started, in milliseconds since the epoch; infinity before that. */
  firstStart = Infinity;
  items = 0;
  files = 0;
  bytes = 0;
  credits = 0;
  /** Credits of attempts before the last one of their item, at most, and how many items have such. */
  earlierCredits = 0;
  severalAttempts = 0;
  /** Ended items of which it is not known what they cost. */
  unpriced = 0;
  simulated = 0;
  readonly #retry: string;
  /** Items that were paid and are not in the input any more, and their credits, which are among all credits. */
  gone = 0;
  goneCredits = 0;

  get failures(): readonly FailedBy[] {
    return [...this.#failures.values()].toSorted((a, b) => b.items - a.items);
  }

  /** @param retry - The command that tries items of the batch again. */
  constructor(retry: string) {
    this.#retry = retry;
  }

  /** Items that ended, however. */
  get ended(): number {
    return this.items - this.counts.unfinished;
  }

  add(row: BatchRow): void {
    const { outcome, item } = row;
    if (row.isGone === true) {
      const paid = creditsOf(outcome) ?? 0;
      this.gone += 1;
      this.goneCredits += paid;
      this.credits += paid;
      return;
    }
    const status = statusOf(row);
    this.items += 1;
    this.counts[status] += 1;
    const model = this.models.get(item.input.model) ?? { model: item.input.model, ...NONE };
    this.models.set(model.model, model);
    model.items += 1;
    if (outcome === null) return;
    if (status === 'succeeded') model.succeeded += 1;
    const credits = creditsOf(outcome);
    if (credits === null) this.unpriced += 1;
    this.credits += credits ?? 0;
    this.earlierCredits += outcome.earlierCredits;
    if (outcome.attempts > 1) this.severalAttempts += 1;
    model.credits += credits ?? 0;
    if (credits !== null) model.priced += 1;
    if (outcome.simulated) this.simulated += 1;
    this.files += outcome.files.length;
    for (const { bytes } of outcome.files) this.bytes += bytes;
    this.#addTimes(outcome);
    this.#addCharged(outcome);
    if (outcome.status === 'failed') this.#addFailure(outcome, item, credits ?? 0);
  }

  #addTimes({ startedAt, endedAt, status }: BatchOutcome): void {
    // A skipped item took no time.
    if (startedAt === null) return;
    const [start, end] = [Date.parse(startedAt), Date.parse(endedAt)];
    this.firstStart = Math.min(this.firstStart, start);
    this.ends.push(end);
    if (status === 'succeeded') this.durations.push(end - start);
  }

  #addFailure(outcome: BatchOutcome, { input }: BatchItem, credits: number): void {
    const { error } = outcome;
    const { code = 'unknown', message = '' } = error ?? {};
    const action = itemAdvice(outcome, input, this.#retry) ?? '';
    const kind = `${code} ${action}`;
    const by = this.#failures.get(kind) ?? { code, items: 0, credits: 0, message, action };
    this.#failures.set(kind, by);
    by.items += 1;
    by.credits += credits;
  }

  #addCharged({ itemId, model, endedAt, earlierTasks = {}, ...last }: BatchOutcome): void {
    const about = { itemId, model, endedAt };
    // The keys of the tasks before the last one are in their receipts.
    for (const [taskId, credits] of Object.entries(earlierTasks)) {
      if (credits > 0) this.charged.push({ ...about, taskId, credits, idempotencyKey: null, error: null });
    }
    const { taskId, taskStatus, finalCredits, idempotencyKey, error } = last;
    // Reserved credits may be given back: only final ones were paid.
    const credits = taskStatus === 'failed' ? (finalCredits ?? 0) : 0;
    if (last.status === 'failed' && credits > 0)
      this.charged.push({ ...about, taskId, credits, idempotencyKey, error });
  }
}

const NONE = { items: 0, succeeded: 0, credits: 0, priced: 0 };

export const ENDS: readonly OutcomeStatus[] = ['succeeded', 'failed', 'cancelled', 'skipped'];
