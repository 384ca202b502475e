import { CancellationScope, condition, patched, sleep } from '@temporalio/workflow';
import {
  FAILURE,
  type Fence,
  type GenerationState,
  type ResumeInput,
  type TaskSnapshot,
  type WaitingFor,
} from '../src/contract/index.js';
import {
  formatDuration,
  holdRecheckDelay,
  InvalidInput,
  MIN_WAIT_MS,
  readResume,
  TIMEOUTS,
  waitSummary,
  type SubmitRequest,
  type Paid,
} from '../src/policy/index.js';
import { actionFor, type CallEnd } from './failure.js';

/** Called when the state has changed; `milestone` for changes that must be readable when no Worker runs. */
export type Show = (state: GenerationState, milestone: boolean) => void;

/** What a run hands on when it continues as new. */
export interface Standing {
  readonly state: GenerationState;
  /** Milliseconds spent in holds, which do not count for the deadline. */
  readonly heldMs: number;
  readonly lastCheckAt: number;
  /** `heldMs` when the first unanswered POST was seen, or null. */
  readonly heldAtPostMs: number | null;
  /** The request with its references, once they are uploaded: the same bytes for every attempt. */
  readonly request?: SubmitRequest;
  /** The last hold, until a person answers it or its cause has gone. Runs of earlier versions hand on none. */
  readonly heldSince?: { readonly code: string; readonly since: string } | null;
}

/** Where a paid call stands before its first step. */
export function atStart({
  model,
  taskId = null,
  key,
}: {
  model: string;
  taskId?: string | null;
  key: string | null;
}): Standing {
  const state: GenerationState = {
    phase: 'starting',
    status: null,
    model,
    taskId,
    idempotencyKey: key,
    attempt: 1,
    firstKey: key,
    spentKeys: 0,
    statusChecks: 0,
    nextCheckAt: null,
    reservedCredits: null,
    finalCredits: null,
    hold: null,
    unanswered: null,
    riskAccepted: false,
    riskReason: null,
    earlier: [],
    simulated: false,
  };
  return { state, heldMs: 0, lastCheckAt: 0, heldAtPostMs: null };
}

async function sleepFor(tooSoon: number): Promise<void> {
  if (tooSoon > 0) await sleep(tooSoon, { summary: 'two checks are at least 5 s apart' });
}

type Resume = ReturnType<typeof readResume>;

/** Where a generation stands, and the two ways in which it waits: for the next check, and for a person. */
export class Progress {
  #standing: Standing;
  readonly #show: Show;
  readonly #watches: boolean;
  /** What is paid for, in the words of messages. */
  readonly paid: Paid;
  #woken = false;
  #resume: Resume | null = null;

  /** @param options - `watches`: whether `watch` says anything. */
  constructor(
    standing: Standing,
    show: Show,
    { watches = false, paid = 'task' }: { watches?: boolean; paid?: Paid } = {},
  ) {
    this.paid = paid;
    this.#standing = standing;
    this.#show = show;
    this.#watches = watches;
  }

  get standing(): Standing {
    return this.#standing;
  }

  get state(): GenerationState {
    return this.#standing.state;
  }

  get heldMs(): number {
    return this.#standing.heldMs;
  }

  /** Fixes the request, before its first POST. */
  prepared(request: SubmitRequest): void {
    this.#standing = { ...this.#standing, request };
  }

  /** `milestone` also goes into the memo. */
  update(change: Partial<GenerationState>, milestone = false): void {
    this.#standing = { ...this.#standing, state: { ...this.state, ...change } };
    this.#show(this.state, milestone);
  }

  /** Takes over what a reply says. */
  see(task: TaskSnapshot, change: Partial<GenerationState> = {}, milestone = false): void {
    const { state } = this;
    this.update(
      {
        taskId: task.taskId,
        status: task.status,
        // A later reply may leave a number out; what was known stays known.
        reservedCredits: task.reservedCredits ?? state.reservedCredits,
        finalCredits: task.finalCredits ?? state.finalCredits,
        simulated: task.simulated,
        ...change,
      },
      milestone,
    );
  }

  /** Takes over what a submit left unanswered. Only a task or a person takes it away again. */
  unanswered(fence: Fence | null): void {
    if (fence === null) return;
    this.#standing = { ...this.#standing, heldAtPostMs: this.#standing.heldAtPostMs ?? this.heldMs };
    this.update({ unanswered: fence });
  }

  /** The submit has an answer. Returns the time that had been spent in holds before its first POST. */
  answered(): number {
    const heldBeforeMs = this.#standing.heldAtPostMs ?? this.heldMs;
    this.#standing = { ...this.#standing, heldAtPostMs: null };
    return heldBeforeMs;
  }

