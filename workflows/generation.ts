/**
 * The core: one generation from key to result. Deterministic; every side effect is an Activity. It never posts under a
 * new key while a task may exist under the old one, and never forgets a task ID it has seen.
 */
import {
  condition,
  isCancellation,
  proxyActivities,
  sleep,
  TemporalFailure,
  workflowInfo,
  type ActivityOptions,
} from '@temporalio/workflow';
import {
  apiTaskQueue,
  FAILURE,
  type CheckResult,
  type Fence,
  type GenerationResult,
  type GenerationState,
  type ResumeInput,
  type RivyaActivities,
  type StoredFile,
  type SubmitResult,
  type TaskSnapshot,
} from '../src/contract/index.js';
import {
  formatDuration,
  holdRecheckDelay,
  idempotencyKey,
  mayAttemptAgain,
  MIN_WAIT_MS,
  money,
  needsOperator,
  nextWait,
  TIMEOUTS,
  waitSummary,
  type Generation,
  type KeyUse,
} from '../src/policy/index.js';
import { actionFor, callEnd, failure, type CallEnd } from './failure.js';

/** What a run hands to the next one when it continues as new. */
export interface Carried {
  readonly state: GenerationState;
  readonly wait: Wait;
}

/** An accepted task and what the wait for it needs to remember. */
interface Wait {
  readonly task: TaskSnapshot;
  readonly firstPostedAt: number;
  readonly reused: boolean;
  /** When the task was created, on the Workflow's clock. */
  readonly bornAt: number;
  /** Time spent in holds, which does not count for the deadline. */
  readonly heldMs: number;
}

/** The two ways to run a generation differ in these. */
export interface Host {
  readonly use: KeyUse;
  readonly step: string;
  readonly taskQueue: string;
  /** Called when the state has changed; `milestone` for changes that must be readable when no Worker runs. */
  readonly changed: (state: GenerationState, milestone: boolean) => void;
  /** Called between two checks; may continue as new. */
  readonly checkpoint?: (carried: Carried) => Promise<void>;
}

// A check must not queue behind a thousand submits: it frees a waiting Workflow. 3 is Temporal's default.
const CHECK_PRIORITY = { priorityKey: 2 };

export class GenerationRun {
  state: GenerationState;
  readonly #input: Generation;
  readonly #host: Host;
  readonly #carried: Carried | undefined;
  #woken = false;
  #resume: ResumeInput | null = null;
  #lastCheckAt = 0;
  #heldMs = 0;

  constructor(input: Generation, host: Host, carried?: Carried) {
    this.#input = input;
    this.#host = host;
    this.#carried = carried;
    this.state = carried?.state ?? {
      phase: 'starting',
      status: null,
      model: input.model,
      taskId: input.taskId,
      idempotencyKey: input.taskId === null ? this.#key(1) : null,
      attempt: 1,
      statusChecks: 0,
      nextCheckAt: null,
      reservedCredits: null,
      finalCredits: null,
      hold: null,
      simulated: false,
    };
  }

  /** Cuts the present wait short. Two checks are still at least 5 s apart. */
  checkNow(): void {
    this.#woken = true;
  }

  /** Why `resume` cannot be applied now, or null. */
  resumeProblem(input: ResumeInput): string | null {
    const { hold } = this.state;
    if (hold === null) return 'This generation holds nothing, so there is nothing to resume.';
    if (hold.code !== FAILURE.SubmitUnresolved) return null;
    if (input.taskId !== undefined || (input.reason ?? '').trim() !== '') return null;
    return 'A task may exist. Give { "taskId": "…" } found in the Rivya Studio, or { "reason": "…" } to post again and accept that it may be paid twice.';
  }

  resume(input: ResumeInput): void {
    if (this.resumeProblem(input) === null) this.#resume = input;
  }

  async run(): Promise<GenerationResult> {
    try {
      for (let { attempt } = this.state; ; attempt++) {
        const result = await this.#attempt(attempt);
        if (result !== null) return result;
      }
    } catch (error) {
      // The wait has ended, the task perhaps not: its ID must be readable without a Worker. Continuing as new is no end.
      if (error instanceof TemporalFailure) {
        this.#update({ phase: isCancellation(error) ? 'cancelled' : 'failed', nextCheckAt: null }, true);
      }
      throw error;
    }
  }

