/**
 * The account between two events: how reports, requests, looks, probes and time change it, and what is to be done next. It
 * guarantees that nothing is due while all is well. `rivyaAccount` has one. Times of the memory are milliseconds since the
 * epoch.
 */
import { apiTaskQueue, RATE_LIMITED, STOPPED } from '../contract/index.js';
import type { AccountCause, AccountInput, AccountLook, AccountRequests, AccountState } from '../contract/index.js';
import type { AccountWorker, ReadResult, SetRateInput, SetRateResult, WorkerReport } from '../contract/index.js';
import * as causes from './account-causes.js';
import { NO_CAUSES, type Causes } from './account-causes.js';
import type { BeforeState } from './account-input.js';
import * as rates from './account-rate.js';
import { RATE_AT_START, type RateMemory } from './account-rate.js';
import { HOUR, MINUTE, SECOND } from './duration.js';

/** Reports and causes come in bunches: one look is enough for all. */
const LOOK_EVERY_MS = 30 * SECOND;
/** A Worker that has just reported polls a moment later. */
const LOOK_AFTER_MS = 5 * SECOND;
const LOOK_AGAIN_MS = 5 * MINUTE;
const SET_AGAIN_MS = 30 * SECOND;
/** A Worker that has reported lately may not poll yet. */
const UNSEEN_WORKER_MS = 2 * MINUTE;
/** The memo must stay small, and anybody can report. */
const MOST_WORKERS = 100;
/** Below this share of our own limit somebody else uses the key, or its limit is lower. */
const OWN_SHARE = 0.7;
const CALLS_KNOWN_MS = MINUTE;

/** An account: its state, and the memory behind it. A run passes it to the next one when it continues as new. */
export interface Account {
  readonly taskQueue: string;
  readonly rate: RateMemory;
  readonly causes: Causes;
  /** The lowest limit that the present Workers were told, or the last one. */
  readonly configured: number | null;
  readonly workers: AccountState['workers'];
  readonly look: AccountLook | null;
  readonly balance: AccountState['balance'];
  /** Answers 429 by the minute of the epoch, of the last hour. */
  readonly minutes: readonly (readonly [minute: number, count: number])[];
  readonly lastAt: number | null;
  readonly byOthers: boolean;
  /** Calls that each Worker has reported with its last 429. */
  readonly calls: Readonly<Record<string, { readonly at: number; readonly count: number }>>;
  readonly updatedAt: number;
  /** When the next look is due; null: none is. */
  readonly lookAt: number | null;
  readonly lookedAt: number;
  /** A person has asked for the balance. */
  readonly readDue: boolean;
  /** The rate is not set again before, as the last try has failed. */
  readonly rateFrom: number;
  /** Looks and reads that have ended, so that a request can wait for the next one. */
  readonly looks: number;
  readonly reads: number;
}

/** The account before its first look. */
export function accountAtStart({ taskQueue }: AccountInput, now: number): Account {
  return {
    taskQueue,
    rate: RATE_AT_START,
    causes: NO_CAUSES,
    configured: null,
    workers: {},
    look: null,
    balance: null,
    minutes: [],
    lastAt: null,
    byOthers: false,
    calls: {},
    updatedAt: now,
    lookAt: now,
    lookedAt: 0,
    readDue: false,
    rateFrom: 0,
    looks: 0,
    reads: 0,
  };
}

/** The account as query, memo and page show it. */
export function accountState(account: Account): AccountState {
  const { taskQueue, rate, configured, workers, look, balance, minutes, lastAt, byOthers, updatedAt } = account;
  const lastHour = minutes
    .filter(([minute]) => minute * MINUTE > updatedAt - HOUR)
    .reduce((sum, [, count]) => sum + count, 0);
  return {
    queue: apiTaskQueue(taskQueue),
    updatedAt: iso(updatedAt),
    rate: rates.rateState(rate, configured),
    causes: account.causes.standing,
    rateLimited: { lastHour, lastAt: lastAt === null ? null : iso(lastAt), byOthers: byOthers && lastHour > 0 },
    workers,
    look,
    balance,
  };
}

/** After a report of a Worker. */
export function afterReport(account: Account, report: WorkerReport, now: number): Account {
  const { identity, fingerprint, perMinute, rateLimited, refused = [], calls } = report;
  const isNew = account.workers[identity] === undefined;
  const worker = { fingerprint, perMinute, reportedAt: iso(now), ...(calls !== undefined && { calls }) };
  const workers = newest({ ...account.workers, [identity]: worker });
  let next: Account = { ...account, updatedAt: now, workers, configured: lowestOf(workers) };
  if (rateLimited !== undefined) next = afterRateLimited(next, identity, rateLimited, now);
  if (refused.length > 0) {
    const opened = refused.reduce((all, one) => causes.afterRefusal(all, one, fingerprint, now), next.causes);
    next = { ...next, causes: opened };
  }
  const isNews = isNew || rateLimited !== undefined || refused.length > 0;
  return isNews ? withLook(next, now) : next;
}

