/**
 * The causes that hold generations: how they open, when a probe finds that one is over, and how its release ends it. It
 * guarantees that a cause which comes back at once is probed more and more seldom. The account calls it. Times are
 * milliseconds since the epoch, except in `AccountCause`.
 */
import { ERROR_CODES, SHARED_CODES, STOPPED } from '../contract/index.js';
import type { AccountCause, ReadResult, RefusedReport } from '../contract/index.js';
import { MINUTE, SECOND } from './duration.js';

const PROBE_MS = MINUTE;
const LONGEST_PROBE_MS = 30 * MINUTE;
/** The first probe tells the balance at the beginning. */
const FIRST_PROBE_MS = SECOND;
/** Workers read the switchboard each 10 s: those that are resumed before that would be held again. */
const BEFORE_RELEASE_MS = 12 * SECOND;
/** A cause that comes back so soon after its release was not over. */
const CAME_BACK_MS = 2 * MINUTE;
/** What a probe cannot see, such as a new scope of the same key, is tried now and then. */
const TRIED_AFTER_MS = 30 * MINUTE;
const RELEASE_AGAIN_MS = MINUTE;

/** What the account remembers of a cause. */
export interface CauseMemory {
  readonly everyMs: number;
  /** A probe does not end it before. */
  readonly endsFrom: number;
  /** It ends then, where the API takes calls at all. */
  readonly tryAt: number;
  /** Null while it is open. */
  readonly releaseAt: number | null;
}

/** How a cause was over the last time. */
export interface EndedCause {
  readonly at: number;
  readonly everyMs: number;
  /** The balance then. */
  readonly credits: number | null;
}

export interface Causes {
  readonly standing: readonly AccountCause[];
  readonly memory: Readonly<Record<string, CauseMemory>>;
  readonly ended: Readonly<Record<string, EndedCause>>;
}

export const NO_CAUSES: Causes = { standing: [], memory: {}, ended: {} };

const AT_ONCE = { nextProbeAt: null, credits: null, requestId: null, fingerprint: null, probes: 0 } as const;

/** True for a code of which a Worker may report a refusal. */
export function isReportable(code: string): boolean {
  return code !== STOPPED && SHARED_CODES.includes(code);
}

/** After a refusal. */
export function afterRefusal(causes: Causes, refused: RefusedReport, fingerprint: string | null, now: number): Causes {
  const { code, message, requestId } = refused;
  const standing = causeOf(causes, code);
  // The newest key that was refused: only another one ends a denied scope.
  if (standing?.phase === 'open') {
    return changed(causes, code, { fingerprint: fingerprint ?? standing.fingerprint });
  }
  const last = causes.ended[code];
  const cameBack = standing !== null || (last !== undefined && now - last.at < CAME_BACK_MS);
  const before = causes.memory[code]?.everyMs ?? last?.everyMs ?? PROBE_MS;
  const everyMs = cameBack ? Math.min(before * 2, LONGEST_PROBE_MS) : PROBE_MS;
  const endsFrom = cameBack ? now + everyMs : now;
  const cause = { ...AT_ONCE, code, phase: 'open', since: iso(now), message, requestId, fingerprint } as const;
  const memory = { everyMs, endsFrom, tryAt: now + TRIED_AFTER_MS, releaseAt: null };
  return added(causes, { ...cause, nextProbeAt: iso(now + FIRST_PROBE_MS) }, memory);
}

/** Opens the stop switch. */
export function afterStop(causes: Causes, reason: string, now: number): Causes {
  const memory = { everyMs: PROBE_MS, endsFrom: now, tryAt: now, releaseAt: null };
  return added(causes, { ...AT_ONCE, code: STOPPED, phase: 'open', since: iso(now), message: reason }, memory);
}

/** Generations were found held by a code that the account does not know: the first probe may release them. */
export function afterFound(causes: Causes, code: string, count: number, now: number): Causes {
  if (!isReportable(code) || causeOf(causes, code) !== null) return causes;
  const message = `${count} held generations were found when the account began.`;
  const opened = afterRefusal(causes, { code, message, requestId: null }, null, now);
  return changed(opened, code, { credits: 0 });
}

/** The causes of the run before, where they are not known here. They go on as they were. */
export function afterBefore(causes: Causes, before: readonly AccountCause[], now: number): Causes {
  return before.reduce((all, cause) => {
    const { code, phase } = cause;
    if (causeOf(all, code) !== null) return all;
    const isReleasing = phase === 'releasing';
    const memory = { everyMs: PROBE_MS, endsFrom: now, tryAt: now + TRIED_AFTER_MS };
    const nextProbeAt = isReleasing || code === STOPPED ? null : iso(now + FIRST_PROBE_MS);
    return added(
      all,
      { ...cause, nextProbeAt },
      { ...memory, releaseAt: isReleasing ? now + BEFORE_RELEASE_MS : null },
    );
  }, causes);
}

/** After a probe. One probe is for all causes that are due soon. Null: it had no answer. */
export function afterProbe(causes: Causes, probe: ReadResult | null, now: number): Causes {
  return causes.standing.reduce((all, { code, nextProbeAt }) => {
    const { everyMs } = memoryOf(all, code);
    const isDue = nextProbeAt !== null && Date.parse(nextProbeAt) - now < everyMs / 2;
    return isDue ? probed(all, code, probe, now) : all;
  }, causes);
}

