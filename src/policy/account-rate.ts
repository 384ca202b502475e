/**
 * The rate that the account wants at the Service for the API task queue: what the Workers were told, so that a Worker which
 * sends no limit lifts none; and when it closes the queue, lowers the rate, and goes back step by step. It guarantees that the
 * rate of a person is never replaced. The account calls it. Times are milliseconds since the epoch.
 */
import { rateIdentity, type AccountLook, type AccountRate, type SetRateResult } from '../contract/index.js';
import { formatDuration, MINUTE, SECOND } from './duration.js';
import { callsPerMinute } from './rate.js';

/** Never lower: one call each ten seconds still finds out that the API takes calls again. */
const LOWEST = 6;
/** Answers 429 come in bunches: all calls of a full window are refused. One bunch lowers the rate once. */
const EPISODE_MS = 20 * SECOND;
/** The longest that the API may close the queue for: `Retry-After` can name hours. */
const LONGEST_CLOSED_MS = 10 * MINUTE;
const SHORTEST_CLOSED_MS = SECOND;
/** The window of the API's limit. */
const WINDOW_MS = MINUTE;
/** Quiet time before the first step up; each further 429 doubles it. */
const QUIET_MS = MINUTE;
const LONGEST_QUIET_MS = 4 * MINUTE;
/** A step is good when it has stayed quiet for so long: a fixed window of a minute begins at most once within it. */
const STEP_MS = MINUTE;
/** The first step is small, because it often fails; those after it grow, so that the full rate is soon back. */
const FACTORS = [1.25, 1.6, 2];
/** A report comes so long after its 429. */
const REPORT_LAG_MS = 15 * SECOND;
/** Below the rate that was good. */
const BELOW_GOOD = 0.95;

/** The memory behind `AccountRate`. */
export interface RateMemory {
  /** Calls a minute that the account wants while the queue is open; null: what the Workers were told. */
  readonly target: number | null;
  /** What the account has set at the Service; left out while that is not known. */
  readonly applied?: number | null;
  /** The rate of a person. `foreign`: set at the Service without the account. */
  readonly person: { readonly perMinute: number; readonly reason: string; readonly foreign: boolean } | null;
  readonly closedUntil: number | null;
  readonly loweredAt: number | null;
  readonly quietMs: number;
  /** The last step up: from what, to what, and until when a 429 means that it has failed. */
  readonly trial: { readonly good: number; readonly tried: number; readonly until: number } | null;
  /** Steps up since the last 429. */
  readonly steps: number;
  readonly nextStepAt: number | null;
  /** Requests of people to set a rate, and how many of them have reached the Service. */
  readonly asked: number;
  readonly done: number;
  /** Why the Service takes no rate; null: it does, as far as is known. */
  readonly refused: string | null;
}

export const RATE_AT_START: RateMemory = {
  target: null,
  person: null,
  closedUntil: null,
  loweredAt: null,
  quietMs: QUIET_MS,
  trial: null,
  steps: 0,
  nextStepAt: null,
  asked: 0,
  done: 0,
  refused: null,
};

/** A state without a lower rate: what the Workers were told counts. */
const OPEN = { target: null, closedUntil: null, trial: null, steps: 0, nextStepAt: null } satisfies Partial<RateMemory>;

