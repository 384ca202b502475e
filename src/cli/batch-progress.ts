/** How a batch goes, in a line, and the wait for its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchHead } from '../batch/files.js';
import { SHARED_CODES, type BatchState } from '../contract/index.js';
import { endedOf, formatRange, pricingOf, timeLeft } from '../policy/index.js';
import type { BatchHandle, SeenBatch } from './batch-handle.js';
import { UsageError } from './errors.js';
import type { Progress } from './output.js';
import { whenAborted } from './terminal.js';

const LOOK_EVERY_MS = 1_000;
const LOOK_SELDOM_MS = 5_000;
const SELDOM_AFTER_MS = 60_000;
// Items that were started just now may look as if all that is open were held.
const STILL_MS = 10_000;
// The account asks once a minute whether a cause that all share is over, and resumes what it held a moment later.
const SHARED_STILL_MS = 90_000;
// One fails after 20 s of trying.
const FAILED_LOOKS = 3;

export type BatchEnd =
  | { readonly kind: 'ended'; readonly seen: SeenBatch }
  | { readonly kind: 'held'; readonly state: BatchState }
  /** Its state cannot be asked for any more, as where the process that ran its Temporal has ended. */
  | { readonly kind: 'gone'; readonly problem: Error | null }
  /** With what was known last. */
  | { readonly kind: 'interrupted'; readonly state: BatchState | null };

export function number(n: number): string {
  return n.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

/** A number of things: `1 item`, `2 items`. */
export function counted(n: number, thing: string): string {
  return `${number(n)} ${thing}${n === 1 ? '' : 's'}`;
}

/** How long it takes yet, in words; null where nothing tells. */
export function leftOf(state: Pick<BatchState, 'counts' | 'perMinute' | 'lastEnd'>): string | null {
  const left = timeLeft(state, Date.now());
  return left === null || left.to <= 0 ? null : formatRange(left);
}

/** Items that were started and are in no record yet. */
export function leftText({ items, credits }: NonNullable<BatchHead['left']>): string {
  return `Up to ${counted(items, 'item')} ${items === 1 ? 'was' : 'were'} started and ${items === 1 ? 'has' : 'have'} not ended: ${counted(credits, 'credit')} more at most.`;
}

/** The line of progress. */
export function lineOf(state: BatchState): string {
  const { counts, phase, spentCredits, perMinute } = state;
  const left = leftOf(state);
  const parts = [
    `${number(endedOf(counts))} of ${number(counts.items)} done`,
    counts.failed > 0 && `${number(counts.failed)} failed`,
    counts.open - counts.held > 0 && `${number(counts.open - counts.held)} running`,
    counts.held > 0 && `${number(counts.held)} held`,
    counted(spentCredits, 'credit'),
    perMinute > 0 && `${number(Math.round(perMinute * 10) / 10)} a minute`,
    left !== null && phase === 'running' && `${left} left`,
    phase === 'running' && pricingOf(state),
  ];
  const word = phase === 'running' || phase === 'done' ? '' : `${phase}: `;
  return word + parts.filter((part) => typeof part === 'string').join(', ');
}

/**
 * True where nothing goes on without a person: the batch starts nothing, or has started all, and what is open is held. A
 * person who has paused it knows.
 */
export function isStuck({ phase, counts }: Pick<BatchState, 'phase' | 'counts'>): boolean {
  if (phase === 'paused' || counts.open !== counts.held) return false;
  return phase === 'held' || (counts.held > 0 && endedOf(counts) + counts.held >= counts.items);
}

export interface Watch {
  readonly interrupted: AbortSignal;
  /** True where the process that runs the Temporal of the batch has ended. */
  readonly hasEnded: () => boolean;
}

/** What a look finds; `gone` where the state of the batch cannot be asked for any more, with the reason where there is one. */
export type Look = { readonly seen: SeenBatch } | { readonly gone: Error | null };

/**
 * The batch as it is, again and again, up to an interruption, or until its state cannot be asked for any more. A look that
 * fails is repeated. A computer that sleeps meanwhile has not looked, so its sleep does not count.
 */
export async function* looksAt(
  handle: Pick<BatchHandle, 'look'>,
  { interrupted, hasEnded }: Watch,
): AsyncGenerator<Look> {
  const begun = Date.now();
  const stopped = whenAborted(interrupted).then(() => null);
  let failed = 0;
  while (!interrupted.aborted) {
    if (hasEnded()) {
      yield { gone: null };
      return;
    }
    const look = await Promise.race([tried(handle), stopped]);
    if (look === null) return;
    failed = 'gone' in look ? failed + 1 : 0;
    if (failed === 0 || failed === FAILED_LOOKS) yield look;
    if (failed === FAILED_LOOKS) return;
    const wait = Date.now() - begun < SELDOM_AFTER_MS ? LOOK_EVERY_MS : LOOK_SELDOM_MS;
    await sleep(wait, undefined, { signal: interrupted }).catch(() => undefined);
  }
}

/** @throws UsageError where the ID belongs to something else. */
async function tried(handle: Pick<BatchHandle, 'look'>): Promise<Look> {
  try {
    const seen = await handle.look();
    return seen === null ? { gone: null } : { seen };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { gone: error as Error };
  }
}

interface Follow extends Watch {
  readonly progress: Progress;
  /** Sees each look. True where it has changed the batch, so that another look counts. */
  readonly onLook: (seen: SeenBatch) => Promise<boolean>;
  /** A text of the batch in the terms of the command line. */
  readonly advise: (text: string) => string;
}

/** Shows how the batch goes until it has ended, or nothing goes on without a person. */
export async function followBatch(
  handle: BatchHandle,
  { progress, onLook, advise, ...watch }: Follow,
): Promise<BatchEnd> {
  let stuckSince: number | null = null;
  let said = '';
  let last: BatchState | null = null;
  for await (const look of looksAt(handle, watch)) {
    if ('gone' in look) return { kind: 'gone', problem: look.gone };
    const { seen } = look;
    if (await onLook(seen)) continue;
    const now = Date.now();
    const { state } = seen;
    last = state ?? last;
    if (state !== null) {
      const { counts, phase, hold } = state;
      // Where nobody watches, a line for each tenth is enough.
      const tenth = Math.floor((10 * endedOf(counts)) / Math.max(1, counts.items));
      if (counts.items > 0) progress.set('', `${handle.batchId}: ${lineOf(state)}`, `${phase} ${tenth}`);
      if (hold !== null && hold.code !== said) progress.note(`Held: ${advise(`${hold.message} ${hold.action}`)}`);
      said = hold?.code ?? '';
      stuckSince = isStuck(state) ? (stuckSince ?? now) : null;
      const isShared = Object.keys(counts.heldBy).some((code) => SHARED_CODES.includes(code));
      const stillMs = isShared ? SHARED_STILL_MS : STILL_MS;
      if (seen.isRunning && stuckSince !== null && now - stuckSince >= stillMs) return { kind: 'held', state };
    }
    if (!seen.isRunning) return { kind: 'ended', seen };
  }
  return { kind: 'interrupted', state: last };
}
