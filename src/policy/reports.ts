/**
 * What a Worker has to tell the account: refusals that all calls share, and answers 429. It guarantees that news goes out
 * at once, and more of the same kind at most once in 15 s, so that an outage does not fill the account's history. It reads
 * no clock.
 */
import type { RateLimitedReport, RefusedReport, WorkerReport } from '../contract/index.js';
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

/** The number of calls in the last 60 s, counted by the second. */
export class RecentCalls {
  readonly #bySecond = new Map<number, number>();

  add(now: number): void {
    const second = Math.floor(now / SECOND);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + 1);
    this.#forget(now);
  }

  count(now: number): number {
    this.#forget(now);
    return [...this.#bySecond.values()].reduce((sum, calls) => sum + calls, 0);
  }

  #forget(now: number): void {
    const oldest = Math.floor((now - MINUTE) / SECOND);
    // The oldest come first.
    for (const second of this.#bySecond.keys()) {
      if (second > oldest) return;
      this.#bySecond.delete(second);
    }
  }
}
