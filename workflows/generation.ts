/**
 * The core: one generation from key to result. Deterministic; every side effect is an Activity. It never posts under a
 * new key while a task may exist under the old one, and never forgets a task ID it has seen.
 */
import { ApplicationFailure, isCancellation, TemporalFailure, workflowInfo } from '@temporalio/workflow';
import {
  FAILURE,
  type Fence,
  type GenerationResult,
  type GenerationState,
  type StoredFile,
  type SubmitResult,
  type TaskSnapshot,
} from '../src/contract/index.js';
import {
  formatDuration,
  idempotencyKey,
  mayAttemptAgain,
  MIN_WAIT_MS,
  money,
  needsOperator,
  nextWait,
  TIMEOUTS,
  UNRESOLVED_ACTION,
  type Generation,
  type KeyUse,
} from '../src/policy/index.js';
import { activities } from './activities.js';
import { callEnd, facts, failure, type CallEnd } from './failure.js';
import { Progress, type Show } from './progress.js';

/** What a run hands to the next one when it continues as new. */
export interface Carried {
  readonly state: GenerationState;
  readonly wait: Wait;
  readonly heldMs: number;
}

/** An accepted task and what the wait for it needs to remember. */
interface Wait {
  readonly task: TaskSnapshot;
  readonly firstPostedAt: number;
  readonly reused: boolean;
  /** When the task was created, on the Workflow's clock. */
  readonly bornAt: number;
  /** False until the first status check. */
  readonly checked: boolean;
}

/** The two ways to run a generation differ in these. */
export interface Host {
  readonly use: KeyUse;
  readonly step: string;
  readonly taskQueue: string;
  readonly show: Show;
  /** Called between two checks; may continue as new. */
  readonly checkpoint?: (carried: Carried) => Promise<void>;
}

export class GenerationRun {
  readonly progress: Progress;
  readonly #input: Generation;
  readonly #host: Host;
  readonly #carried: Carried | undefined;

  constructor(input: Generation, host: Host, carried?: Carried) {
    this.#input = input;
    this.#host = host;
    this.#carried = carried;
    const state: GenerationState = {
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
    this.progress = new Progress(carried?.state ?? state, carried?.heldMs ?? 0, host.show);
  }

  get #state(): GenerationState {
    return this.progress.state;
  }

  async run(): Promise<GenerationResult> {
    try {
      for (let { attempt } = this.#state; ; attempt++) {
        const result = await this.#attempt(attempt);
        if (result !== null) return result;
      }
    } catch (error) {
      // The wait has ended, the task perhaps not: its ID must be readable without a Worker. Continuing as new is no end.
      if (error instanceof TemporalFailure) {
        this.progress.update({ phase: isCancellation(error) ? 'cancelled' : 'failed', nextCheckAt: null }, true);
      }
      throw error;
    }
  }