/** After answers 429. */
export function afterRateLimited(
  memory: RateMemory,
  retryAfterMs: number | null,
  configured: number,
  now: number,
): RateMemory {
  const { target, trial, loweredAt, closedUntil, person } = memory;
  const asked = retryAfterMs === null ? 0 : now + clamp(retryAfterMs, SHORTEST_CLOSED_MS, LONGEST_CLOSED_MS);
  // The rate of a person stays; the Workers make no call until then, which the page says and a person can end.
  if (person !== null) return asked === 0 ? memory : { ...memory, closedUntil: Math.max(closedUntil ?? 0, asked) };
  const lowest = Math.min(LOWEST, configured);
  const failedStep = trial !== null && now <= trial.until + REPORT_LAG_MS ? trial : null;
  // Calls that were under way when the queue was closed are answered after that.
  const sameEpisode = (loweredAt !== null && now - loweredAt < EPISODE_MS) || (closedUntil ?? 0) > now;
  if (failedStep === null && sameEpisode) return closed(memory, asked, now);
  const lowered = failedStep === null ? (target ?? configured) / 2 : failedStep.good * BELOW_GOOD;
  // The higher rate has filled a window early: no call is taken in what is left of it.
  const full = failedStep === null ? 0 : now + WINDOW_MS * (1 - failedStep.good / failedStep.tried) + 2 * SECOND;
  const fresh = target === null && failedStep === null;
  return closed(
    {
      ...memory,
      target: Math.max(lowest, Math.round(lowered)),
      loweredAt: now,
      trial: null,
      steps: 0,
      quietMs: fresh ? QUIET_MS : Math.min(LONGEST_QUIET_MS, memory.quietMs * 2),
    },
    Math.max(asked, full),
    now,
  );
}

function closed(memory: RateMemory, until: number, now: number): RateMemory {
  const closedUntil = Math.max(memory.closedUntil ?? 0, until);
  return {
    ...memory,
    closedUntil: closedUntil > now ? closedUntil : null,
    nextStepAt: Math.max(closedUntil, now) + memory.quietMs,
  };
}

/** What time alone changes: the queue opens again, and the rate goes up by a step. */
export function rateAt(memory: RateMemory, configured: number | null, now: number): RateMemory {
  const opened = memory.closedUntil !== null && memory.closedUntil <= now ? { ...memory, closedUntil: null } : memory;
  if (opened.person !== null) return opened;
  const { target, nextStepAt, steps, closedUntil } = opened;
  if (target === null) return { ...opened, nextStepAt: null };
  // Workers with a lower limit have come.
  if (configured !== null && target >= configured) return { ...opened, ...OPEN, closedUntil, trial: opened.trial };
  if (configured === null || nextStepAt === null || nextStepAt > now || closedUntil !== null) return opened;
  const tried = Math.max(target + 1, Math.round(target * (FACTORS[Math.min(steps, FACTORS.length - 1)] ?? 1)));
  const trial = { good: target, tried: Math.min(tried, configured), until: now + STEP_MS };
  if (tried >= configured) return { ...opened, ...OPEN, trial };
  return { ...opened, target: tried, trial, steps: steps + 1, nextStepAt: now + STEP_MS };
}

/** What is to be set at the Service now, or null. `configured`: calls a minute that the Workers were told, or null. */
export function rateToSet(
  memory: RateMemory,
  configured: number | null,
): { readonly perMinute: number | null; readonly forPerson: boolean } | null {
  const { person, applied, target, closedUntil, asked, done } = memory;
  const forPerson = asked > done;
  if (person !== null) return forPerson ? { perMinute: person.perMinute, forPerson } : null;
  // Given back: what the account wants follows, under its own identity.
  if (forPerson) return { perMinute: null, forPerson };
  const perMinute = closedUntil !== null ? 0 : (target ?? configured);
  // A lower rate that an account before this one has left stands until the first look has found it.
  const isDue = applied === undefined ? closedUntil !== null || target !== null : applied !== perMinute;
  return isDue ? { perMinute, forPerson } : null;
}

/** After the Service has been asked to set a rate. @param asked - Of the memory when it was asked. */
export function afterSetRate(
  memory: RateMemory,
  queue: string,
  wanted: { readonly perMinute: number | null },
  asked: number,
  { applied, setAtService, refused }: SetRateResult,
): RateMemory {
  const done = { ...memory, done: asked };
  // It is not asked again and again: the Workers close the queue for themselves.
  if (refused !== null) return { ...done, applied: wanted.perMinute, refused };
  if (applied || setAtService === null) return { ...done, applied: wanted.perMinute, refused: null };
  return ofPerson(done, setAtService, setAtService.identity !== rateIdentity(queue, true));
}