function afterRateLimited(
  account: Account,
  identity: string,
  { count, retryAfterMs, callsBefore }: NonNullable<WorkerReport['rateLimited']>,
  now: number,
): Account {
  const configured = account.configured ?? 1;
  const recent = Object.entries({ ...account.calls, [identity]: { at: now, count: callsBefore } }).filter(
    ([, { at }]) => now - at <= CALLS_KNOWN_MS,
  );
  // A Worker that has met no 429 is silent, and has made as many calls as those that report.
  const workers = Math.max(recent.length, Object.keys(account.workers).length);
  const ours = (recent.reduce((sum, [, calls]) => sum + calls.count, 0) / recent.length) * workers;
  const minute = Math.floor(now / MINUTE);
  const counted = account.minutes.find(([at]) => at === minute)?.[1] ?? 0;
  const lately = account.minutes.filter(([at]) => at !== minute && at > minute - HOUR / MINUTE);
  return {
    ...account,
    rate: rates.afterRateLimited(account.rate, retryAfterMs, configured, now),
    minutes: [...lately, [minute, counted + count]],
    lastAt: now,
    byOthers: ours < OWN_SHARE * configured,
    calls: Object.fromEntries(recent),
  };
}

/** What time alone changes. */
export function accountAt(account: Account, now: number): Account {
  const { rate, configured } = account;
  const next = rates.rateAt(rate, configured, now);
  if (next === rate) return account;
  const recovered = rate.target !== null && next.target === null;
  return { ...account, rate: next, ...(recovered && { byOthers: false }) };
}

/** Something that the account does next, by an Activity. */
export type AccountStep =
  | { readonly kind: 'look'; readonly first: boolean }
  | { readonly kind: 'rate'; readonly input: SetRateInput; readonly asked: number }
  | { readonly kind: 'read' }
  | { readonly kind: 'release'; readonly code: string; readonly since: string };

/** All that is due now, at most one of a kind. */
export function dueSteps(account: Account, now: number): AccountStep[] {
  const { rate, configured, taskQueue, lookAt, readDue, rateFrom } = account;
  const steps: AccountStep[] = [];
  if (lookAt !== null && lookAt <= now) steps.push({ kind: 'look', first: account.looks === 0 });
  const wanted = rates.rateToSet(rate, configured);
  if (wanted !== null && rateFrom <= now) {
    const reason = rate.person?.reason ?? rates.reasonOf(rate);
    steps.push({ kind: 'rate', input: { queue: apiTaskQueue(taskQueue), ...wanted, reason }, asked: rate.asked });
  }
  if (readDue || (causes.nextProbe(account.causes) ?? Infinity) <= now) steps.push({ kind: 'read' });
  // The Service runs one job of a namespace at a time.
  const [release] = causes.releases(account.causes).filter(({ at }) => at <= now);
  if (release !== undefined) steps.push({ kind: 'release', code: release.code, since: release.since });
  return steps;
}

/** When a step begins: it is not due any more, unless it is asked for again. */
export function stepBegun(account: Account, { kind }: AccountStep): Account {
  if (kind === 'look') return { ...account, lookAt: null };
  return kind === 'read' ? { ...account, readDue: false } : account;
}

/** A step was cancelled: it is due again. */
export function stepUndone(account: Account, { kind }: AccountStep, now: number): Account {
  if (kind === 'look') return { ...account, lookAt: now };
  return kind === 'read' ? { ...account, readDue: true } : account;
}

/** When something is due that is not due now, and what; null: never, as long as nothing is reported. */
export function nextDue(account: Account, now: number): { readonly at: number; readonly what: string } | null {
  const due: readonly (readonly [at: number | null, what: string])[] = [
    [account.lookAt, 'look at queues and holds'],
    [rates.nextRateChange(account.rate), account.rate.closedUntil === null ? 'next rate step' : 'queue opens again'],
    [rates.rateToSet(account.rate, account.configured) === null ? null : account.rateFrom, 'set the rate'],
    [causes.nextProbe(account.causes), 'ask whether the cause is over'],
    ...causes.releases(account.causes).map(({ at, code }) => [at, `resume those held by ${code}`] as const),
  ];
  const later = due.flatMap(([at, what]) => (at !== null && at > now ? [{ at, what }] : []));
  return later.length === 0 ? null : later.reduce((first, one) => (one.at < first.at ? one : first));
}

