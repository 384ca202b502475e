/** The wait for a generation, and the report of how it ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { GenerationError, type GenerationHandle } from '../client.js';
import { STOPPED } from '../contract/index.js';
import type * as contract from '../contract/index.js';
import { expectedText, formatDuration, resumeCommands } from '../policy/index.js';
import { workflowLink } from '../temporal/links.js';
import { delayOf } from '../temporal/pending.js';
import type { Temporal } from './context.js';
import { advice, commands } from './advice.js';
import { reportCopies, type Output } from './copies.js';
import { AnswerMissing, holdText, judge, NO_DETAILS, STATUS, type Verdict } from './errors.js';
import { formatBytes, printFacts, printJson, Progress, quoted, readableUri, say } from './output.js';
import { whenAborted } from './terminal.js';

/** The state by query, or by memo, which has fewer fields. */
type AnyState = contract.GenerationState | contract.GenerationMemo;

export type Ending =
  | { readonly kind: 'result'; readonly result: contract.GenerationResult }
  | { readonly kind: 'failure'; readonly error: GenerationError }
  | { readonly kind: 'held'; readonly state: AnyState; readonly hold: contract.Hold }
  | { readonly kind: 'interrupted'; readonly state: AnyState | null };

interface FollowOptions {
  readonly client: Client;
  readonly progress: Progress;
  readonly interrupted: AbortSignal;
  /** Go on waiting when a person must act, and say so; otherwise that is the end. */
  readonly waitWhileHeld: boolean;
  /** Milliseconds since the epoch at which the Workflow started. Default: now. */
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
  let ending: Ending | null = null;
  let state: AnyState | null = null;
  let movedAt = begun;
  let said = '';
  let heldBy: string | null = null;
  const delayNow = async () => delayOf(client, await handle.describe());

  /** Returns the end where a person must act and nobody waits for that. */
  async function look(): Promise<Ending | null> {
    // A Service that cannot be reached for a moment is the concern of the wait for the result, which repeats.
    const seen = await handle.state().catch(() => null);
    // Its end has a line of its own.
    if (ending !== null || (seen !== null && isOver(seen))) return null;
    if (changeKey(seen) !== changeKey(state) || !isDue(seen)) movedAt = Date.now();
    state = seen ?? state;
    const hold = state?.phase === 'held' ? state.hold : null;
    if (state !== null && hold !== null && !waitWhileHeld) return { kind: 'held', state, hold };
    if (hold !== null && heldBy !== hold.code) progress.note(heldText(workflowId, hold));
    heldBy = hold?.code ?? null;
    progress.set(workflowId, progressLine(workflowId, state, Date.now() - startedAt), changeKey(state));
    if (Date.now() - movedAt > QUIET_MS) {
      const { reason = said, text = '' } = (await delayNow().catch(() => null)) ?? {};
      if (reason !== said) progress.note(`${workflowId}: ${advice(text)}`);
      said = reason;
      movedAt = Date.now();
    }
    return null;
  }

  const stopped = whenAborted(interrupted).then((): Ending => ({ kind: 'interrupted', state }));
  const over = Promise.race([endingOf(handle), stopped]);
  while (ending === null) {
    const pause = Date.now() - begun > SELDOM_AFTER_MS ? LOOK_SELDOM_MS : LOOK_EVERY_MS;
    ending = (await Promise.race([over, look()])) ?? (await Promise.race([over, sleep(pause, null)]));
  }
  const last = { result: 'succeeded', failure: 'did not succeed', held: null, interrupted: null }[ending.kind];
  // Beside generations that go on, a line must not say "processing" for ever.
  if (last !== null)
    progress.set(workflowId, `${workflowId}: ${last}, ${formatDuration(Date.now() - startedAt)}`, last);
  return ending;
}

/** A call about a generation, whose failure says how to wait for it. */
export async function withWait<T>(workflowId: string, call: Promise<T>): Promise<T> {
  return call.catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== 'ServiceError') throw error;
    throw new AnswerMissing(`rivya-temporal wait ${quoted(workflowId)}`, error);
  });
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
export function isFull(state: AnyState | null): state is contract.GenerationState {
  return state !== null && 'statusChecks' in state;
}

/** True where the next step is a Worker's: nobody waits for a person or for the time of the next check. */
function isDue(state: AnyState | null): boolean {
  if (state === null || !isFull(state)) return true;
  return state.hold === null && !(Date.parse(state.nextCheckAt ?? '') > Date.now());
}

function isOver({ phase }: AnyState): boolean {
  return phase === 'succeeded' || phase === 'failed' || phase === 'cancelled';
}

function changeKey(state: AnyState | null): string {
  return JSON.stringify([state?.phase, state?.status, state?.taskId, state?.hold?.code, state?.reservedCredits]);
}

/** One line of progress: what Rivya says, for how long, checks and credits. */
function progressLine(workflowId: string, state: AnyState | null, elapsedMs: number): string {
  const facts = [state === null ? 'starting' : headline(state), formatDuration(elapsedMs)];
  if (isFull(state)) facts.push(`${state.statusChecks} check${state.statusChecks === 1 ? '' : 's'}`);
  if (isFull(state) && state.expected) facts.push(`expected end: ${expectedText(state.expected, clockTime)}`);
  if (state?.reservedCredits != null) facts.push(`credits reserved: ${state.reservedCredits}`);
  if (state?.taskId != null) facts.push(state.taskId);
  return `${workflowId}: ${facts.join(', ')}`;
}

