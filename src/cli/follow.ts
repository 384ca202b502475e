import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { GenerationError, type GenerationHandle } from '../client.js';
import type { GenerationResult, GenerationMemo, GenerationState } from '../contract/index.js';
import { formatDuration } from '../policy/index.js';
import { delayOf } from '../temporal/pending.js';
import { withAction } from './errors.js';
import { quoted, type Progress } from './output.js';
import { whenAborted } from './signals.js';

/** The state by query, or by memo, which knows less. */
export type AnyState = GenerationState | GenerationMemo;

export type Ending =
  | { readonly kind: 'result'; readonly result: GenerationResult }
  | { readonly kind: 'failure'; readonly error: GenerationError }
  | { readonly kind: 'held'; readonly state: AnyState }
  | { readonly kind: 'interrupted'; readonly state: AnyState | null };

export interface FollowOptions {
  readonly progress: Progress;
  readonly interrupted: AbortSignal;
  /** Go on waiting when a person must act, and say so; otherwise that is the end. */
  readonly waitWhileHeld: boolean;
  readonly client: Client;
  /** Milliseconds since the epoch at which the Workflow started. */
  readonly startedAt?: number;
}

// A query costs no history, but a Workflow Task: often while somebody watches the start, seldom in a long wait.
const LOOK_EVERY_MS = 1_000;
const LOOK_SELDOM_MS = 5_000;
const SELDOM_AFTER_MS = 120_000;
// A Worker that runs does what is due within a second; after this the Service is asked why it is not done.
const QUIET_MS = 5_000;

/** Waits for a generation and shows on stderr how it goes. */
export async function follow(handle: GenerationHandle, options: FollowOptions): Promise<Ending> {
  const { client, progress, interrupted, waitWhileHeld, startedAt = Date.now() } = options;
  const { workflowId } = handle;
  const begun = Date.now();
  let ended = false;
  let state: AnyState | null = null;
  let movedAt = begun;
  let said = '';
  let heldBy: string | null = null;

  const delayNow = async () => delayOf(client, await handle.describe());

  async function watch(): Promise<Ending> {
    for (;;) {
      // A Service that cannot be reached for a moment is the concern of the wait for the result, which repeats.
      const seen = await handle.state().catch(() => null);
      if (ended) return new Promise(() => undefined);
      if (changeKey(seen) !== changeKey(state) || !isDue(seen)) movedAt = Date.now();
      state = seen ?? state;
      const hold = state?.phase === 'held' ? state.hold : null;
      if (state !== null && hold !== null && !waitWhileHeld) return { kind: 'held', state };
      if (hold !== null && heldBy !== hold.code) {
        progress.note(
          `${workflowId} waits until a person acts: ${withAction(hold.message, hold.action)}\n${resumeHint(workflowId)}`,
        );
      }
      heldBy = hold?.code ?? null;
      if (Date.now() - movedAt > QUIET_MS) {
        const { reason = said, text = '' } = (await delayNow().catch(() => null)) ?? {};
        if (reason !== said) progress.note(`${workflowId}: ${text}`);
        said = reason;
        movedAt = Date.now();
      }
      progress.set(workflowId, describe(workflowId, state, Date.now() - startedAt), changeKey(state));
      await sleep(Date.now() - begun > SELDOM_AFTER_MS ? LOOK_SELDOM_MS : LOOK_EVERY_MS);
      if (ended) return new Promise(() => undefined);
    }
  }

  const result = endingOf(handle);
  const stopped = whenAborted(interrupted).then((): Ending => ({ kind: 'interrupted', state }));
  try {
    const ending = await Promise.race([result, stopped, watch()]);
    const last = { result: 'succeeded', failure: 'did not succeed', held: null, interrupted: null }[ending.kind];
    // Beside generations that go on, a line must not say "processing" for ever.
    if (last !== null)
      progress.set(workflowId, `${workflowId}: ${last}, ${formatDuration(Date.now() - startedAt)}`, last);
    return ending;
  } finally {
    ended = true;
    // Whoever stopped waiting has no use for what becomes of the wait.
    result.catch(() => undefined);
  }
}

/** How a generation ends. */
export async function endingOf(handle: GenerationHandle): Promise<Ending> {
  try {
    return { kind: 'result', result: await handle.result() };
  } catch (error) {
    if (error instanceof GenerationError) return { kind: 'failure', error };
    throw error;
  }
}

/** True for a state that a Worker gave. */
export function isFull(state: AnyState | null): state is GenerationState {
  return state !== null && 'statusChecks' in state;
}

/** True where the next step is a Worker's: nobody waits for a person or for the time of the next check. */
function isDue(state: AnyState | null): boolean {
  if (state === null || !isFull(state)) return true;
  return state.hold === null && !(Date.parse(state.nextCheckAt ?? '') > Date.now());
}

function changeKey(state: AnyState | null): string {
  return JSON.stringify([state?.phase, state?.status, state?.taskId, state?.hold?.code, state?.reservedCredits]);
}

/** One line of progress: what Rivya says, for how long, checks and credits. */
function describe(workflowId: string, state: AnyState | null, elapsedMs: number): string {
  const facts = [state === null ? 'starting' : headline(state), formatDuration(elapsedMs)];
  if (isFull(state)) facts.push(`${state.statusChecks} check${state.statusChecks === 1 ? '' : 's'}`);
  if (state?.reservedCredits != null) facts.push(`credits reserved: ${state.reservedCredits}`);
  if (state?.taskId != null) facts.push(state.taskId);
  return `${workflowId}: ${facts.join(', ')}`;
}

function headline({ phase, status, hold }: AnyState): string {
  if (phase === 'waiting') return status ?? 'waiting';
  if (phase === 'held') return `held (${hold?.code ?? 'a person must act'})`;
  if (phase === 'storing') return 'succeeded, storing the files';
  return phase;
}

/** How a person lets a held generation go on. */
export function resumeHint(workflowId: string): string {
  return `Go on with: rivya-temporal resume ${quoted(workflowId)} (or the Update "resume" in the Temporal UI)`;
}