  /** Counts status calls that were made just now. */
  checked(count: number): void {
    this.#standing = { ...this.#standing, lastCheckAt: Date.now() };
    this.update({ statusChecks: this.state.statusChecks + count, nextCheckAt: null });
  }

  /**
   * Runs an Activity, and says so in the state where it has not ended after a minute.
   * @param patch - The one that brought the watch to this place.
   */
  async watch<T>(on: Omit<WaitingFor, 'since'>, work: () => Promise<T>, patch = 'unpolled'): Promise<T> {
    // Histories of earlier versions have no timer here.
    if (!this.#watches || !patched(patch)) return work();
    const since = new Date().toISOString();
    const timer = new CancellationScope();
    timer
      .run(() => sleep(TIMEOUTS.unpolled, { summary: `is a Worker with the role ${on.role} running?` }))
      .then(
        () => this.update({ waitingFor: { ...on, since } }),
        () => undefined,
      );
    try {
      return await work();
    } finally {
      timer.cancel();
      if (this.state.waitingFor != null) this.update({ waitingFor: null });
    }
  }

  /** Cuts the present wait short. Two checks are still at least 5 s apart. */
  checkNow(): void {
    this.#woken = true;
  }

  /** Sleeps until the next check, or until `checkNow`. */
  async pause(waitMs: number): Promise<void> {
    this.update({ phase: 'waiting', nextCheckAt: new Date(Date.now() + waitMs).toISOString() });
    this.#woken = false;
    this.#standing = { ...this.#standing, heldSince: null };
    await condition(() => this.#woken, waitMs, { summary: waitSummary(waitMs, this.state.statusChecks + 1) });
    await sleepFor(this.#tooSoon());
  }

  /** Sleeps until a check keeps its distance to the last one, also after a hold that was short. */
  async keepDistance(): Promise<void> {
    const tooSoon = this.#tooSoon();
    if (tooSoon > 0 && patched('distance-after-hold')) await sleepFor(tooSoon);
  }

  #tooSoon(): number {
    return this.#standing.lastCheckAt + MIN_WAIT_MS - Date.now();
  }

  /** Why `resume` cannot be applied now, or null. Takes whatever a caller in any language sends. */
  resumeProblem(input: unknown): string | null {
    const { hold, unanswered } = this.state;
    if (hold === null) return 'This generation holds nothing, so there is nothing to resume.';
    if (this.#resume !== null) return 'It is being resumed already.';
    let resume: Resume;
    try {
      resume = readResume(input);
    } catch (error) {
      return error instanceof InvalidInput ? error.problem : String(error);
    }
    if (resume.taskId !== null && this.paid === 'answer') {
      return 'A chat makes no task, so a taskId cannot be used. Resume without it.';
    }
    if (resume.taskId !== null && unanswered === null) {
      return 'There is no unanswered submit, so a taskId cannot be used. Resume without it.';
    }
    if (hold.code === FAILURE.SubmitUnresolved && resume.taskId === null && resume.reason === null) {
      if (this.paid === 'answer') {
        return 'It may have been answered and paid. Give { "reason": "…" } to post again and accept that it may be paid twice.';
      }
      return 'A task may exist. Give { "taskId": "…" } found in the Rivya Studio, or { "reason": "…" } to post again and accept that it may be paid twice.';
    }
    return null;
  }

  /** Applies a `resume` that has no problem; any other is ignored. The first one counts. */
  resume(input: ResumeInput | null | undefined): void {
    if (this.resumeProblem(input) === null) this.#resume = readResume(input);
  }

  /** Waits for a person, or until it is worth trying again by itself. Returns what `resume` said, or null. */
  async hold(code: string, end: CallEnd, tries: number): Promise<Resume | null> {
    const startedAt = Date.now();
    const { phase } = this.state;
    const { heldSince } = this.#standing;
    // A call that was tried again by itself, in vain, is still held since the first time.
    const since = heldSince?.code === code ? heldSince.since : new Date(startedAt).toISOString();
    this.#resume = null;
    const { httpStatus = null, requestId = null } = end.details;
    const hold = { code, message: end.message, action: actionFor(end), httpStatus, requestId, since };
    this.update({ phase: 'held', hold, nextCheckAt: null }, true);
    const resumed = (): boolean => this.#resume !== null;
    try {
      const delay = holdRecheckDelay(code, tries, Math.random());
      if (delay === null) await condition(resumed);
      else await condition(resumed, delay, { summary: `held by ${code}; tried again in ${formatDuration(delay)}` });
    } finally {
      this.#standing = { ...this.#standing, heldMs: this.heldMs + Date.now() - startedAt };
    }
    this.#standing = { ...this.#standing, heldSince: this.#resume === null ? { code, since } : null };
    this.update({ phase, hold: null }, true);
    return this.#resume;
  }
}