function probed(causes: Causes, code: string, probe: ReadResult | null, now: number): Causes {
  const cause = causeOf(causes, code);
  if (cause === null) return causes;
  const memory = memoryOf(causes, code);
  const next = (everyMs: number): Partial<AccountCause> => ({ nextProbeAt: iso(now + everyMs) });
  if (probe === null) return changed(causes, code, next(memory.everyMs));
  const credits = creditsOf(probe.body);
  const last = causes.ended[code];
  // Credits were spent since the release, so it was right.
  const wasUseful = cause.probes === 0 && credits !== null && last?.credits != null && credits < last.credits;
  const everyMs = wasUseful ? PROBE_MS : memory.everyMs;
  const endsFrom = wasUseful ? Math.min(memory.endsFrom, now + PROBE_MS) : memory.endsFrom;
  if (now >= endsFrom && isOver(cause, probe, credits, now >= memory.tryAt)) return over(causes, code, now);
  const baseline = cause.credits ?? credits;
  const seen = changed(causes, code, { ...next(everyMs), probes: cause.probes + 1, credits: baseline });
  return remembered(seen, code, { everyMs, endsFrom });
}

/** @param tryIt - True where it has lasted for so long that it is tried without a sign. */
function isOver(cause: AccountCause, probe: ReadResult, credits: number | null, tryIt: boolean): boolean {
  const { code, probes } = cause;
  const { refused } = probe;
  if (code === 'insufficient_credits') {
    const isAboutKey = refused !== null && isReportable(refused.code) && refused.code !== 'api_scope_denied';
    if (isAboutKey) return false;
    // A key without the right to read the balance: only a try tells.
    if (credits === null) return probes > 0;
    if (credits <= 0) return false;
    return tryIt || (cause.credits === null ? probes > 0 : credits > cause.credits);
  }
  if (code === 'api_scope_denied') {
    const { fingerprint } = probe;
    return refused === null && (tryIt || (fingerprint !== null && fingerprint !== cause.fingerprint));
  }
  // A key that lacks a scope is a valid key.
  return refused === null || refused.code === 'api_scope_denied';
}

/** A cause is over: new submits go on, and those that it holds are resumed soon. */
export function over(causes: Causes, code: string, now: number): Causes {
  const releasing = changed(causes, code, { phase: 'releasing', nextProbeAt: null });
  return remembered(releasing, code, { releaseAt: now + BEFORE_RELEASE_MS });
}

/** After those that a cause holds were resumed. Nothing where it has opened again meanwhile. */
export function afterRelease(causes: Causes, code: string, since: string, credits: number | null, now: number): Causes {
  const cause = causeOf(causes, code);
  if (cause?.phase !== 'releasing' || cause.since !== since) return causes;
  const { [code]: memory, ...others } = causes.memory;
  const ended = { at: now, everyMs: memory?.everyMs ?? PROBE_MS, credits };
  return {
    standing: causes.standing.filter((one) => one.code !== code),
    memory: others,
    ended: { ...causes.ended, [code]: ended },
  };
}

/** After a release that could not be done: it is tried again. */
export function afterFailedRelease(causes: Causes, code: string, now: number): Causes {
  return causeOf(causes, code)?.phase === 'releasing'
    ? remembered(causes, code, { releaseAt: now + RELEASE_AGAIN_MS })
    : causes;
}

/** The causes that are over, each with the time from which those that it holds may be resumed. */
export function releases({ standing, memory }: Causes) {
  return standing
    .filter(({ phase }) => phase === 'releasing')
    .map(({ code, since }) => ({ code, since, at: memory[code]?.releaseAt ?? 0 }));
}

/** When the next probe is due; null: never. */
export function nextProbe({ standing }: Causes): number | null {
  const times = standing.flatMap(({ nextProbeAt }) => (nextProbeAt === null ? [] : [Date.parse(nextProbeAt)]));
  return times.length === 0 ? null : Math.min(...times);
}

export function causeOf({ standing }: Causes, code: string): AccountCause | null {
  return standing.find((cause) => cause.code === code) ?? null;
}

/** The balance in an answer to a read of the credits. */
export function creditsOf(body: unknown): number | null {
  const { currentCredits } = (body ?? {}) as { readonly currentCredits?: unknown };
  return typeof currentCredits === 'number' && Number.isFinite(currentCredits) ? currentCredits : null;
}

/** The meaning of a code, as people read it. */
export function meaningOf(code: string): string {
  if (code === STOPPED) return 'Submits are stopped.';
  return (ERROR_CODES as Readonly<Record<string, { readonly meaning: string }>>)[code]?.meaning ?? code;
}

function memoryOf({ memory }: Causes, code: string): CauseMemory {
  return memory[code] ?? { everyMs: PROBE_MS, endsFrom: 0, tryAt: 0, releaseAt: null };
}

function added(causes: Causes, cause: AccountCause, memory: CauseMemory): Causes {
  const { code } = cause;
  const others = causes.standing.filter((one) => one.code !== code);
  return { ...causes, standing: [...others, cause], memory: { ...causes.memory, [code]: memory } };
}

function changed(causes: Causes, code: string, change: Partial<AccountCause>): Causes {
  const standing = causes.standing.map((cause) => (cause.code === code ? { ...cause, ...change } : cause));
  return { ...causes, standing };
}

function remembered(causes: Causes, code: string, change: Partial<CauseMemory>): Causes {
  return { ...causes, memory: { ...causes.memory, [code]: { ...memoryOf(causes, code), ...change } } };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
