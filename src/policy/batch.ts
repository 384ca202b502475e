/**
 * The decisions of a batch: what may be started, what it may cost, and when it holds. They guarantee that the budget is
 * passed by at most one item of each price class. The Activity `rivyaBatchTick` and the Workflow `rivyaBatch` call them.
 */
import { ENDED_BY_OTHERS, FAILURE } from '../contract/index.js';
import type {
  BatchItem,
  BatchManifest,
  BatchOutcome,
  BatchProgress,
  BatchSettings,
  BatchState,
  EndRange,
  GenerateMediaInput,
  GenerationMemo,
  Hold,
  OpenItem,
} from '../contract/index.js';
import { MINUTE, SECOND } from './duration.js';
import { mayAttemptAgain, needsOperator } from './hold.js';
import { creditsOfEarlier, isSettled } from './state.js';

/** Why a batch starts nothing; the Workflow adds the time since when. */
export type BatchHold = Omit<Hold, 'since'>;

// A look costs 6 events, so with 6 items for each look they are one event an item.
const WORTH_A_LOOK = 6;
// An item is started within this, however few slots are free; and the state that people see is no older.
const LONGEST_WAIT_MS = MINUTE;
// After a look that has changed much, people see sooner what became of it.
const FIRST_WAIT_MS = 10 * SECOND;
/** An item that a person must help gives its slot to another after this. */
const SLOT_KEPT_MS = MINUTE;
// Beyond this many items that wait for persons, something is wrong with all of them.
const HELD_BESIDE = 1_000;
// One item can meet a key that is changed just now.
const SHARED_FROM = 2;
const EQUAL_FAILURES = 20;
/** A class may cost more than its estimate by this factor before the batch holds. */
export const PRICE_ROSE = 1.5;
const CODES_SHOWN = 20;
const RATE_MINUTES = 10;

const EMPTY = { succeeded: 0, failed: 0, cancelled: 0, skipped: 0 };

/**
 * The progress of a batch that counts its records from the first page on. What they do not say is kept, and so are the items
 * that were open: until they are found in the manifest, they count as left.
 */
export function progressAtStart(before?: BatchProgress): BatchProgress {
  const { ends = [], accepted = { failed: 0, prices: {} } } = before ?? {};
  const { equalFailures = { code: '', count: 0 } } = before ?? {};
  const progress: BatchProgress = {
    counting: 0,
    next: 0,
    open: [],
    ended: EMPTY,
    failedBy: {},
    spentCredits: 0,
    prices: {},
    quoted: {},
    equalFailures,
    ends,
    accepted,
  };
  return before === undefined ? progress : withLeft(progress, before);
}

/** The progress with the items that another one has open, or that have left it. */
export function withLeft(progress: BatchProgress, { left, open }: BatchProgress): BatchProgress {
  // Without a look that has asked Temporal, the next one does.
  if (left === undefined) return progress;
  const all = [...(progress.left ?? []), ...left, ...open].map(({ workflowId }) => workflowId);
  return { ...progress, left: [...new Set(all)].map((workflowId) => ({ workflowId })) };
}

/** True where a record says how an item ended, and does not ask to start it again. */
export function hasEnded(record: BatchOutcome | null): record is BatchOutcome {
  return record !== null && record.retry === null;
}

/** Number of items that the batch is for. */
export function itemsOf({ items }: Pick<BatchManifest, 'items'>, { first }: Pick<BatchSettings, 'first'>): number {
  return Math.min(items, first ?? items);
}

/** The price of an item before it has one: the highest that its class has had, else the estimate, else 0. */
export function expectedPrice(
  { classes }: Pick<BatchManifest, 'classes'>,
  { quoted }: Pick<BatchProgress, 'quoted'>,
  priceClass: number,
): number {
  return quoted[priceClass] ?? classes[priceClass]?.estimate ?? 0;
}

type Priced = Pick<BatchOutcome, 'taskId' | 'taskStatus' | 'reservedCredits' | 'finalCredits'>;

/**
 * Credits that the last attempt of an item has cost, or may yet cost: only final credits are below the larger of reserved
 * and expected ones.
 */
export function attemptCredits({ error, ...task }: Priced & Pick<BatchOutcome, 'error'>, expected: number): number {
  const { taskId, finalCredits, reservedCredits } = task;
  if (isSettled({ status: task.taskStatus }) && finalCredits !== null) return finalCredits;
  const mayExist = taskId !== null || error?.code === FAILURE.SubmitUnresolved;
  return mayExist ? Math.max(reservedCredits ?? 0, expected) : 0;
}