/**
 * After a look.
 * @param before - What the run before has left; first looks only.
 * @param rateIsFresh - False where the rate was being set meanwhile.
 */
export function afterLook(
  account: Account,
  seen: AccountLook,
  before: BeforeState | null,
  rateIsFresh: boolean,
  now: number,
): Account {
  const first = account.looks === 0;
  const look = { ...seen, at: iso(now) };
  const known = before === null ? account : takenOver(account, before, now);
  const workers = polling(known.workers, look, now);
  const configured = lowestOf(workers) ?? known.configured;
  const queue = apiTaskQueue(account.taskQueue);
  const rate = rateIsFresh
    ? rates.afterRateLook(known.rate, queue, look.setAtService, configured, now, first)
    : known.rate;
  const found = first ? Object.entries(look.heldBy ?? {}) : [];
  return {
    ...known,
    workers,
    configured,
    rate,
    causes: found.reduce((all, [code, count]) => causes.afterFound(all, code, count, now), known.causes),
    look,
    lookAt: areAlike(workers) ? known.lookAt : Math.min(known.lookAt ?? Infinity, now + LOOK_AGAIN_MS),
    lookedAt: now,
    looks: known.looks + 1,
    updatedAt: now,
  };
}

/** False while Workers differ in limit or key, also those that were replaced: the Service lists them for 5 min more. */
function areAlike(workers: AccountState['workers']): boolean {
  return new Set(Object.values(workers).map(({ perMinute, fingerprint }) => `${perMinute} ${fingerprint}`)).size < 2;
}

/** A run that was terminated or cancelled has lost nothing but its history. */
function takenOver(account: Account, before: BeforeState, now: number): Account {
  const { set, closedUntil } = before.rate;
  const { rate } = account;
  const closed = closedUntil === null ? 0 : Date.parse(closedUntil);
  // The look says whether a rate of ours still stands; this is what it was beside a closure.
  const isOurs = set !== null && rate.target === null && rate.person === null;
  const restored = {
    ...rate,
    target: set,
    closedUntil: closed > now ? closed : null,
    nextStepAt: Math.max(closed, now) + rate.quietMs,
  };
  return {
    ...account,
    workers: newest({ ...before.workers, ...account.workers }),
    balance: account.balance ?? before.balance,
    causes: causes.afterBefore(account.causes, before.causes, now),
    rate: isOurs ? restored : rate,
  };
}

/** The Workers that poll, and those that have just reported. */
function polling(workers: AccountState['workers'], { pollers }: AccountLook, now: number): AccountState['workers'] {
  const identities = new Set(Object.values(pollers).flat());
  const isHere = ([identity, { reportedAt }]: [string, AccountWorker]): boolean =>
    identities.has(identity) || now - Date.parse(reportedAt) < UNSEEN_WORKER_MS;
  return Object.fromEntries(Object.entries(workers).filter(isHere));
}

/** After a look that could not be had. */
export function afterFailedLook(account: Account, now: number): Account {
  return { ...account, lookAt: now + LOOK_AGAIN_MS, lookedAt: now };
}

/** After the Service has been asked to set the rate. Null: it has not answered. */
export function afterSetRate(
  account: Account,
  { input, asked }: Extract<AccountStep, { kind: 'rate' }>,
  result: SetRateResult | null,
  now: number,
): Account {
  if (result === null) return { ...account, rateFrom: now + SET_AGAIN_MS };
  const rate = rates.afterSetRate(account.rate, input.queue, input, asked, result);
  const look = account.look && { ...account.look, setAtService: result.setAtService };
  return { ...account, rate, look, updatedAt: now };
}

/** After a read of the credits. Null: it had no answer. */
export function afterRead(account: Account, result: ReadResult | null, now: number): Account {
  const answered = result?.refused === null ? result : null;
  const credits = causes.creditsOf(answered?.body);
  const balance = answered && { credits, askedAt: iso(now), simulated: answered.simulated };
  const probed = causes.afterProbe(account.causes, result, now);
  const next = {
    ...account,
    balance: balance ?? account.balance,
    causes: probed,
    reads: account.reads + 1,
    updatedAt: now,
  };
  // Those that are held change with each probe.
  return probed.standing.length > 0 ? withLook(next, now) : next;
}

/** After those that a cause holds were told to resume; false: that could not be done, and is tried again. */
export function afterRelease(
  account: Account,
  { code, since }: Extract<AccountStep, { kind: 'release' }>,
  isDone: boolean,
  now: number,
): Account {
  const next = isDone
    ? causes.afterRelease(account.causes, code, since, now)
    : causes.afterFailedRelease(account.causes, code, now);
  return withLook({ ...account, causes: next, updatedAt: now }, now);
}