  /** One paid attempt; null when its task failed and another attempt is allowed. */
  async #attempt(attempt: number): Promise<GenerationResult | null> {
    const { maxAttempts } = this.#input;
    let wait = attempt === this.#carried?.state.attempt ? this.#carried.wait : await this.#begin(attempt);
    for (;;) {
      wait = await this.#waitForEnd(wait);
      const { task } = wait;
      if (task.status === 'failed') {
        const code = task.error?.code ?? null;
        if (attempt < maxAttempts && mayAttemptAgain(code)) return null;
        throw failure(
          FAILURE.GenerationFailed,
          `Task ${task.taskId} ended failed at Rivya (${code ?? 'no code'}: ${task.error?.message ?? 'no message'}); ${money(this.state)}.`,
          this.state,
          {
            code: code ?? 'generation_failed',
            requestId: task.requestId,
            action: `To pay for another try, start again with take: ${this.#input.take + 1} (or a larger options.maxAttempts).`,
          },
        );
      }
      const files = await this.#store(task);
      // null: the links were refused and a person or a later check has to bring fresh ones.
      if (files !== null) return this.#result(wait, files, attempt);
      wait = { ...wait, task: { ...task, urls: [] } };
    }
  }

  /** Submits the attempt, or takes up the task that the input names. */
  async #begin(attempt: number): Promise<Wait> {
    const { taskId } = this.#input;
    const key = taskId === null ? this.#key(attempt) : null;
    this.#update({ phase: 'submitting', attempt, taskId, idempotencyKey: key, status: null }, false);
    const submitted = key === null ? await this.#adopt(taskId!) : await this.#submit(key);
    this.#see(submitted.task, { phase: 'waiting' }, true);
    return { ...submitted, bornAt: bornAt(submitted.task, Date.now()), heldMs: this.#heldMs };
  }

  async #submit(key: string): Promise<SubmitResult> {
    const { body, idempotencyWindowMs, submitDeadlineMs, model, onActionNeeded } = this.#input;
    let fence: Fence | null = null;
    for (let tries = 0; ; tries++) {
      const activities = this.#activities({
        startToCloseTimeout: TIMEOUTS.submitStartToClose,
        scheduleToCloseTimeout: submitDeadlineMs,
        heartbeatTimeout: TIMEOUTS.heartbeat,
        // A POST under way is never given up: its answer carries the task ID.
        cancellationType: 'WAIT_CANCELLATION_COMPLETED',
        summary: `submit ${model}, attempt ${this.state.attempt}`,
      });
      try {
        return await activities.rivyaSubmit({ idempotencyKey: key, body, idempotencyWindowMs, fence });
      } catch (error) {
        const end = callEnd(error);
        fence = end.fence;
        if (fence === null && end.outOfTime) {
          throw failure(
            FAILURE.DeadlinePassed,
            `Rivya accepted nothing within ${formatDuration(submitDeadlineMs)} (last: ${end.message}). No task exists and nothing was paid.`,
            this.state,
            { ...facts(end), code: FAILURE.DeadlinePassed, action: 'Start again when the API can be reached.' },
          );
        }
        // After an unanswered POST no refusal is the end: a task may exist, and only its ID or a person can tell.
        const code = fence !== null && !needsOperator(end.code) ? FAILURE.SubmitUnresolved : end.code;
        const held = fence !== null || needsOperator(code) || code === FAILURE.SubmitUnresolved;
        if (!held || onActionNeeded === 'fail') throw failure(code, end.message, this.state, { ...facts(end), code });
        const resumed = await this.#hold(code, end, tries);
        if (code !== FAILURE.SubmitUnresolved || resumed === null) continue;
        if (resumed.taskId !== undefined) return this.#adopt(resumed.taskId);
        // A named person accepted the risk: the window starts anew, the key and the body stay.
        fence = null;
      }
    }
  }

  /** Takes up a task that was created elsewhere. It must be of the model that was asked for. */
  async #adopt(taskId: string): Promise<SubmitResult> {
    this.#update({ taskId }, false);
    const task = await this.#check(true);
    if (task.model !== null && task.model !== this.#input.model) {
      throw failure(
        FAILURE.InvalidInput,
        `Task ${taskId} is of model ${task.model}, not ${this.#input.model}. Nothing was paid.`,
        this.state,
        { field: 'model', action: 'Give the model of the task.' },
      );
    }
    return { task, firstPostedAt: Date.now(), reused: true };
  }

  /** Waits until the task has ended: `failed`, or `succeeded` with at least one link. */
  async #waitForEnd(wait: Wait): Promise<Wait> {
    let { task, bornAt: born } = wait;
    let succeededAt: number | null = null;
    // A task that this run created cannot be ready at once; any other may be.
    let first = !wait.reused && this.state.statusChecks === 0;
    this.#heldMs = wait.heldMs;
    while (task.status !== 'failed' && !(task.status === 'succeeded' && task.urls.length > 0)) {
      const now = Date.now();
      if (task.status === 'succeeded') succeededAt ??= now;
      if (succeededAt !== null && now - succeededAt > TIMEOUTS.resultGrace) throw this.#resultMissing(task);
      if (task.status !== 'succeeded' && now - wait.firstPostedAt - this.#heldMs > this.#input.deadlineMs) {
        throw this.#deadlinePassed(task);
      }
      await this.#host.checkpoint?.({ state: this.state, wait: { ...wait, task, bornAt: born, heldMs: this.#heldMs } });
      const ageMs = now - born;
      await this.#pause(nextWait({ ageMs, kind: task.kind, first, random: Math.random() }));
      first = false;
      task = { ...(await this.#check(false, born)), kind: task.kind };
      born = bornAt(task, born);
    }
    return { ...wait, task, bornAt: born, heldMs: this.#heldMs };
  }

  /** Sleeps until the next check; `checkNow` wakes it, but never within 5 s of the last check. */
  async #pause(waitMs: number): Promise<void> {
    this.#update({ phase: 'waiting', nextCheckAt: new Date(Date.now() + waitMs).toISOString() }, false);
    this.#woken = false;
    await condition(() => this.#woken, waitMs, { summary: waitSummary(waitMs, this.state.statusChecks + 1) });
    const tooSoon = this.#lastCheckAt + MIN_WAIT_MS - Date.now();
    if (tooSoon > 0) await sleep(tooSoon, { summary: 'two checks are at least 5 s apart' });
  }

  /** One status check. Holds or fails on codes that repeating cannot mend. */
  async #check(adopting: boolean, born = Date.now()): Promise<TaskSnapshot> {
    for (let tries = 0; ; tries++) {
      const activities = this.#activities({
        startToCloseTimeout: TIMEOUTS.checkStartToClose,
        heartbeatTimeout: TIMEOUTS.heartbeat,
        // After a killed Worker the next GET still keeps its distance. API errors set their own delay.
        retry: { initialInterval: MIN_WAIT_MS, backoffCoefficient: 1 },
        priority: CHECK_PRIORITY,
        summary: `check ${this.state.statusChecks + 1} of ${this.state.taskId}`,
      });
      try {
        const { task, checks }: CheckResult = await activities.rivyaCheck({ taskId: this.state.taskId! });
        this.#lastCheckAt = Date.now();
        this.#see(task, { statusChecks: this.state.statusChecks + checks, nextCheckAt: null }, false);
        return task;
      } catch (error) {
        const end = callEnd(error);
        this.#lastCheckAt = Date.now();
        this.#update({ statusChecks: this.state.statusChecks + 1 }, false);
        const foreign = adopting && !needsOperator(end.code);
        if (foreign || this.#input.onActionNeeded === 'fail') {
          throw failure(end.code, end.message, this.state, facts(end));
        }
        if (end.code === 'not_found' && Date.now() - born < TIMEOUTS.notFoundGrace) await this.#pause(MIN_WAIT_MS);
        else await this.#hold(end.code, end, tries);
      }
    }
  }

  /** Stores the files; null when the links did not work and a fresh status is needed. */
  async #store(task: TaskSnapshot): Promise<readonly StoredFile[] | null> {
    this.#update({ phase: 'storing' }, false);
    const info = workflowInfo();
    const { rivyaStore } = proxyActivities<RivyaActivities>({
      taskQueue: this.#host.taskQueue,
      startToCloseTimeout: TIMEOUTS.storeStartToClose,
      heartbeatTimeout: TIMEOUTS.storeHeartbeat,
      // About a minute of tries against one set of links; then fresh links are asked for.
      retry: { initialInterval: '2s', maximumAttempts: 6 },
      summary: `store ${task.urls.length} file(s) of ${task.taskId}`,
    });
    try {
      const { files } = await rivyaStore({
        taskId: task.taskId,
        urls: task.urls,
        workflowId: info.workflowId,
        step: this.#host.step === '' ? null : this.#host.step,
        take: this.#input.take,
      });
      return files;
    } catch (error) {
      const end = callEnd(error);
      const unavailable: CallEnd = {
        ...end,
        message: `Task ${task.taskId} succeeded, but its files could not be stored: ${end.message}`,
        details: { ...end.details, action: 'Mend the store or the network, then resume: links are asked for again and nothing is paid.' },
      };
      if (this.#input.onActionNeeded === 'fail') {
        throw failure(FAILURE.ResultUnavailable, unavailable.message, this.state, facts(unavailable));
      }
      await this.#hold(FAILURE.ResultUnavailable, unavailable, 0);
      return null;
    }
  }

  /** Waits for a person, or until it is worth trying again by itself. Returns what `resume` said, or null. */
  async #hold(code: string, end: CallEnd, tries: number): Promise<ResumeInput | null> {
    const since = Date.now();
    const { phase } = this.state;
    this.#resume = null;
    const hold = { code, message: end.message, action: actionFor(end), since: new Date(since).toISOString() };
    this.#update({ phase: 'held', hold, nextCheckAt: null }, true);
    const resumed = (): boolean => this.#resume !== null;
    try {
      const delay = holdRecheckDelay(code, tries, Math.random());
      if (delay === null) await condition(resumed);
      else await condition(resumed, delay, { summary: `held by ${code}; tried again in ${formatDuration(delay)}` });
    } finally {
      this.#heldMs += Date.now() - since;
    }
    this.#update({ phase, hold: null }, true);
    return this.#resume;
  }

  #result(wait: Wait, files: readonly StoredFile[], attempts: number): GenerationResult {
    const { task } = wait;
    this.#update({ phase: 'succeeded', nextCheckAt: null }, true);
    return {
      status: 'succeeded',
      taskId: task.taskId,
      model: task.model ?? this.#input.model,
      idempotencyKey: this.state.idempotencyKey,
      reservedCredits: this.state.reservedCredits,
      finalCredits: this.state.finalCredits,
      urls: task.urls,
      primaryUrl: task.urls[0] ?? null,
      files,
      attempts,
      statusChecks: this.state.statusChecks,
      reused: wait.reused,
      simulated: task.simulated,
      createdAt: task.createdAt,
      updatedAt: task.updatedAt,
    };
  }

  #deadlinePassed(task: TaskSnapshot): Error {
    return failure(
      FAILURE.DeadlinePassed,
      `Task ${task.taskId} is still ${task.status} after ${formatDuration(this.#input.deadlineMs)}; ${money(this.state)}. It goes on at Rivya.`,
      this.state,
      { action: this.#takeUp(task) },
    );
  }

  #resultMissing(task: TaskSnapshot): Error {
    return failure(
      FAILURE.ResultMissing,
      `Task ${task.taskId} has succeeded, but the API gave no link for ${formatDuration(TIMEOUTS.resultGrace)}; ${money(this.state)}.`,
      this.state,
      { action: `Look for it in the Rivya Studio. ${this.#takeUp(task)}` },
    );
  }

  #takeUp(task: TaskSnapshot): string {
    return `Take it up without paying: rivya-temporal generate --model ${this.#input.model} --task-id ${task.taskId}`;
  }

  #key(attempt: number): string {
    const { namespace, workflowId } = workflowInfo();
    const { use, step } = this.#host;
    return this.#input.ownKey ?? idempotencyKey({ use, namespace, workflowId, step, take: this.#input.take, attempt });
  }

  #activities(options: ActivityOptions): Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaCheck'> {
    return proxyActivities<RivyaActivities>({ taskQueue: apiTaskQueue(this.#host.taskQueue), ...options });
  }

  #see(task: TaskSnapshot, more: Partial<GenerationState>, milestone: boolean): void {
    this.#update(
      {
        taskId: task.taskId,
        status: task.status,
        // A later reply may leave a number out; what was known stays known.
        reservedCredits: task.reservedCredits ?? this.state.reservedCredits,
        finalCredits: task.finalCredits ?? this.state.finalCredits,
        simulated: task.simulated,
        ...more,
      },
      milestone,
    );
  }

  #update(change: Partial<GenerationState>, milestone: boolean): void {
    this.state = { ...this.state, ...change };
    this.#host.changed(this.state, milestone);
  }
}

/** When the task was created, on the Workflow's clock, from the age that the API's own clock gives. */
function bornAt(task: TaskSnapshot, otherwise: number): number {
  return task.ageMs === null ? otherwise : Date.now() - task.ageMs;
}

function facts(end: CallEnd): Partial<CallEnd['details']> & { action: string } {
  const { httpStatus, requestId, fence } = end.details;
  return {
    action: actionFor(end),
    ...(httpStatus !== undefined && { httpStatus }),
    ...(requestId !== undefined && { requestId }),
    ...(fence !== undefined && { fence }),
  };
}
