/**
 * The gate of a Worker: whether it may pay for anything new, and whether it may call the API at all. It guarantees that
 * the memo of the account decides as soon as it names a cause; until then the Worker believes what the API has just
 * told it. It reads no clock.
 */
import { errorCodeRow, STOPPED, type AccountCause, type AccountState } from '../contract/index.js';
import { MINUTE, SECOND } from './duration.js';

// Without a word from the account, one call a minute finds out whether a cause is still there.
const OWN_CAUSE_MS = MINUTE;
// A 429 without `Retry-After`: the account lowers the rate of the queue within that time.
const PAUSE_MS = 5 * SECOND;
// As for a call that is repeated: a header may ask for hours, and one call in ten minutes costs nothing.
const LONGEST_PAUSE_MS = 10 * MINUTE;

const RELEASED = 'All that waits then goes on by itself, within minutes; at once by: rivya-temporal account release';

/** A cause for which nothing new is paid. */
export type ClosedBy = Pick<AccountCause, 'code' | 'since' | 'message' | 'requestId'>;

export class Gate {
  #state: AccountState | null = null;
  /** Refusals that the account has not named yet, each with the time until which they count. */
  readonly #own = new Map<string, { readonly cause: ClosedBy; readonly until: number }>();
  #pausedUntil = -Infinity;

  /** Takes what the memo of the account says. */
  read(state: AccountState): void {
    this.#state = state;
    for (const { code } of state.causes) this.#own.delete(code);
    if (state.rate.closedUntil !== null) this.#pausedUntil = -Infinity;
  }

  /** Takes a refusal that all calls share. */
  close(refused: Pick<ClosedBy, 'code' | 'message' | 'requestId'>, now: number): void {
    const { code, message, requestId } = refused;
    const since = this.#own.get(code)?.cause.since ?? new Date(now).toISOString();
    this.#own.set(code, { cause: { code, message, requestId, since }, until: now + OWN_CAUSE_MS });
  }

  /** Takes a 429. */
  pause(retryAfterMs: number | null, now: number): void {
    const pauseMs = Math.min(retryAfterMs ?? PAUSE_MS, LONGEST_PAUSE_MS);
    this.#pausedUntil = Math.max(this.#pausedUntil, now + pauseMs);
  }

  /** The cause for which nothing new is paid, or null. */
  closedBy(now: number): ClosedBy | null {
    const [cause] = this.#state?.causes.filter(({ phase }) => phase === 'open') ?? [];
    if (cause !== undefined) return cause;
    const [own] = [...this.#own.values()].filter(({ until }) => until > now);
    return own?.cause ?? null;
  }

  /** True where the account holds generations for this code: it need not be told again. */
  isNamed(code: string): boolean {
    return this.#state?.causes.some((cause) => cause.code === code && cause.phase === 'open') ?? false;
  }

  /** Milliseconds until the next call may be sent; 0: at once. */
  pauseMs(now: number): number {
    const closedUntil = this.#state?.rate.closedUntil ?? null;
    const named = closedUntil === null ? -Infinity : Date.parse(closedUntil);
    return Math.max(0, this.#pausedUntil - now, named - now);
  }
}

/** What a payment is told that meets a closed gate: what happened, and what to do. */
export function closedText({ code, since, message, requestId }: ClosedBy): { problem: string; action: string } {
  const words = message.trim().replace(/\.$/, '');
  const who = code === STOPPED ? 'A person has stopped all submits' : `The API refuses new payments (${code})`;
  const why = words === '' ? '' : `: ${words}`;
  const asked = requestId === null || words.includes(requestId) ? '' : ` (requestId ${requestId})`;
  const problem = `${who} since ${since}${why}${asked}. Nothing was sent and nothing was paid.`;
  const { action } = errorCodeRow(code, null);
  // A resume of this one would meet the same gate: the account releases all of them.
  const [cure = action, ...rest] = action.split(/,? then resume\./);
  return { problem, action: rest.length === 0 ? action : `${cure}. ${RELEASED} ${code}` };
}
