/** Items that are expected to cost the same: one model with the same params. */
import type { BatchItem, PriceClass } from '../../contract/batch.js';
import { requestBody } from '../../policy/body.js';
import { PRICE_ROSE } from '../../policy/batch.js';
import type { UnpricedItem } from './items.js';

// More kinds of params than this, and each of them hardly has a second item: a `seed` for each line, for example.
const MOST = 200;

/** Counts the classes of all items; then gives each item the index of its class. */
export class PriceClasses {
  /** Items by model and by params; one entry for a model whose params vary a lot. */
  readonly #items = new Map<string, Map<string, number>>();
  /** The most attempts of an item of each model. */
  readonly #attempts = new Map<string, number>();
  readonly #whole = new Set<string>();
  #index = new Map<string, number>();

  add(item: UnpricedItem): void {
    const { model, options } = item.input;
    this.#attempts.set(model, Math.max(this.#attempts.get(model) ?? 1, options?.maxAttempts ?? 1));
    const kinds = this.#items.get(model) ?? new Map<string, number>();
    const key = this.#keyOf(item);
    kinds.set(key, (kinds.get(key) ?? 0) + 1);
    this.#items.set(model, kinds);
    if (kinds.size <= MOST) return;
    this.#whole.add(model);
    this.#items.set(model, new Map([[model, [...kinds.values()].reduce((sum, count) => sum + count, 0)]]));
  }

  /**
   * The classes, in the order of the indices that `priced` gives from now on.
   * @param priceOf - Starting price of a model; null where it is not known.
   */
  list(priceOf: (model: string) => number | null): PriceClass[] {
    const all = [...this.#items].flatMap(([model, kinds]) => [...kinds].map(([key, items]) => ({ model, key, items })));
    this.#index = new Map(all.map(({ key }, index) => [key, index]));
    return all.map(({ model, items }) => {
      const attempts = this.#attempts.get(model) ?? 1;
      return { model, items, estimate: priceOf(model), ...(attempts > 1 && { attempts }) };
    });
  }

  /** Null for an item that was not counted. */
  priced(item: UnpricedItem): BatchItem | null {
    const priceClass = this.#index.get(this.#keyOf(item));
    return priceClass === undefined ? null : { ...item, priceClass };
  }

  #keyOf({ input: { model, params } }: UnpricedItem): string {
    if (this.#whole.has(model)) return model;
    return requestBody({ model, params: params ?? null, prompt: null, clientRequestId: null });
  }
}

/** Credits that items are expected to cost. */
export interface Estimate {
  /** All at the starting price of their model, with one attempt. */
  readonly from: number;
  /** At the price above which a batch holds and asks, with all attempts that an item may pay for. */
  readonly to: number;
  /** Items whose price is not known before one of them has run. */
  readonly unpriced: number;
}

/** @param rise - How far above its estimate a price may be. */
export function estimate(classes: readonly Omit<PriceClass, 'model'>[], rise: number = PRICE_ROSE): Estimate {
  const sum = (of: (priceClass: Omit<PriceClass, 'model'>) => number): number =>
    classes.reduce((total, priceClass) => total + of(priceClass), 0);
  return {
    from: sum(({ items, estimate: price }) => items * (price ?? 0)),
    to: rise * sum(({ items, estimate: price, attempts = 1 }) => items * (price ?? 0) * attempts),
    unpriced: sum(({ items, estimate: price }) => (price === null ? items : 0)),
  };
}
