import type { TaskSnapshot } from '../../contract/index.js';
import type { Step } from './wire.js';

/** What the probe may have cost so far, at worst, and whether one more POST stays within what was agreed to. */
export class Spend {
  readonly #limit: number;
  /** Dearest task that was seen: the next one may cost as much. */
  #price: number;
  readonly #tasks = new Map<string, number>();
  #unanswered = 0;
  #fall = 0;

  constructor(limit: number, price: number) {
    this.#limit = limit;
    this.#price = price;
  }

  /** Counts a POST. One without an answer may have been paid, and stays counted: no later answer tells for sure. */
  count({ value: task, error }: Step<TaskSnapshot>): void {
    if (task !== null) {
      const reserved = task.reservedCredits ?? this.#price;
      this.#tasks.set(task.taskId, reserved);
      this.#price = Math.max(this.#price, reserved);
    } else if (error?.outcome === 'unknown') this.#unanswered += this.#price;
  }

  /** The balance is so much lower than at the start. It may tell more than the answers did. */
  fell(credits: number): void {
    this.#fall = Math.max(this.#fall, credits);
  }

  /** Credits at most; what others spend from the same account counts too, because nobody can tell it apart. */
  get atMost(): number {
    const known = [...this.#tasks.values()].reduce((sum, credits) => sum + credits, 0);
    return Math.max(known + this.#unanswered, this.#fall);
  }

  get allowsOneMore(): boolean {
    return this.atMost + this.#price <= this.#limit;
  }
}