/**
 * After a look at the rate that is set at the Service.
 * @param first - True for the first look of an account: a rate of ours was left by an account before it.
 */
export function afterRateLook(
  memory: RateMemory,
  queue: string,
  set: AccountLook['setAtService'],
  configured: number | null,
  now: number,
  first: boolean,
): RateMemory {
  const { person } = memory;
  // A person's request is under way.
  if (memory.asked > memory.done) return memory;
  if (set === null) return { ...memory, person: null, applied: null };
  const perMinute = callsPerMinute(set.perSecond);
  if (set.identity === rateIdentity(queue, true)) return ofPerson(memory, set, false);
  if (set.identity !== rateIdentity(queue)) return ofPerson(memory, set, true);
  const ours = { ...memory, person: person?.foreign === true ? null : person, applied: perMinute };
  if (!first || ours.person !== null || ours.target !== null) return ours;
  const target = Math.max(perMinute, Math.min(LOWEST, configured ?? LOWEST));
  return { ...ours, target, nextStepAt: Math.max(ours.closedUntil ?? 0, now) + ours.quietMs };
}

function ofPerson(memory: RateMemory, set: NonNullable<AccountLook['setAtService']>, foreign: boolean): RateMemory {
  const { perSecond, identity, reason } = set;
  const why = reason === '' ? 'no reason given' : reason;
  const person = {
    // Another identity means what it has written, without the reserve of the account.
    perMinute: foreign ? Math.round(perSecond * 60) : callsPerMinute(perSecond),
    reason: foreign ? `${why} (set by ${identity})` : why,
    foreign,
  };
  const { applied: _, ...known } = memory;
  return { ...known, ...OPEN, closedUntil: memory.closedUntil, person };
}

/** After a person's request. Null gives the rate back to the account. */
export function afterSetRateRequest(memory: RateMemory, perMinute: number | null, reason: string): RateMemory {
  const person = perMinute === null ? null : { perMinute, reason, foreign: false };
  return { ...memory, ...OPEN, person, asked: memory.asked + 1 };
}

/** After `release` of `RATE_LIMITED`: the queue is open. */
export function afterOpened(memory: RateMemory): RateMemory {
  return { ...memory, closedUntil: null };
}

/** When time alone changes something; null: never. */
export function nextRateChange({ person, closedUntil, nextStepAt }: RateMemory): number | null {
  return closedUntil ?? (person === null ? nextStepAt : null);
}

/** The rate as people read it. */
export function rateState(memory: RateMemory, configured: number | null): AccountRate {
  const { target, person, closedUntil, nextStepAt, refused } = memory;
  const iso = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());
  const notTaken = refused === null ? '' : ` The Service takes no rate from the account: ${refused}`;
  if (person !== null) {
    return {
      configured,
      set: person.perMinute,
      by: 'person',
      reason: person.reason + notTaken,
      closedUntil: iso(closedUntil),
      nextStepAt: null,
    };
  }
  return {
    configured,
    set: target,
    by: target === null ? 'workers' : 'account',
    reason: reasonOf(memory) + notTaken,
    closedUntil: iso(closedUntil),
    nextStepAt: iso(nextStepAt),
  };
}

/** Why the rate is what it is; it stands at the Service too. */
export function reasonOf({ target, closedUntil, trial, quietMs, steps }: RateMemory): string {
  if (closedUntil !== null) return 'Closed: the API has answered 429, and takes no call until its window is over.';
  if (target === null) return 'As the Workers were told.';
  if (steps > 0 && trial !== null) return `On its way up: ${trial.good} calls a minute brought no 429.`;
  return `Lowered, because the API has answered 429. It goes up after ${formatDuration(quietMs)} without one.`;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
