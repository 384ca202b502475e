/**
 * The core: one generation from key to result. Deterministic; every side effect is an Activity. It never posts under a
 * new key while a task may exist under the old one, and never forgets a task ID it has seen.
 */
import { isCancellation, patched, TemporalFailure, workflowInfo } from '@temporalio/workflow';
import { apiTaskQueue } from '../src/contract/names.js';
import type {
  GenerationIdentity,
  GenerationResult,
  GenerationState,
  StoredFile,
  SubmitResult,
  TaskSnapshot,
} from '../src/contract/index.js';
import {
  bodyDigest,
  idempotencyKey,
  mayAttemptAgain,
  MIN_WAIT_MS,
  needsOperator,
  nextWait,
  TIMEOUTS,
  type Generation,
  type KeyUse,
} from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import { atStart, Progress, type Show, type Standing } from './progress.js';
import { uploadReferences } from './references.js';
import { ClaimGivenUp, holdOrFail, submit } from './submission.js';

/** What a run hands to the next one when it continues as new. */
export interface Carried {
  readonly standing: Standing;
  /** Null while nothing was accepted. */
  readonly wait: Wait | null;
}

/** An accepted task and what the wait for it needs to remember. Times are on the Workflow's clock. */
interface Wait {
  readonly task: TaskSnapshot;
  readonly firstPostedAt: number;
  readonly reused: boolean;
  readonly bornAt: number;
  /** Time that had been spent in holds before the first POST. */
  readonly heldBeforeMs: number;
  /** When it was first seen to have succeeded, or null. */
  readonly succeededAt: number | null;
  /** False until the first status check. */
  readonly checked: boolean;
}