/** Credits of all attempts of a record that an item is not to repeat; 0 where its task is waited for again. */
export function creditsBefore(record: BatchOutcome | null, expected: number): number {
  if (record === null) return 0;
  return record.earlierCredits + (record.retry === 'wait' ? 0 : attemptCredits(record, expected));
}

/** The progress with the credits of a record which is of no item that has ended as it is now: they were paid all the same. */
export function withPaid(progress: BatchProgress, credits: number): BatchProgress {
  return { ...progress, spentCredits: progress.spentCredits + credits };
}

/** The price that an item says its class has; null where it says none. A failed task may be free, so its reserved one counts. */
function priceOf({ taskStatus, reservedCredits, finalCredits }: Priced): number | null {
  return taskStatus === 'succeeded' ? (finalCredits ?? reservedCredits) : reservedCredits;
}

/**
 * Counts the record of an item.
 * @param priceClass - Of the item in the present manifest.
 * @param expected - As `expectedPrice` says.
 * @param now - Left out for a record of an earlier look: it says nothing of the rate or of failures in a row.
 */
export function counted(
  progress: BatchProgress,
  record: BatchOutcome,
  { priceClass, expected, now }: { priceClass: number; expected: number; now?: number },
): BatchProgress {
  const { status, error } = record;
  const code = status === 'failed' ? (error?.code ?? 'unknown') : null;
  const price = priceOf(record);
  const { equalFailures: last } = progress;
  const inRow = code === last.code ? last.count + 1 : 1;
  return {
    ...progress,
    ended: { ...progress.ended, [status]: progress.ended[status] + 1 },
    failedBy: code === null ? progress.failedBy : addTo(progress.failedBy, code),
    spentCredits: progress.spentCredits + record.earlierCredits + attemptCredits(record, expected),
    ...(price !== null && {
      prices: atLeast(progress.prices, priceClass, price),
      quoted: atLeast(progress.quoted, priceClass, price),
    }),
    ...(now !== undefined && { ends: endsWith(progress.ends, Math.floor(now / MINUTE)) }),
    ...(now !== undefined && code !== null && { equalFailures: { code, count: inRow } }),
    ...(now !== undefined && status === 'succeeded' && { equalFailures: { code: '', count: 0 } }),
  };
}

/** The progress with the credits that are reserved for items which run. */
export function withReserved(progress: BatchProgress, running: readonly Running[]): BatchProgress {
  let { quoted } = progress;
  for (const { priceClass, memo } of running) {
    if (priceClass !== null && memo?.reservedCredits != null) {
      quoted = atLeast(quoted, priceClass, memo.reservedCredits);
    }
  }
  return { ...progress, quoted };
}

type Prices = BatchProgress['prices'];

function atLeast(prices: Prices, priceClass: number, price: number): Prices {
  return (prices[priceClass] ?? -1) >= price ? prices : { ...prices, [priceClass]: price };
}

/** The counts with one more for a code; codes beyond 20 are counted together. */
export function addTo(counts: Readonly<Record<string, number>>, code: string): Readonly<Record<string, number>> {
  const name = Object.hasOwn(counts, code) || Object.keys(counts).length < CODES_SHOWN - 1 ? code : 'other';
  return { ...counts, [name]: (counts[name] ?? 0) + 1 };
}

function endsWith(ends: BatchProgress['ends'], minute: number): BatchProgress['ends'] {
  const recent = ends.filter(([at]) => at > minute - RATE_MINUTES && at !== minute);
  return [...recent, [minute, (ends.find(([at]) => at === minute)?.[1] ?? 0) + 1]];
}

/** Items that ended in the last 10 minutes, for each minute since the first of them. */
export function perMinute({ ends }: Pick<BatchProgress, 'ends'>, now: number): number {
  const minute = now / MINUTE;
  const recent = ends.filter(([at]) => at > minute - RATE_MINUTES);
  const sum = recent.reduce((all, [, count]) => all + count, 0);
  const since = Math.min(...recent.map(([at]) => at));
  return sum === 0 ? 0 : sum / Math.max(1, minute - since);
}

/** An item that runs, with its memo as the list shows it; null where the list does not show the item yet. */
export interface Running extends Pick<BatchItem, 'workflowId'> {
  /** Null for an item that is not in this manifest. */
  readonly priceClass: number | null;
  readonly memo: Pick<
    GenerationMemo,
    'phase' | 'hold' | 'reservedCredits' | 'earlier' | 'earlierCredits' | 'expectedEnd'
  > | null;
  /** As in `OpenItem`. */
  readonly earlierCredits?: number | undefined;
  readonly again?: boolean | undefined;
}