  /** One paid attempt; null when its task failed and another attempt is allowed. */
  async #attempt(attempt: number): Promise<GenerationResult | null> {
    const { maxAttempts, take } = this.#input;
    const carried = this.#carried?.state.attempt === attempt ? this.#carried.wait : null;
    const wait = await this.#waitForEnd(carried ?? (await this.#begin(attempt)));
    const { task } = wait;
    if (task.status === 'succeeded') return this.#deliver(wait, attempt);
    const code = task.error?.code ?? null;
    if (attempt < maxAttempts && mayAttemptAgain(code)) return null;
    throw failure(
      FAILURE.GenerationFailed,
      `Task ${task.taskId} ended failed at Rivya (${code ?? 'no code'}: ${task.error?.message ?? 'no message'}); ${money(this.#state)}.`,
      this.#state,
      {
        code: code ?? 'generation_failed',
        requestId: task.requestId,
        action: `To pay for another try, start again with take: ${take + 1} (or a larger options.maxAttempts).`,
      },
    );
  }

  /** Submits the attempt, or takes up the task that the input names. */
  async #begin(attempt: number): Promise<Wait> {
    const { taskId } = this.#input;
    const key = taskId === null ? this.#key(attempt) : null;
    this.progress.update({ phase: 'submitting', attempt, taskId, idempotencyKey: key, status: null });
    const submitted = taskId === null ? await this.#submit(this.#key(attempt)) : await this.#adopt(taskId);
    this.progress.see(submitted.task, { phase: 'waiting' }, true);
    const { task, reused, sinceFirstPostMs } = submitted;
    const now = Date.now();
    return { task, reused, firstPostedAt: now - sinceFirstPostMs, bornAt: bornAt(task, now), checked: taskId !== null };
  }

  async #submit(key: string): Promise<SubmitResult> {
    const { body, idempotencyWindowMs, submitDeadlineMs, model, onActionNeeded } = this.#input;
    let fence: Fence | null = null;
    for (let tries = 0; ; tries++) {
      try {
        const summary = `submit ${model}, attempt ${this.#state.attempt}`;
        const { rivyaSubmit } = activities.submit(this.#host.taskQueue, submitDeadlineMs, summary);
        return await rivyaSubmit({ idempotencyKey: key, body, idempotencyWindowMs, fence });
      } catch (error) {
        let end = callEnd(error);
        fence = end.fence;
        if (fence === null && end.outOfTime) throw this.#neverAccepted(end);
        // After an unanswered POST no refusal is the end: a task may exist, and only its ID or a person can tell.
        if (fence !== null && !needsOperator(end.code)) end = unresolved(end);
        const { code } = end;
        const held = code === FAILURE.SubmitUnresolved || needsOperator(code);
        if (!held || onActionNeeded === 'fail') throw failure(code, end.message, this.#state, facts(end));
        if (code !== FAILURE.SubmitUnresolved) {
          await this.progress.hold(code, end, tries);
          continue;
        }
        const found = await this.#resolve(end);
        if (found !== null) return found;
        // A named person accepted the risk: the window starts anew, the key and the body stay.
        fence = null;
      }
    }
  }

  /** Holds an unresolved submit until a person names its task, or accepts to post again (null). */
  async #resolve(end: CallEnd): Promise<SubmitResult | null> {
    let { message } = end;
    for (;;) {
      const resumed = await this.progress.hold(FAILURE.SubmitUnresolved, { ...end, message }, 0);
      if (resumed?.taskId === undefined) return null;
      try {
        return await this.#adopt(resumed.taskId);
      } catch (error) {
        if (!(error instanceof ApplicationFailure)) throw error;
        // A wrong ID must not end the Workflow: the task that it looks for is still not known.
        message = `${error.message} ${end.message}`;
        this.progress.update({ taskId: null });
      }
    }
  }

  /** Takes up a task that was created elsewhere. It must be of the model that was asked for. */
  async #adopt(taskId: string): Promise<SubmitResult> {
    this.progress.update({ taskId });
    const task = await this.#check(null);
    if (task.model !== null && task.model !== this.#input.model) {
      throw failure(
        FAILURE.InvalidInput,
        `model: task ${taskId} is of model ${task.model}, not ${this.#input.model}. Nothing was paid.`,
        this.#state,
        { field: 'model', action: 'Give the model of the task.' },
      );
    }
    return { task, sinceFirstPostMs: 0, reused: true };
  }

  /** Waits until the task has ended: `failed`, or `succeeded` with at least one link. */
  async #waitForEnd(begun: Wait): Promise<Wait> {
    let wait = begun;
    let succeededAt: number | null = null;
    for (;;) {
      const { task } = wait;
      const now = Date.now();
      if (task.status === 'failed' || (task.status === 'succeeded' && task.urls.length > 0)) return wait;
      if (task.status === 'succeeded') {
        succeededAt ??= now;
        if (now - succeededAt > TIMEOUTS.resultGrace) throw this.#resultMissing(task);
      } else if (wait.checked && now - wait.firstPostedAt - this.progress.heldMs > this.#input.deadlineMs) {
        throw this.#deadlinePassed(task);
      }
      await this.#host.checkpoint?.({ state: this.#state, wait, heldMs: this.progress.heldMs });
      await this.progress.pause(
        nextWait({ ageMs: now - wait.bornAt, kind: task.kind, first: !wait.checked, random: Math.random() }),
      );
      wait = await this.#refresh(wait);
    }
  }

  async #refresh(wait: Wait): Promise<Wait> {
    const task = await this.#check(wait.bornAt);
    return { ...wait, task, bornAt: bornAt(task, wait.bornAt), checked: true };
  }

  /** One status check of our own task (`born` says since when it exists), or of a task that somebody named (null). */
  async #check(born: number | null): Promise<TaskSnapshot> {
    const taskId = this.#state.taskId as string;
    for (let tries = 0; ; tries++) {
      try {
        const summary = `check ${this.#state.statusChecks + 1} of ${taskId}`;
        const { task, checks } = await activities.check(this.#host.taskQueue, summary).rivyaCheck({ taskId });
        this.progress.checked(checks);
        this.progress.see(task);
        return task;
      } catch (error) {
        const end = callEnd(error);
        this.progress.checked(end.details.attempts ?? 1);
        const foreign = born === null && !needsOperator(end.code);
        if (foreign || this.#input.onActionNeeded === 'fail') {
          throw failure(end.code, end.message, this.#state, facts(end));
        }
        const early = born !== null && Date.now() - born < TIMEOUTS.notFoundGrace;
        if (end.code === 'not_found' && early) await this.progress.pause(MIN_WAIT_MS);
        else await this.progress.hold(end.code, end, tries);
      }
    }
  }

  /** Stores the files. Links that do not work are asked for anew once, then each time a person resumes. */
  async #deliver(ended: Wait, attempts: number): Promise<GenerationResult> {
    let wait = ended;
    for (let tries = 0; ; tries++) {
      try {
        return this.#result(wait, await this.#store(wait.task), attempts);
      } catch (error) {
        const end = unavailable(callEnd(error), wait.task);
        if (tries > 0 && this.#input.onActionNeeded === 'fail') {
          throw failure(FAILURE.ResultUnavailable, end.message, this.#state, facts(end));
        }
        if (tries === 0) await this.progress.pause(MIN_WAIT_MS);
        else await this.progress.hold(FAILURE.ResultUnavailable, end, tries);
        wait = await this.#waitForEnd(await this.#refresh(wait));
      }
    }
  }

  async #store({ taskId, urls }: TaskSnapshot): Promise<readonly StoredFile[]> {
    this.progress.update({ phase: 'storing' });
    const { rivyaStore } = activities.store(this.#host.taskQueue, `store ${urls.length} file(s) of ${taskId}`);
    const { workflowId } = workflowInfo();
    const step = this.#host.step === '' ? null : this.#host.step;
    const { files } = await rivyaStore({ taskId, urls, workflowId, step, take: this.#input.take });
    return files;
  }

  #result({ task, reused }: Wait, files: readonly StoredFile[], attempts: number): GenerationResult {
    this.progress.update({ phase: 'succeeded', nextCheckAt: null }, true);
    const { idempotencyKey: key, reservedCredits, finalCredits, statusChecks } = this.#state;
    return {
      status: 'succeeded',
      taskId: task.taskId,
      model: task.model ?? this.#input.model,
      idempotencyKey: key,
      reservedCredits,
      finalCredits,
      urls: task.urls,
      primaryUrl: task.urls[0] ?? null,
      files,
      attempts,
      statusChecks,
      reused,
      simulated: task.simulated,
      createdAt: task.createdAt,
      updatedAt: task.updatedAt,
    };
  }

  #neverAccepted(end: CallEnd): Error {
    return failure(
      FAILURE.DeadlinePassed,
      `Rivya accepted nothing within ${formatDuration(this.#input.submitDeadlineMs)} (last: ${end.message}). No task exists and nothing was paid.`,
      this.#state,
      { ...facts(end), code: FAILURE.DeadlinePassed, action: 'Start again when the API can be reached.' },
    );
  }

  #deadlinePassed({ taskId, status }: TaskSnapshot): Error {
    return failure(
      FAILURE.DeadlinePassed,
      `Task ${taskId} is still ${status} after ${formatDuration(this.#input.deadlineMs)}; ${money(this.#state)}. It goes on at Rivya.`,
      this.#state,
      { action: this.#takeUp(taskId) },
    );
  }

  #resultMissing({ taskId }: TaskSnapshot): Error {
    return failure(
      FAILURE.ResultMissing,
      `Task ${taskId} has succeeded, but the API gave no link for ${formatDuration(TIMEOUTS.resultGrace)}; ${money(this.#state)}.`,
      this.#state,
      { action: `Look for it in the Rivya Studio. ${this.#takeUp(taskId)}` },
    );
  }

  #takeUp(taskId: string): string {
    return `Take it up without paying: rivya-temporal generate --model ${this.#input.model} --task-id ${taskId}`;
  }

  #key(attempt: number): string {
    const { namespace, workflowId } = workflowInfo();
    const { use, step } = this.#host;
    return this.#input.ownKey ?? idempotencyKey({ use, namespace, workflowId, step, take: this.#input.take, attempt });
  }
}

/** When the task was created, on the Workflow's clock, from the age that the API's own clock gives. */
function bornAt(task: TaskSnapshot, otherwise: number): number {
  return task.ageMs === null ? otherwise : Date.now() - task.ageMs;
}

function unresolved(end: CallEnd): CallEnd {
  return { ...end, code: FAILURE.SubmitUnresolved, details: { ...end.details, action: UNRESOLVED_ACTION } };
}

function unavailable(end: CallEnd, { taskId }: TaskSnapshot): CallEnd {
  return {
    ...end,
    message: `Task ${taskId} succeeded, but its files could not be stored: ${end.message}`,
    details: {
      ...end.details,
      action: 'Mend the store or the network, then resume: links are asked for again and nothing is paid.',
    },
  };
}