/** The two ways to run a generation differ in these. */
export interface Host {
  readonly use: KeyUse;
  readonly step: string;
  /** Workflow ID whose key is used, where that is not the host's: the step then counts for nothing in the key. */
  readonly paidAs?: string;
  readonly taskQueue: string;
  readonly show: Show;
  /** Says in the state what no Worker does. Costs two events for a submit and two for a store. */
  readonly watches?: boolean;
  /** Called between two calls to the API; may continue as new. */
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
    const { model, taskId } = input;
    const standing = atStart({ model, taskId, key: taskId === null ? this.#key(1, 0) : null });
    this.progress = new Progress(carried?.standing ?? standing, host.show, { watches: host.watches ?? false });
  }

  /** By which the request is known. */
  get digest(): string {
    return this.progress.standing.request?.digest ?? bodyDigest(this.#input.body);
  }

  get #state(): GenerationState {
    return this.progress.state;
  }

  async run(): Promise<GenerationResult> {
    try {
      // A new run starts without a memo.
      if (this.#carried !== undefined) this.progress.update({}, true);
      for (let { attempt } = this.#state; ; attempt++) {
        const result = await this.#attempt(attempt);
        if (result !== null) return result;
      }
    } catch (error) {
      // Continuing as new is no end.
      if (!(error instanceof TemporalFailure)) throw error;
      const stopped = isCancellation(error);
      // The wait has ended, the task perhaps not: its ID must be readable without a Worker.
      this.progress.update({ phase: stopped ? 'cancelled' : 'failed', hold: null, nextCheckAt: null }, true);
      throw stopped ? failures.cancelled(error, this.#state) : error;
    }
  }

  /** One paid attempt; null when its task failed and another attempt is allowed. */
  async #attempt(attempt: number): Promise<GenerationResult | null> {
    const carried = this.#carried?.standing.state.attempt === attempt ? this.#carried.wait : null;
    let wait = carried ?? (await this.#begin(attempt));
    for (let tries = 0; ; tries++) {
      wait = await this.#waitForEnd(wait);
      const { task } = wait;
      if (task.status === 'failed') {
        if (attempt < this.#input.maxAttempts && mayAttemptAgain(task.error?.code ?? null)) {
          const { idempotencyKey: key, earlier } = this.#state;
          if (key !== null) {
            const failed = { idempotencyKey: key, firstKey: this.#key(attempt, 0), taskId: task.taskId };
            this.progress.update({ earlier: [...earlier, failed] });
          }
          return null;
        }
        throw failures.generationFailed(task, this.#state, this.#input);
      }
      try {
        return this.#result(wait, await this.#store(task), attempt);
      } catch (error) {
        // Links that do not work are asked for anew once, then each time a person resumes.
        const end = failures.unavailable(callEnd(error), task);
        if (tries === 0) await this.progress.pause(MIN_WAIT_MS);
        else await this.#hold(end, tries, wait);
        wait = await this.#refresh(wait);
      }
    }
  }

  /** Submits the attempt, or takes up the task that the input names. */
  async #begin(attempt: number): Promise<Wait> {
    const { taskId } = this.#input;
    // A run that continued as new in a hold goes on with the key that it had come to.
    const spentKeys = attempt === this.#state.attempt ? this.#state.spentKeys : 0;
    const key = taskId === null ? this.#key(attempt, spentKeys) : null;
    const firstKey = taskId === null ? this.#key(attempt, 0) : null;
    const fresh = { status: null, reservedCredits: null, finalCredits: null };
    this.progress.update({ ...fresh, phase: 'submitting', attempt, firstKey, spentKeys, taskId, idempotencyKey: key });
    const submitted = taskId === null ? await this.#submit(attempt) : await this.#adopt(taskId);
    const { task, reused, sinceFirstPostMs } = submitted;
    const heldBeforeMs = this.progress.answered();
    const madeUnder = { idempotencyKey: submitted.idempotencyKey ?? this.#state.idempotencyKey };
    this.progress.see(task, { ...madeUnder, phase: 'waiting', ...SETTLED }, true);
    const now = Date.now();
    return {
      task,
      reused,
      firstPostedAt: now - sinceFirstPostMs,
      bornAt: bornAt(task, now),
      heldBeforeMs,
      succeededAt: task.status === 'succeeded' ? now : null,
      checked: taskId !== null,
    };
  }

  async #submit(attempt: number): Promise<SubmitResult> {
    const { idempotencyWindowMs, submitDeadlineMs, maxCredits, model } = this.#input;
    const request = await this.#request();
    const budget = maxCredits === null ? {} : { maxCredits };
    const identity = this.#identity(attempt);
    const summary = `submit ${model}, attempt ${attempt}`;
    const { rivyaSubmit } = activities.submit(this.#host.taskQueue, submitDeadlineMs, summary);
    const api = { role: 'api', taskQueue: apiTaskQueue(this.#host.taskQueue) } as const;
    return submit(this.progress, {
      policy: this.#input,
      key: (spent) => this.#key(attempt, spent),
      post: (key, risk) => {
        const input = { idempotencyKey: key, identity, ...request, idempotencyWindowMs, ...budget, ...risk };
        return this.progress.watch(api, () => rivyaSubmit(input));
      },
      adopt: (taskId) => this.#adopt(taskId, this.#state.firstKey ?? undefined),
      hold: (end, tries) => this.#hold(end, tries, null),
    });
  }

  /** What is submitted: the body as it is or, once and for all attempts, with the references that are uploaded for it. */
  async #request(): Promise<{ readonly body: string; readonly digest?: string }> {
    const { body, references } = this.#input;
    const { request } = this.progress.standing;
    if (references.length === 0 || request !== undefined) return request ?? { body };
    const { taskQueue, step } = this.#host;
    const hold = (end: CallEnd, tries: number): Promise<unknown> => this.#hold(end, tries, null);
    const prepared = await uploadReferences(this.#input, { taskQueue, step, progress: this.progress, hold });
    this.progress.prepared(prepared);
    this.progress.update({ phase: 'submitting' });
    return prepared;
  }

  /** Takes up a task that was created elsewhere. It must be of the model that was asked for. */
  async #adopt(taskId: string, claimedFor?: string): Promise<SubmitResult> {
    const twice = claimedFor !== undefined && patched('claims-again');
    let task = await this.#named(taskId, claimedFor, twice);
    if (twice) {
      // Two generations may be told the same task at the same time. Each shows its claim, and looks again when the other
      // can see it: then neither gets it, and a person decides.
      this.progress.update({ taskId }, true);
      try {
        await this.progress.pause(TIMEOUTS.claimSettles);
        task = await this.#named(taskId, claimedFor, false);
        if (task.model === null) throw failures.otherModel(task, this.#state, this.#input);
      } catch (error) {
        this.progress.update({ taskId: null }, true);
        throw error;
      } finally {
        this.progress.update({ phase: 'submitting', nextCheckAt: null });
      }
    }
    return { task, sinceFirstPostMs: 0, reused: true };
  }

  /** A task that somebody named, if it is of the model that was asked for as far as the API tells. */
  async #named(taskId: string, claimedFor?: string, claimsAgain = false): Promise<TaskSnapshot> {
    const task = await this.#check(taskId, null, claimedFor, claimsAgain);
    this.#refuseOtherModel(task);
    return task;
  }

  #refuseOtherModel(task: TaskSnapshot): void {
    if (task.model !== null && task.model !== this.#input.model) {
      throw failures.otherModel(task, this.#state, this.#input);
    }
  }

  /** Waits until the task has ended: `failed`, or `succeeded` with at least one link. */
  async #waitForEnd(begun: Wait): Promise<Wait> {
    let wait = begun;
    for (;;) {
      const { task, succeededAt } = wait;
      const now = Date.now();
      // No Worker may have been there since the answer came: it tells how things stood when it was asked for.
      const asOf = task.askedAt ?? now;
      if (task.status === 'failed' || (task.status === 'succeeded' && task.urls.length > 0)) return wait;
      const held = this.progress.heldMs - wait.heldBeforeMs;
      if (task.status === 'succeeded') {
        if (asOf - (succeededAt ?? asOf) >= TIMEOUTS.resultGrace) {
          throw failures.resultMissing(task, this.#state, this.#input);
        }
      } else if (wait.checked && asOf - wait.firstPostedAt - held > this.#input.deadlineMs) {
        throw failures.deadlinePassed(task, Math.max(0, asOf - wait.bornAt), this.#state, this.#input);
      }
      await this.#checkpoint(wait);
      const first = !wait.checked;
      const times = { ageMs: now - wait.bornAt, trailingMs: succeededAt === null ? null : now - succeededAt };
      await this.progress.pause(nextWait({ ...times, kind: task.kind, first, random: Math.random() }));
      wait = await this.#refresh(wait);
    }
  }

  async #refresh(wait: Wait): Promise<Wait> {
    const task = await this.#check(wait.task.taskId, wait);
    // The first answer about a task that somebody named may have left its model out.
    if (this.#input.taskId !== null) this.#refuseOtherModel(task);
    this.progress.see(task);
    // A task grows no younger, even where the clocks behind a reply disagree: its checks would never slow down.
    const born = Math.min(wait.bornAt, bornAt(task, wait.bornAt));
    // The answer to the submit may have been too short to tell. The API's clock counts whole seconds, so it is generous.
    const reused = wait.reused || (task.ageMs !== null && born < wait.firstPostedAt - CLOCK_STEP_MS);
    const succeededAt = task.status === 'succeeded' ? (wait.succeededAt ?? Date.now()) : null;
    return { ...wait, task, reused, bornAt: born, succeededAt, checked: true };
  }

  /** One status check of our own task, or (null) of a task that somebody named. */
  async #check(taskId: string, wait: Wait | null, claimedFor?: string, claimsAgain = false): Promise<TaskSnapshot> {
    for (let tries = 0; ; tries++) {
      await this.progress.keepDistance();
      let end: CallEnd;
      try {
        const summary = `check ${this.#state.statusChecks + 1} of ${taskId}`;
        // A task that somebody named is not known to be that of the key until its model was looked at.
        const firstKey = wait === null ? null : this.#state.firstKey;
        const { task, checks } = await activities
          .check(this.#host.taskQueue, summary, claimedFor === undefined ? undefined : TIMEOUTS.claimWithin)
          .rivyaCheck({
            taskId,
            firstKey,
            ...(claimedFor !== undefined && { claimedFor, ...(claimsAgain && { claimsAgain }) }),
          });
        this.progress.checked(checks);
        return task;
      } catch (error) {
        end = callEnd(error);
      }
      this.progress.checked(end.details.attempts ?? 1);
      const early = wait !== null && Date.now() - wait.bornAt < TIMEOUTS.notFoundGrace;
      if (end.code === 'not_found' && early) {
        await this.progress.pause(MIN_WAIT_MS);
        continue;
      }
      if (wait === null && !needsOperator(end.code)) {
        // What was only claimed is not ours to take up.
        const own = claimedFor === undefined ? {} : { taskId: null };
        throw failures.callFailed(end, { ...this.#state, ...own });
      }
      if (claimedFor !== undefined) end = { ...end, message: `${end.message} ${heldClaim(taskId)}` };
      const resumed = await this.#hold(end, tries, wait);
      // Whoever names another task, or says why to post again, no longer means this one.
      const more = resumed !== null && (resumed.taskId !== null || resumed.reason !== null);
      if (claimedFor !== undefined && more && patched('claim-given-up')) throw new ClaimGivenUp(resumed);
    }
  }

  /** Holds, or fails where the caller wants that. A hold that lasts continues as new like a wait. */
  async #hold(end: CallEnd, tries: number, wait: Wait | null): ReturnType<Progress['hold']> {
    const resumed = await holdOrFail(this.progress, this.#input, end, tries);
    if (resumed === null) await this.#checkpoint(wait);
    return resumed;
  }

  async #checkpoint(wait: Wait | null): Promise<void> {
    await this.#host.checkpoint?.({ standing: this.progress.standing, wait });
  }

  async #store({ taskId, urls, createdAt, simulated }: TaskSnapshot): Promise<readonly StoredFile[]> {
    this.progress.update({ phase: 'storing' });
    const { rivyaStore } = activities.store(this.#host.taskQueue, `store ${urls.length} file(s) of ${taskId}`);
    const { workflowId } = workflowInfo();
    const { step, take } = this.#identity(this.#state.attempt);
    const { model, body, labels } = this.#input;
    const { idempotencyKey: key, reservedCredits, finalCredits } = this.#state;
    const money = { idempotencyKey: key, reservedCredits, finalCredits };
    const about = { model, body, labels, createdAt, simulated, ...money };
    const results = { role: 'results', taskQueue: this.#host.taskQueue } as const;
    const request = { taskId, urls, workflowId, step, take, about };
    const { files } = await this.progress.watch(results, () => rivyaStore(request));
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

  #identity(attempt: number): GenerationIdentity {
    const { take, model, labels } = this.#input;
    const step = this.#host.step === '' ? null : this.#host.step;
    return { step, take, attempt, model, labels, firstKey: this.#key(attempt, 0) };
  }

  #key(attempt: number, spent: number): string {
    const { namespace, workflowId: own } = workflowInfo();
    const { use, paidAs } = this.#host;
    const identity =
      paidAs === undefined ? { workflowId: own, step: this.#host.step } : { workflowId: paidAs, step: '' };
    return (
      this.#input.ownKey ?? idempotencyKey({ use, namespace, ...identity, take: this.#input.take, attempt, spent })
    );
  }
}

function heldClaim(taskId: string): string {
  return `This is about task ${taskId}, which a person named: resume with another taskId, or with a reason, to give it up.`;
}

// There is an answer, so nothing is open and nothing has to be accepted.
const SETTLED = { unanswered: null, riskAccepted: false, riskAcceptedAt: null };
// The Date header of a reply counts whole seconds.
const CLOCK_STEP_MS = 1_000;

/** When the task was created, on the Workflow's clock, from the age that the API's own clock gives. */
function bornAt(task: TaskSnapshot, otherwise: number): number {
  return task.ageMs === null ? otherwise : Date.now() - task.ageMs;
}