const holdOf = ({ memo }: Running): Hold | null => (memo?.phase === 'held' ? memo.hold : null);

/** Items that are held, by the code of their hold. */
export function heldBy(running: readonly Running[]): Readonly<Record<string, number>> {
  return running
    .map(holdOf)
    .reduce<Readonly<Record<string, number>>>(
      (counts, hold) => (hold === null ? counts : addTo(counts, hold.code)),
      {},
    );
}

/** When the last of these items should end; null where nothing is known of any that is not held. */
export function lastEnd(running: readonly Running[]): EndRange | null {
  const ends = running.flatMap(({ memo }) => (memo?.phase === 'held' || !memo?.expectedEnd ? [] : [memo.expectedEnd]));
  const last = (name: keyof EndRange): string =>
    new Date(Math.max(...ends.map((end) => Date.parse(end[name])))).toISOString();
  return ends.length === 0 ? null : { from: last('from'), to: last('to') };
}

/** The holds of a batch and of its items in one text: another text is worth showing at once. */
export function shownHolds(hold: Pick<Hold, 'code'> | null, held: Readonly<Record<string, number>>): string {
  return JSON.stringify([hold?.code ?? null, ...Object.entries(held).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
}

interface GateInput {
  readonly batchId: string;
  readonly manifest: Pick<BatchManifest, 'classes' | 'items'>;
  readonly settings: BatchSettings;
  readonly progress: BatchProgress;
  readonly running: readonly Running[];
  readonly now: number;
}

/** Decides on the starts of one look, one item after the other. */
export class Gate {
  readonly #input: GateInput;
  /** Credits of the items that run: of each the larger of reserved and expected, for all attempts that it may pay for. */
  committed = 0;
  #slots: number;
  #admitted = 0;
  /** Classes of which an item runs that teaches the price: the one that the API reserves for it. */
  readonly #probes = new Set<number>();

  constructor(input: GateInput) {
    this.#input = input;
    const { running, settings, progress, now } = input;
    let givenBack = 0;
    for (const item of running) {
      this.#commit(item);
      const hold = holdOf(item);
      if (hold !== null && !needsOperator(hold.code) && now - Date.parse(hold.since) >= SLOT_KEPT_MS) givenBack += 1;
      // One that waits for a person teaches no price: another one does.
      else if (item.priceClass !== null) this.#probes.add(item.priceClass);
    }
    const free = settings.maxInFlight - (running.length - givenBack);
    this.#slots = Math.max(0, Math.min(free, HELD_BESIDE + settings.maxInFlight - progress.open.length));
  }

  get slots(): number {
    return this.#slots;
  }

  /** `probing`: another item of its class teaches the price first. `full`: no slot is free. Or a hold: it costs too much. */
  admit({
    priceClass,
    again = false,
  }: Pick<OpenItem, 'priceClass' | 'again'>): 'start' | 'probing' | 'full' | BatchHold {
    const { settings, progress } = this.#input;
    if (this.#slots === 0) return 'full';
    const { maxCredits } = settings;
    if (maxCredits !== null) {
      if (progress.quoted[priceClass] === undefined && this.#probes.has(priceClass)) return 'probing';
      const expected = this.#expected(priceClass) * (again ? 1 : this.#attempts(priceClass));
      const used = progress.spentCredits + this.committed;
      if (used >= maxCredits || used + expected > maxCredits) return this.#budgetReached(maxCredits, used, expected);
    }
    this.#slots -= 1;
    this.#admitted += 1;
    this.#probes.add(priceClass);
    this.#commit({ priceClass, again, memo: null });
    return 'start';
  }

  #budgetReached(maxCredits: number, used: number, expected: number): BatchHold {
    const { batchId, manifest, settings, progress } = this.#input;
    const { succeeded, failed, cancelled, skipped } = progress.ended;
    const known = succeeded + failed + cancelled + skipped + progress.open.length + this.#admitted;
    const remaining = itemsOf(manifest, settings) - known;
    const all = Math.ceil(used + Math.max(1, expected, remaining * expected));
    const message = `Items that ended or run have cost, or may cost, ${round(used)} credits, and the limit is ${maxCredits}; the next one may cost ${round(expected)}.`;
    const action = `Nothing more is started. To go on, allow more, for all that remain about ${all}: rivya-temporal batch resume ${batchId} --max-credits ${all}, or setMaxCredits in the Temporal UI.`;
    return batchHold(FAILURE.BudgetReached, message, action);
  }

  #expected(priceClass: number): number {
    return expectedPrice(this.#input.manifest, this.#input.progress, priceClass);
  }

  #attempts(priceClass: number): number {
    return this.#input.manifest.classes[priceClass]?.attempts ?? 1;
  }

  #commit({ priceClass, memo, earlierCredits = 0, again = false }: Omit<Running, 'workflowId'>): void {
    const made = memo?.earlier.length ?? 0;
    // Of an item that has left the manifest, the class is not known: until credits are reserved for it, it may be the dearest.
    if (priceClass === null) {
      const all = this.#input.manifest.classes.map((_, index) => index);
      const price = memo?.reservedCredits ?? Math.max(0, ...all.map((index) => this.#expected(index)));
      const attempts = Math.max(1, ...all.map((index) => this.#attempts(index)));
      this.committed += price * Math.max(1, attempts - made);
      return;
    }
    const expected = this.#expected(priceClass);
    const price = Math.max(memo?.reservedCredits ?? 0, expected);
    // What its record names is among the spent credits.
    const paid = memo === null ? 0 : creditsOfEarlier(memo, memo.earlier, expected);
    const earlier = Math.max(0, paid - earlierCredits);
    this.committed += price * Math.max(1, again ? 1 : this.#attempts(priceClass) - made) + earlier;
  }
}

/** A hold that no call to the API has caused. */
export function batchHold(code: string, message: string, action: string): BatchHold {
  return { code, message, action, httpStatus: null, requestId: null };
}

type BrakeInput = Omit<GateInput, 'now'>;

/** Why the batch starts nothing at all, or null. A person ends it with `resume`; a shared cause ends with its last hold. */
export function brake({ batchId, manifest, settings, progress, running }: BrakeInput): BatchHold | null {
  const { equalFailures: last, ended, accepted } = progress;
  const resume = `rivya-temporal batch resume ${batchId}`;
  const held = running.map(holdOf).filter((one) => one !== null);
  for (const { code, message, action, httpStatus, requestId } of held) {
    const count = held.filter((other) => other.code === code).length;
    // Where nothing else runs, one is enough: no other item can show whether it has the cause for itself.
    if (!needsOperator(code) || (count < SHARED_FROM && count < running.length)) continue;
    const [who, long] = count === 1 ? ['1 item is', 'it is'] : [`${count} items are`, 'they are'];
    const said = `${who} held by ${code}: ${message} Nothing is started as long as ${long}.`;
    return { code, message: said, action, httpStatus, requestId };
  }
  if (last.count >= EQUAL_FAILURES) {
    const message = `The last ${last.count} items all failed with ${last.code}.`;
    return batchHold('EqualFailures', message, `Correct the cause, then go on: ${resume}`);
  }
  const limit = failuresAllowed(settings.maxFailures, itemsOf(manifest, settings));
  const failed = ended.failed - accepted.failed;
  if (limit !== null && failed >= limit) {
    const message = `${failed}${accepted.failed > 0 ? ' more' : ''} failed, and --max-failures ${settings.maxFailures} holds the batch at ${limit}.`;
    return batchHold('TooManyFailures', message, `Look at the failures, then go on: ${resume}`);
  }
  const dear = manifest.classes
    .map(({ model, estimate }, index) => ({ model, estimate, price: progress.quoted[index] ?? 0, index }))
    .find(
      ({ estimate, price, index }) =>
        estimate !== null && price > PRICE_ROSE * Math.max(estimate, accepted.prices[index] ?? 0),
    );
  if (dear === undefined) return null;
  const message = `An item of ${dear.model} costs ${round(dear.price)} credits, and the list of models says ${dear.estimate}.`;
  return batchHold('PriceRose', message, `If that is right, go on: ${resume}`);
}

/** The number of failures at which a batch holds; null: any number. The text was checked. */
export function failuresAllowed(maxFailures: string | null, items: number): number | null {
  if (maxFailures === null) return null;
  const share = maxFailures.endsWith('%');
  const number = Number.parseFloat(maxFailures);
  return Math.max(1, share ? Math.ceil((items * number) / 100) : number);
}

/** The progress once a person has accepted what was seen so far. */
export function acceptedSoFar(progress: BatchProgress): BatchProgress {
  const { ended, quoted } = progress;
  return { ...progress, equalFailures: { code: '', count: 0 }, accepted: { failed: ended.failed, prices: quoted } };
}

/** The progress without the prices that a person has accepted: they are of the classes of one manifest. */
export function withoutPrices(progress: BatchProgress): BatchProgress {
  return { ...progress, accepted: { ...progress.accepted, prices: {} } };
}

interface WaitInput {
  /** Items that ran after the look, and that run now. */
  readonly before: number;
  readonly now: number;
  /** True where a free slot would be filled. */
  readonly more: boolean;
  /** True where an item waits until another one has taught the price of its class. */
  readonly probing: boolean;
  readonly maxInFlight: number;
  /** Items that the look has recorded or started. */
  readonly changes: number;
  readonly waitedMs: number;
}

/** True where another look is worth its events: enough slots are free, all items have ended, or it is time. */
export function isLookDue({ before, now, more, probing, maxInFlight, changes, waitedMs }: WaitInput): boolean {
  const many = Math.min(WORTH_A_LOOK, maxInFlight);
  // While slots are filled, looks are as many as the items; the last items and the first of a class are few.
  const shown = changes >= (more && !probing ? many : 1);
  if (now === 0 || waitedMs >= (shown ? FIRST_WAIT_MS : LONGEST_WAIT_MS)) return true;
  return before - now >= (probing ? 1 : more ? many : WORTH_A_LOOK);
}

/** Milliseconds between two counts of the items that run: the end of a batch is noticed within 10 s. */
export function countEvery(waitedMs: number): number {
  return waitedMs < 20 * SECOND ? 2 * SECOND : 5 * SECOND;
}

// A refused item would be refused again; an unresolved one is for a person.
const NEVER_BOUGHT: ReadonlySet<string> = new Set([FAILURE.SubmitUnresolved, FAILURE.InputChanged]);
const NOTHING_MADE: ReadonlySet<string> = new Set([
  ...ENDED_BY_OTHERS,
  FAILURE.DeadlinePassed,
  FAILURE.BudgetReached,
  FAILURE.PolicyDenied,
  FAILURE.ReferenceUnavailable,
]);

/**
 * How an item that ended is started again: `wait` waits for the task that it has and pays nothing; `buy` pays for one more
 * task. Null where it would come to the same end, or where a task may exist that nobody knows.
 */
export function retryKind(
  { status, taskId, taskStatus, error, attempts }: BatchOutcome,
  input: Pick<GenerateMediaInput, 'idempotencyKey' | 'taskId' | 'references'>,
): 'wait' | 'buy' | null {
  if (status === 'succeeded' || status === 'skipped') return null;
  const code = error?.code ?? '';
  if (taskId !== null) {
    if (taskStatus !== 'failed') return 'wait';
    // A key of the caller's own pays once.
    const once = input.taskId !== undefined || (input.idempotencyKey !== undefined && attempts > 0);
    return mayAttemptAgain(code) && !once ? 'buy' : null;
  }
  // A reference that the Worker may not read, or that was not complete, can be mended beside the input.
  if (code === FAILURE.InvalidInput) return (input.references ?? []).length > 0 ? 'buy' : null;
  if (NEVER_BOUGHT.has(code)) return null;
  return NOTHING_MADE.has(code) || needsOperator(code) ? 'buy' : null;
}

/** Items that have ended, however. */
export function endedOf({ succeeded, failed, cancelled, skipped }: BatchState['counts']): number {
  return succeeded + failed + cancelled + skipped;
}

// How far the rate of the last minutes misses, as a rule.
const RATE_VARIES = [0.8, 1.3] as const;

/**
 * Milliseconds until the last item has ended, at least and at most: at the present rate, and not before the last of those that run.
 * Null where nothing tells.
 */
export function timeLeft(
  { counts, perMinute: rate, lastEnd: last }: Pick<BatchState, 'counts' | 'perMinute' | 'lastEnd'>,
  now: number,
): { readonly from: number; readonly to: number } | null {
  const left = counts.items - endedOf(counts);
  const until = (time: string | undefined): number => (time === undefined ? 0 : Math.max(0, Date.parse(time) - now));
  const [from, to] = [until(last?.from), until(last?.to)];
  // Of items that have not been started nothing is known.
  if (rate === 0) return to > 0 && left <= counts.open ? { from, to } : null;
  const ms = (left / rate) * MINUTE;
  return { from: Math.max(RATE_VARIES[0] * ms, from), to: Math.max(RATE_VARIES[1] * ms, to) };
}

/** Credits without the noise of floating point. */
export function round(credits: number): number {
  return Math.round(credits * 1e4) / 1e4;
}
