/**
 * What a Worker has to tell the account: refusals that all calls share, and answers 429. It guarantees that news goes out
 * at once, and more of the same kind at most once in 15 s, so that an outage does not fill the account's history. It reads
 * no clock.
 */
import type { CallCounts, RateLimitedReport, RefusedReport, WorkerReport } from '../contract/index.js';
import { MINUTE, SECOND } from './duration.js';

// Answers 429 come by the hundred, and the account acts on the first of them.
const COALESCED_MS = 15 * SECOND;
const RATE_LIMITED = 'rate_limited';

export type News = Pick<WorkerReport, 'rateLimited' | 'refused'>;

export class Reports {
  #rateLimited: RateLimitedReport | null = null;
  readonly #refused = new Map<string, RefusedReport>();
  /** When each kind of news was told last. */
  readonly #toldAt = new Map<string, number>();

  /** Notes an answer 429. `callsBefore` counts where it is the first since the last report. */
  noteRateLimited({ count, retryAfterMs, callsBefore }: RateLimitedReport): void {
    const { count: before = 0, callsBefore: atFirst = callsBefore } = this.#rateLimited ?? {};
    this.#rateLimited = { count: before + count, retryAfterMs, callsBefore: atFirst };
  }

  /** Notes a refusal that all calls share; the last one of a code counts. */
  noteRefused(report: RefusedReport): void {
    this.#refused.set(report.code, report);
  }

  /** When the next report is due; infinity where there is nothing to tell. */
  dueAt(): number {
    return Math.min(...this.#kinds().map((kind) => (this.#toldAt.get(kind) ?? -Infinity) + COALESCED_MS));
  }

  /** All that there is to tell, which counts as told now. */
  take(now: number): News {
    for (const kind of this.#kinds()) this.#toldAt.set(kind, now);
    const refused = [...this.#refused.values()];
    const news = {
      ...(this.#rateLimited !== null && { rateLimited: this.#rateLimited }),
      ...(refused.length > 0 && { refused }),
    };
    this.#rateLimited = null;
    this.#refused.clear();
    return news;
  }

  /** Takes back what could not be told; it is due again in 15 s. */
  takeBack({ rateLimited, refused = [] }: News): void {
    const later = this.#rateLimited;
    if (rateLimited !== undefined) this.#rateLimited = rateLimited;
    if (rateLimited !== undefined && later !== null) this.noteRateLimited(later);
    for (const report of refused) if (!this.#refused.has(report.code)) this.noteRefused(report);
  }

  #kinds(): string[] {
    return [...this.#refused.keys(), ...(this.#rateLimited === null ? [] : [RATE_LIMITED])];
  }
}

const SLICES = 60;

/** The number of calls in the last minute, or in another time, counted by sixtieths of it. */
export class RecentCalls {
  readonly #sliceMs: number;
  readonly #bySlice = new Map<number, number>();

  constructor(windowMs = MINUTE) {
    this.#sliceMs = windowMs / SLICES;
  }

  add(now: number): void {
    const slice = Math.floor(now / this.#sliceMs);
    this.#bySlice.set(slice, (this.#bySlice.get(slice) ?? 0) + 1);
    this.#forget(now);
  }

  count(now: number): number {
    this.#forget(now);
    return [...this.#bySlice.values()].reduce((sum, calls) => sum + calls, 0);
  }

  #forget(now: number): void {
    const oldest = Math.floor(now / this.#sliceMs) - SLICES;
    // The oldest come first.
    for (const slice of this.#bySlice.keys()) {
      if (slice > oldest) return;
      this.#bySlice.delete(slice);
    }
  }
}

const HEALTH_MS = 10 * MINUTE;
// Few calls say nothing of a share.
const ENOUGH_CALLS = 10;
// Between them it is as it was, so that a share at one of them is no news each time.
const MANY = 0.2;
const FEW = 0.1;

/** Calls of the last ten minutes, and those that have failed. It says when the account is to hear of them. */
export class CallHealth {
  readonly #made = new RecentCalls(HEALTH_MS);
  readonly #failed = new RecentCalls(HEALTH_MS);
  #areMany = false;
  #toldAt = -Infinity;

  add(isFailed: boolean, now: number): void {
    this.#made.add(now);
    if (isFailed) this.#failed.add(now);
  }

  counts(now: number): CallCounts {
    return { made: this.#made.count(now), failed: this.#failed.count(now) };
  }

  /** True once in ten minutes while many fail, and once when that is over. */
  isNews(now: number): boolean {
    const { made, failed } = this.counts(now);
    const areMany = manyFail({ made, failed }, this.#areMany ? FEW : MANY);
    if (areMany ? now - this.#toldAt < HEALTH_MS : !this.#areMany) return false;
    this.#areMany = areMany;
    this.#toldAt = now;
    return true;
  }
}

/** True where so many of the calls fail that somebody should know. */
export function manyFail({ made, failed }: CallCounts, share = MANY): boolean {
  return made >= ENOUGH_CALLS && failed / made >= share;
}
