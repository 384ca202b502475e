/** What a batch still has to do: items, credits and time, from its items and their outcome records. Pure but for the reading. */
import type { BatchManifest, BatchSettings } from '../contract/batch.js';
import type { MediaKind } from '../contract/index.js';
import { counted, creditsBefore, expectedPrice, hasEnded, progressAtStart, round, withPaid } from '../policy/index.js';
import { MINUTE, SECOND } from '../policy/duration.js';
import { estimate, type Estimate } from './input/classes.js';
import { creditsOf, type BatchRow } from './results.js';

export interface Plan {
  readonly items: number;
  /** Items that have a record, and are not started again. */
  readonly done: number;
  readonly remaining: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Items that have a record which does not say what they cost: `spentCredits` has them at their expected price. */
  readonly unknown: number;
  /** Credits of all that was paid, also for items that are to be started again or are gone. */
  readonly spentCredits: number;
  /** Credits of the rest. `from` and `to` differ where a price is not learned yet, or an item may pay for several attempts. */
  readonly estimate: Estimate;
  /** Lowest known price of an item that remains, with all its attempts; null where none is known, or none remains. */
  readonly cheapest: number | null;
  /** Items that remain, by model. */
  readonly models: ReadonlyMap<string, number>;
  /** Calls to the API that an item took, and milliseconds from its start to its end, in the mean; null where no item tells. */
  readonly measured: { readonly calls: number; readonly ms: number } | null;
}

// A mean of fewer items says little.
const ENOUGH = 5;

export async function planOf(
  rows: AsyncIterable<BatchRow>,
  { classes, first }: Pick<BatchManifest, 'classes'> & Pick<BatchSettings, 'first'>,
): Promise<Plan> {
  let progress = progressAtStart();
  let [items, unknown, calls, ms, told] = [0, 0, 0, 0, 0];
  const open = classes.map(() => 0);
  for await (const { item, outcome, isGone = false } of rows) {
    const { priceClass } = item;
    if (isGone || (first !== null && items === first)) {
      // Paid, although it is none of the items that this is about.
      if (outcome !== null) progress = withPaid(progress, creditsBefore({ ...outcome, retry: null }, 0));
      continue;
    }
    items += 1;
    if (outcome === null || !hasEnded(outcome)) {
      progress = withPaid(progress, creditsBefore(outcome, expectedPrice({ classes }, progress, priceClass)));
      open[priceClass] = (open[priceClass] ?? 0) + 1;
      continue;
    }
    const expected = expectedPrice({ classes }, progress, priceClass);
    progress = counted(progress, outcome, { priceClass, expected });
    if (creditsOf(outcome) === null) unknown += 1;
    if (outcome.status !== 'succeeded' || outcome.startedAt === null) continue;
    told += 1;
    calls += outcome.statusChecks + outcome.attempts;
    ms += Date.parse(outcome.endedAt) - Date.parse(outcome.startedAt);
  }
  const { prices, ended, spentCredits } = progress;
  const remaining = open.reduce((sum, count) => sum + count, 0);
  // A price that was learned is no estimate any more.
  const learned = classes.map(({ estimate: price, ...rest }, index) => {
    return {
      ...rest,
      items: open[index] ?? 0,
      estimate: prices[index] ?? price,
      isLearned: prices[index] !== undefined,
    };
  });
  const sure = estimate(
    learned.filter(({ isLearned }) => isLearned),
    1,
  );
  const guessed = estimate(learned.filter(({ isLearned }) => !isLearned));
  // An item is started only where all its attempts fit.
  const known = learned.flatMap(({ items: count, estimate: price, attempts = 1 }) =>
    count > 0 && price !== null ? [price * attempts] : [],
  );
  const models = new Map<string, number>();
  for (const { model, items: count } of learned) if (count > 0) models.set(model, (models.get(model) ?? 0) + count);
  return {
    items,
    done: items - remaining,
    remaining,
    failed: ended.failed,
    cancelled: ended.cancelled,
    unknown,
    spentCredits: round(spentCredits),
    estimate: {
      from: round(sure.from + guessed.from),
      to: round(sure.to + guessed.to),
      unpriced: guessed.unpriced,
    },
    cheapest: known.length === 0 ? null : Math.min(...known),
    models,
    measured: told < ENOUGH ? null : { calls: calls / told, ms: ms / told },
  };
}

type Range = readonly [from: number, to: number];

/** Calls to the API that an item takes, its submit among them, and seconds that it takes: quick and slow ones of a kind. */
const USUAL: Readonly<Record<MediaKind, { readonly calls: Range; readonly seconds: Range }>> = {
  image: { calls: [2, 7], seconds: [5, 40] },
  audio: { calls: [3, 10], seconds: [10, 90] },
  video: { calls: [5, 25], seconds: [60, 300] },
};

/** How long the rest takes, in milliseconds: by the limit of calls a minute, and by the items that may be open at a time. */
export function timeOf(
  { remaining, measured, models }: Pick<Plan, 'remaining' | 'measured' | 'models'>,
  limits: { readonly perMinute: number; readonly maxInFlight: number },
  kindOf: (model: string) => MediaKind | null,
): Range {
  const rounds = Math.ceil(remaining / limits.maxInFlight);
  const msOf = (calls: number, ms: number): number => Math.max((calls / limits.perMinute) * MINUTE, ms);
  if (measured !== null) {
    const ms = msOf(remaining * measured.calls, rounds * measured.ms);
    return [ms * 0.8, ms * 1.3];
  }
  const usual = [...models].map(([model, items]) => ({ items, ...USUAL[kindOf(model) ?? 'video'] }));
  const at = (index: 0 | 1): number => {
    const calls = usual.reduce((sum, one) => sum + one.items * one.calls[index], 0);
    const seconds = usual.reduce((most, one) => Math.max(most, one.seconds[index]), 0);
    return msOf(calls, rounds * seconds * SECOND);
  };
  return [at(0), at(1)];
}
