/**
 * The schedule of status checks. It guarantees that the API is never asked faster than its page advises.
 * `generateMedia` calls it before each wait.
 */
import type { MediaKind } from '../contract/index.js';
import { HOUR, MINUTE, SECOND } from './duration.js';
import { TIMEOUTS } from './timeouts.js';

/** No two status calls of one task are closer than this: the fastest pace that the API page advises. */
export const MIN_WAIT_MS = 5 * SECOND;
// The API page: "wait 2-3 seconds after submission".
const FIRST_WAIT_MS = 2 * SECOND;

// "Slow down for long video and audio jobs."
const SLOW = [
  { untilMs: 60 * SECOND, everyMs: 10 * SECOND },
  { untilMs: 5 * MINUTE, everyMs: 15 * SECOND },
];
/** The pace by the age of the task. A pace that grows from the start would cost more calls and more lag. */
const BANDS: Readonly<Record<MediaKind, readonly { readonly untilMs: number; readonly everyMs: number }[]>> = {
  image: [
    { untilMs: 30 * SECOND, everyMs: 5 * SECOND },
    { untilMs: 5 * MINUTE, everyMs: 10 * SECOND },
  ],
  video: SLOW,
  audio: SLOW,
};
// From 5 minutes on, a check comes at most 5 % of the job's length too late.
const SHARE_OF_AGE = 0.05;
// A person who waits for an hour still sees the end within a minute; after that 5 minutes are nothing.
const CAP_FIRST_HOUR_MS = 60 * SECOND;
const CAP_LATER_MS = 5 * MINUTE;
// A fifth of the grace for a result that comes after its status, so that an old task is asked a few times too.
const TRAILING_MS = TIMEOUTS.resultGrace / 5;
// Jobs submitted together drift apart instead of asking together for hours.
const JITTER = 0.1;

/** Milliseconds that must pass before the next check of a task; `first` before the first one. */
export function leastWait(first: boolean): number {
  return first ? FIRST_WAIT_MS : MIN_WAIT_MS;
}

interface WaitInput {
  /** Age of the task in milliseconds. */
  readonly ageMs: number;
  readonly kind: MediaKind | null;
  /** True before the first check of a task that was submitted just now. */
  readonly first: boolean;
  /** How long ago the task was first seen to have succeeded without a link; left out while it has not. */
  readonly trailingMs?: number | null;
  /** Milliseconds until the check that was planned from the durations of earlier tasks; left out or null: none was planned. */
  readonly plannedMs?: number | null;
  /** From 0 to 1. In a Workflow `Math.random()` is deterministic. */
  readonly random: number;
}

/**
 * Milliseconds until the next status check: at least 2 s before the first, then never less than 5 s. Where no check was
 * planned, the first comes after 2 to 3 s. Jitter makes a wait up to 10 % shorter, so the caps hold. An unknown kind waits
 * like a video. After `succeeded` without a link it checks a few times, the last time when the grace is over.
 */
export function nextWait({ ageMs, kind, first, trailingMs = null, plannedMs = null, random }: WaitInput): number {
  if (plannedMs !== null && trailingMs === null) {
    return Math.max(leastWait(first), Math.round(plannedMs * (1 - JITTER * random)));
  }
  if (first) return Math.round(FIRST_WAIT_MS + SECOND * random);
  const band = BANDS[kind ?? 'video'].find(({ untilMs }) => ageMs < untilMs);
  const cap = ageMs < HOUR ? CAP_FIRST_HOUR_MS : CAP_LATER_MS;
  const every = band?.everyMs ?? Math.min(ageMs * SHARE_OF_AGE, cap);
  const trailing = trailingMs === null ? Infinity : Math.min(TRAILING_MS, TIMEOUTS.resultGrace - trailingMs);
  return Math.max(MIN_WAIT_MS, Math.round(Math.min(every * (1 - JITTER * random), trailing)));
}
