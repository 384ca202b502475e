/**
 * The causes that hold generations: how they open, when a probe finds that one is over, and how its release ends it. It
 * guarantees that a cause which comes back at once, without a sign that anything has changed, is tried more and more
 * seldom. The account calls it. Times are milliseconds since the epoch, except in `AccountCause`.
 */
import { ERROR_CODES, SHARED_CODES, STOPPED } from '../contract/index.js';
import type { AccountCause, ReadResult, RefusedReport } from '../contract/index.js';
import { MINUTE, SECOND } from './duration.js';

const PROBE_MS = MINUTE;
const LONGEST_TRY_MS = 30 * MINUTE;
/** The first probe tells the balance at the beginning. */
const FIRST_PROBE_MS = SECOND;
/** Workers read the switchboard each 10 s: those that are resumed before that would be held again. */
const BEFORE_RELEASE_MS = 12 * SECOND;
/** A cause that comes back so soon after its release was not over. */
const CAME_BACK_MS = 2 * MINUTE;
const RELEASE_AGAIN_MS = MINUTE;

const SCOPE = 'api_scope_denied';

/** What the account remembers of a cause. */
export interface CauseMemory {
  /** How long it stands before it is tried without a sign: doubled each time that it comes back at once. */
  readonly tryMs: number;
  /** From then on it is tried without a sign, where no probe says that it stands. */
  readonly tryAt: number;
  /** Null while it is open. */
  readonly releaseAt: number | null;
}

/** How a cause was over the last time. */
export interface EndedCause {
  readonly at: number;
  readonly tryMs: number;
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
  const before = causes.memory[code]?.tryMs ?? last?.tryMs ?? PROBE_MS;
  const tryMs = cameBack ? Math.min(before * 2, LONGEST_TRY_MS) : PROBE_MS;
  const cause = { ...AT_ONCE, code, phase: 'open', since: iso(now), message, requestId, fingerprint } as const;
  const memory = { tryMs, tryAt: cameBack ? now + tryMs : firstTry(code, now), releaseAt: null };
  return added(causes, { ...cause, nextProbeAt: iso(now + FIRST_PROBE_MS) }, memory);
}

/** Opens the stop switch. */
export function afterStop(causes: Causes, reason: string, now: number): Causes {
  const memory = { tryMs: PROBE_MS, tryAt: now, releaseAt: null };
  return added(causes, { ...AT_ONCE, code: STOPPED, phase: 'open', since: iso(now), message: reason }, memory);
}

/** Generations were found held by a code that the account does not know: the first probe may release them. */
export function afterFound(causes: Causes, code: string, count: number, now: number): Causes {
  // A scope that a chat or an upload lacks holds that one alone.
  if (!isReportable(code) || code === SCOPE || causeOf(causes, code) !== null) return causes;
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
    const memory = { tryMs: PROBE_MS, tryAt: firstTry(code, now) };
    const nextProbeAt = isReleasing || code === STOPPED ? null : iso(now + FIRST_PROBE_MS);
    return added(
      all,
      { ...cause, nextProbeAt },
      { ...memory, releaseAt: isReleasing ? now + BEFORE_RELEASE_MS : null },
    );
  }, causes);
}

/** After a probe, which is for all causes that are asked for. Null: it had no answer. */
export function afterProbe(causes: Causes, probe: ReadResult | null, now: number): Causes {
  return causes.standing.reduce(
    (all, { code, nextProbeAt }) => (nextProbeAt === null ? all : probed(all, code, probe, now)),
    causes,
  );
}

function probed(causes: Causes, code: string, probe: ReadResult | null, now: number): Causes {
  const cause = causeOf(causes, code);
  if (cause === null) return causes;
  const nextProbeAt = iso(now + PROBE_MS);
  if (probe === null) return changed(causes, code, { nextProbeAt });
  const { tryAt } = memoryOf(causes, code);
  const credits = creditsOf(probe.body);
  if (mayBeOver(cause, probe, credits) && (now >= tryAt || hasChanged(cause, probe, credits))) {
    return over(causes, code, credits, now);
  }
  // The lowest that was seen, so that a top-up shows also after the last credits were spent.
  const lowest = credits === null ? cause.credits : Math.min(cause.credits ?? credits, credits);
  const seen = changed(causes, code, { nextProbeAt, probes: cause.probes + 1, credits: lowest });
  // Credits were spent since the release, so it was right.
  const last = causes.ended[code];
  const wasUseful = cause.probes === 0 && credits !== null && last?.credits != null && credits < last.credits;
  return wasUseful ? remembered(seen, code, { tryMs: PROBE_MS, tryAt: Math.min(tryAt, now + PROBE_MS) }) : seen;
}

/** False where the probe says that the cause stands. */
function mayBeOver({ code, probes }: AccountCause, { refused }: ReadResult, credits: number | null): boolean {
  // A key that lacks the scope of this read is a valid key, and may have the scope that payments need.
  const lacksScope = refused?.code === SCOPE;
  if (code !== 'insufficient_credits') return refused === null || lacksScope;
  if (refused !== null && !lacksScope && isReportable(refused.code)) return false;
  // One generation may cost more than there is, and others less, so any balance is tried. Without one only a try tells.
  return credits === null ? probes > 0 : credits > 0;
}

/** A sign that something was done: another key, or more credits than before. */
function hasChanged(cause: AccountCause, { fingerprint }: ReadResult, credits: number | null): boolean {
  if (fingerprint !== null && fingerprint !== cause.fingerprint) return true;
  return cause.code === 'insufficient_credits' && cause.credits !== null && credits !== null && credits > cause.credits;
}

/** A probe sees whether there are credits and a key, but not whether the same key has a scope now. */
function firstTry(code: string, now: number): number {
  return code === SCOPE ? now + LONGEST_TRY_MS : now;
}

/** A cause is over: new submits go on, and those that it holds are resumed soon. `credits`: the balance now, or null. */
export function over(causes: Causes, code: string, credits: number | null, now: number): Causes {
  const releasing = changed(causes, code, { phase: 'releasing', nextProbeAt: null });
  const ended = { ...causes.ended, [code]: { at: now, tryMs: memoryOf(causes, code).tryMs, credits } };
  return remembered({ ...releasing, ended }, code, { releaseAt: now + BEFORE_RELEASE_MS });
}

/** After those that a cause holds were resumed. Nothing where it has opened again meanwhile. */
export function afterRelease(causes: Causes, code: string, since: string, now: number): Causes {
  const cause = causeOf(causes, code);
  if (cause?.phase !== 'releasing' || cause.since !== since) return causes;
  const { [code]: memory, ...others } = causes.memory;
  const ended = { tryMs: memory?.tryMs ?? PROBE_MS, credits: causes.ended[code]?.credits ?? null, at: now };
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
  return memory[code] ?? { tryMs: PROBE_MS, tryAt: 0, releaseAt: null };
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
