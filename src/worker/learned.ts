/**
 * The durations that a Worker has learned, by model and params, and what they say of a task that has not ended. They stay
 * small, whatever is asked for, and nothing that goes wrong with their file stops anything. Workers that share a store learn
 * from each other.
 */
import { z } from 'zod';
import type { Expectation } from '../contract/index.js';
import { atMost, mergedDurations, NO_DURATIONS, oneDuration, readDurations, totalOf } from '../policy/durations.js';
import type { DurationCounts, DurationSample } from '../policy/durations.js';
import { ENOUGH, expectationOf } from '../policy/expectation.js';
import type { TaskLike } from '../policy/index.js';
import type { Store } from '../storage/index.js';
import { safeName } from '../storage/names.js';
import { reasonOf } from '../storage/store.js';
import { parseJson, timely, type Texts } from '../storage/texts.js';

/** Sets of counts that are kept, of 0.5 kB each; the one that was least lately used goes first. */
export const MOST_SETS = 1_000;
// Below that, a set says less than the wider one does.
const SOME = 5;
// A fifth of the price halves the calls, or nearly so (docs/performance.md).
const SATURATED = 0.2;
const VERSION = 1;
const Saved = z.object({ version: z.literal(VERSION), sets: z.record(z.string(), z.array(z.number())) });

type Sets = Map<string, DurationCounts>;

interface TaskMoment {
  readonly ageMs: number;
  /** True before the first check. */
  readonly first: boolean;
  /** True where calls wait for their turn: each check then costs another task its place. */
  readonly saturated: boolean;
}

interface Options {
  /** Null: what is learned ends with the process. */
  readonly store: Store | null;
  /** Of the API, so that the emulator says nothing about real tasks. */
  readonly baseUrl: string;
  /** Status calls that it is worth to see the end of a task a second earlier. */
  readonly price: number;
  readonly warn: (message: string) => void;
}

export class LearnedDurations {
  readonly #texts: Texts | null;
  readonly #file: string;
  readonly #price: number;
  readonly #warn: Options['warn'];
  /** From the one that was least lately used to the last. */
  #sets: Sets = new Map();
  /** What was learned since the last save. */
  #news: Sets = new Map();
  #saving: Promise<void> = Promise.resolve();

  constructor({ store, baseUrl, price, warn }: Options) {
    this.#texts = store && timely(store);
    // Names of results never start with a dot, so no result can take this one.
    this.#file = `.rivya/durations/${safeName(new URL(baseUrl).host)}`;
    this.#price = price;
    this.#warn = warn;
  }

  /** Number of sets that are kept. */
  get size(): number {
    return this.#sets.size;
  }

  /** Counts the duration of a task that has ended. */
  note(task: TaskLike, sample: DurationSample): void {
    const places = placesOf(task);
    const one = oneDuration(this.#counts(places[0]), sample);
    for (const place of places) {
      put(this.#sets, place, mergedDurations(this.#counts(place), one));
    }
    withAll(this.#news, new Map(places.map((place) => [place, one])));
  }

  /** When a task of this age is expected to end; null where nothing is known of any task like it. */
  expect(task: TaskLike, { saturated, ...at }: TaskMoment): Expectation | null {
    const places = placesOf(task);
    for (const place of places) if (this.#sets.has(place)) put(this.#sets, place, this.#counts(place));
    const [likest = NO_DURATIONS, model = NO_DURATIONS, kind = NO_DURATIONS] = places.map((place) =>
      this.#counts(place),
    );
    const price = saturated ? this.#price * SATURATED : this.#price;
    // A few tasks with the same params say more than many with others.
    const counts = [likest, model].find((set) => totalOf(set) >= SOME);
    if (counts !== undefined) return expectationOf(counts, { ...at, price });
    // Other models of a kind say little, however many tasks they had: it never counts as enough.
    const others = expectationOf(atMost(kind, ENOUGH - 1), { ...at, price });
    // What other models took is told to nobody.
    return others && { ...others, runs: Math.min(others.runs, SOME - 1) };
  }

  /**
   * Adds what this process has learned to the file, and takes what other Workers have added. It never fails: what could not
   * be saved is tried again with the next call.
   */
  async save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#exchange());
    return this.#saving;
  }

  async #exchange(): Promise<void> {
    const texts = this.#texts;
    if (texts === null) return;
    const news = this.#news;
    this.#news = new Map();
    try {
      const saved = await this.#read(texts);
      // Without a file that can be read, what is in memory takes its place.
      const sets = saved === null ? this.#sets : withAll(saved, news);
      if (news.size > 0 || saved === null) await texts.write(`${this.#file}.json`, textOf(sets));
      // What was learned meanwhile is not in the file yet.
      if (saved !== null) this.#sets = withAll(sets, this.#news);
    } catch (error) {
      this.#news = withAll(news, this.#news);
      this.#warn(`What was learned about durations could not be saved; it is tried again: ${reasonOf(error)}`);
    }
  }

  /** The sets in the file; null where there is no file, or one that this version cannot read, which is put aside. */
  async #read(texts: Texts): Promise<Sets | null> {
    const text = await texts.read(`${this.#file}.json`);
    const sets = text === null ? null : setsIn(text);
    if (text === null || sets !== null) return sets;
    const aside = `${this.#file}.unread-${Date.now()}.json`;
    await texts.write(aside, text);
    this.#warn(
      `${this.#file}.json in the store holds no durations that this version can read. It was put aside as ${aside}, and learning starts anew. Nothing is paid or lost by that.`,
    );
    return null;
  }

  #counts(place: string | undefined): DurationCounts {
    return (place === undefined ? undefined : this.#sets.get(place)) ?? NO_DURATIONS;
  }
}

/** Names of the sets of a task: of its model with like params, of its model, of its kind. */
function placesOf({ model, kind, likeness }: TaskLike): readonly string[] {
  return [`model:${model} ${likeness}`, `model:${model}`, ...(kind === null ? [] : [`kind:${kind}`])];
}

/** Makes a set the last one, and drops the first where there are too many. */
function put(sets: Sets, place: string, counts: DurationCounts): void {
  sets.delete(place);
  sets.set(place, counts);
  const [first] = sets.keys();
  if (sets.size > MOST_SETS && first !== undefined) sets.delete(first);
}

/** The first sets with the others added to them. */
function withAll(sets: Sets, others: Sets): Sets {
  for (const [place, counts] of others) put(sets, place, mergedDurations(sets.get(place) ?? NO_DURATIONS, counts));
  return sets;
}

function textOf(sets: Sets): string {
  const rounded = Array.from(
    sets,
    ([place, counts]) => [place, counts.map((n) => Math.round(n * 1_000) / 1_000)] as const,
  );
  return `${JSON.stringify({ version: VERSION, sets: Object.fromEntries(rounded) })}\n`;
}

function setsIn(text: string): Sets | null {
  const saved = parseJson(Saved, text);
  if (saved === null) return null;
  const sets: Sets = new Map();
  for (const [place, values] of Object.entries(saved.sets)) {
    const counts = readDurations(values);
    if (counts === null) return null;
    put(sets, place, counts);
  }
  return sets;
}