/** False where a release is not wanted any more: its cause has opened again. */
export function isReleasing(account: Account, { code, since }: Pick<AccountCause, 'code' | 'since'>): boolean {
  const cause = causes.causeOf(account.causes, code);
  return cause?.phase === 'releasing' && cause.since === since;
}

/** Why a request cannot be applied now, or null. */
export function requestRefusal<Name extends keyof AccountRequests>(
  { causes: { standing }, rate }: Account,
  name: Name,
  argument: AccountRequests[Name],
): string | null {
  if (name !== 'release') return null;
  const { code } = argument as AccountRequests['release'];
  const known = [...standing.map((cause) => cause.code), ...(rate.closedUntil === null ? [] : [RATE_LIMITED])];
  if (known.includes(code)) return null;
  const list = known.length === 0 ? 'Nothing stands now.' : `These stand: ${known.join(', ')}.`;
  return `code: ${code} is no cause that stands. ${list}`;
}

type Applied = { readonly account: Account; readonly answer: string };
type Appliers = {
  readonly [Name in keyof AccountRequests]: (account: Account, argument: AccountRequests[Name], now: number) => Applied;
};

/** The requests of people. Each answers with a sentence. The answer of `refresh` is `refreshedText`, once it is done. */
export const APPLY_TO_ACCOUNT: Appliers = {
  stopSubmits: (account, { reason = 'No reason given.' }, now) => {
    const standing = causes.causeOf(account.causes, STOPPED);
    if (standing?.phase === 'open') {
      return { account, answer: `Submits are stopped already, since ${standing.since}: ${standing.message}` };
    }
    const next = { ...account, causes: causes.afterStop(account.causes, reason, now), updatedAt: now };
    return {
      account: withLook(next, now),
      answer: 'Stopped: within 15 s no Worker submits a new generation. Checks and results go on.',
    };
  },
  allowSubmits: (account, _, now) => {
    // Until the first look nobody knows whether the run before has left a stop, which this ends too.
    const isKnown = account.looks > 0 || causes.causeOf(account.causes, STOPPED) !== null;
    const known = isKnown ? account : { ...account, causes: causes.afterStop(account.causes, 'Not known.', now) };
    return ended(known, STOPPED, now, 'Submits are not stopped: nothing to do.');
  },
  setRate: (account, { perMinute, reason = 'No reason given.' }, now) => ({
    account: {
      ...account,
      rate: rates.afterSetRateRequest(account.rate, perMinute, reason),
      rateFrom: 0,
      byOthers: false,
      updatedAt: now,
    },
    answer:
      perMinute === null
        ? 'The rate is given back: what the Workers were told counts, and the account lowers it after answers 429.'
        : `The rate is ${perMinute} calls a minute for all Workers, until it is given back.`,
  }),
  release: (account, { code }, now) => {
    if (code !== RATE_LIMITED) return ended(account, code, now, `Nothing is held by ${code}.`);
    const next = { ...account, rate: rates.afterOpened(account.rate), rateFrom: 0, updatedAt: now };
    return { account: next, answer: 'The queue is open again.' };
  },
  refresh: (account, _, now) => ({
    account: { ...account, lookAt: now, readDue: true },
    answer: 'Queues, holds and balance are asked for anew.',
  }),
};

function ended(account: Account, code: string, now: number, otherwise: string): Applied {
  const cause = causes.causeOf(account.causes, code);
  if (cause === null) return { account, answer: otherwise };
  const answer = `${code} is over: new submits go on, and those that it holds are resumed.`;
  if (cause.phase === 'releasing') return { account, answer };
  const over = causes.over(account.causes, code, account.balance?.credits ?? null, now);
  return { account: { ...account, causes: over, updatedAt: now }, answer };
}

/** A look soon, for what has just happened. */
function withLook(account: Account, now: number): Account {
  const soon = Math.max(now + LOOK_AFTER_MS, account.lookedAt + LOOK_EVERY_MS);
  return { ...account, lookAt: Math.min(account.lookAt ?? Infinity, soon) };
}

function newest(workers: AccountState['workers']): AccountState['workers'] {
  const all = Object.entries(workers);
  if (all.length <= MOST_WORKERS) return workers;
  return Object.fromEntries(
    all.toSorted(([, a], [, b]) => Date.parse(b.reportedAt) - Date.parse(a.reportedAt)).slice(0, MOST_WORKERS),
  );
}

function lowestOf(workers: AccountState['workers']): number | null {
  const limits = Object.values(workers).map(({ perMinute }) => perMinute);
  return limits.length === 0 ? null : Math.min(...limits);
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