/** The time of this machine's day. */
function clockTime(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}

function headline({ phase, status, hold }: AnyState): string {
  if (phase === 'waiting') return status ?? 'waiting';
  if (phase === 'held') return `held (${hold?.code ?? 'a person must act'})`;
  if (phase === 'storing') return 'succeeded, storing the files';
  return phase;
}

/** Why a generation is held, and how it goes on. */
export function heldText(workflowId: string, hold: contract.Hold): string {
  return [`${workflowId} waits until a person acts: ${holdText(hold)}`, ...resumeHint(workflowId, hold)].join('\n');
}

/** How a person lets a held generation go on; nothing where the hold is the stop switch, which `resume` does not pass. */
export function resumeHint(workflowId: string, hold: Pick<contract.Hold, 'code' | 'found'>): string[] {
  if (hold.code === STOPPED) return [];
  const how = `${resumeCommands(hold, workflowId).join(' or ')} (or the Update "resume" in the Temporal UI)`;
  return [commands(`Go on with: ${how}`)];
}

interface ReportOptions {
  readonly json: boolean;
  /** Gets the files of a result. */
  readonly output?: Output | null;
}

/** Waits for a generation and reports how it went. Returns the exit status. */
export async function followAndReport(
  temporal: Temporal,
  handle: GenerationHandle,
  { json, output = null, ...options }: ReportOptions & Pick<FollowOptions, 'interrupted' | 'startedAt'>,
): Promise<number> {
  const { client } = temporal;
  const { workflowId } = handle;
  const waitWhileHeld = process.stderr.isTTY;
  const followed = follow(handle, { ...options, client, progress: new Progress(), waitWhileHeld });
  const ending = await withWait(workflowId, followed);
  const copies = ending.kind === 'result' && (await output?.copy(workflowId, ending.result, options.interrupted));
  if (json) printJson({ ...documentOf(ending, workflowId), ...(copies && { copies }) });
  const status = report(ending, workflowId, workflowLink(temporal, workflowId), json);
  return copies && output ? reportCopies(copies, workflowId, output.directory, json) : status;
}

/** Says how a generation ended; `json`: its result is printed elsewhere. Returns the exit status. */
export function report(ending: Ending, workflowId: string, link: string | null, json: boolean): number {
  if (ending.kind === 'result') {
    if (!json) printResult(workflowId, ending.result, link);
    return STATUS.done;
  }
  const verdict = verdictOf(ending, workflowId);
  say(ending.kind === 'failure' ? `${workflowId} did not succeed: ${verdict.message}` : verdict.message);
  if (link !== null) say(link);
  return verdict.status;
}

function printResult(workflowId: string, result: contract.GenerationResult, link: string | null): void {
  const { reservedCredits, finalCredits, reused, simulated } = result;
  // A chat has its answer in place of a task and files.
  const { content, taskId, files = [], urls = [] } = result as Partial<contract.GenerationResult & contract.ChatResult>;
  const stored = files.map(({ uri, bytes }) => ['file', `${readableUri(uri)} (${formatBytes(bytes)})`] as const);
  const known = reused ? ' (existed before; not paid again)' : '';
  const answer = content === undefined ? [] : `${content}${known}`.split('\n');
  printFacts(workflowId, [
    ['status', content === undefined ? result.status : null],
    ...answer.map((line, n) => [n === 0 ? 'answer' : '', line] as const),
    ['task', taskId === undefined ? null : `${taskId}${known}`],
    ['credits', `${finalCredits ?? 'not reported'} (reserved ${reservedCredits ?? 'not reported'})`],
    ...(stored.length > 0 ? stored : urls.map((url) => ['link', url] as const)),
    ['Temporal', link],
    ['simulated', simulated ? 'the emulator answered: nothing was paid, the media is not real' : null],
  ]);
}

function verdictOf(ending: Exclude<Ending, { kind: 'result' }>, workflowId: string): Verdict {
  if (ending.kind === 'failure') return judge(ending.error);
  const wait = commands(`rivya-temporal wait ${quoted(workflowId)}`);
  if (ending.kind === 'interrupted') {
    const message = `${workflowId} goes on; wait for it with: ${wait}`;
    return { ...NO_DETAILS, status: STATUS.interrupted, code: 'Interrupted', message, action: wait };
  }
  const { code, httpStatus, requestId } = ending.hold;
  const action = advice(ending.hold.action);
  const message = `${heldText(workflowId, ending.hold)}\nWait for it with: ${wait}`;
  return { status: STATUS.held, code, message, action, httpStatus, requestId };
}

const STATUSES = { Cancelled: 'cancelled', Terminated: 'terminated', TimedOut: 'timedOut' } as Record<string, string>;

/** How a generation ended, or that the wait for it did, as `--json` prints it. */
export function documentOf(ending: Ending, workflowId: string): object {
  if (ending.kind === 'result') return { workflowId, ...ending.result };
  const isFailure = ending.kind === 'failure';
  const known = (isFailure ? ending.error.details : ending.state) ?? {};
  const { taskId = null, idempotencyKey = null, reservedCredits = null, finalCredits = null } = known;
  const { status: _exit, ...error } = verdictOf(ending, workflowId);
  const status = isFailure ? (STATUSES[ending.error.code] ?? 'failed') : ending.kind === 'held' ? 'held' : 'running';
  return { workflowId, status, taskId, idempotencyKey, reservedCredits, finalCredits, error };
}
