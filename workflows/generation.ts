/**
 * One generation from its submit to its result: submits, waits, stores.
 *
 * It guarantees that a task ID, once seen, is in state and memo, and that another attempt is paid only after a task has
 * failed. `generateMedia` runs it. Every side effect is an Activity. Deterministic.
 */
import { workflowInfo } from '@temporalio/workflow';
import type { GenerationResult, StoredFile, TaskSnapshot, UnansweredPost } from '../src/contract/index.js';
import {
  bornAt,
  digestOf,
  idempotencyKey,
  mayAttemptAgain,
  MIN_WAIT_MS,
  needsOperator,
  nextAttempt,
  nextWait,
  resultOf,
  seen,
  TIMEOUTS,
  titleOf,
  type Generation,
} from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import { Progress, type Standing } from './progress.js';
import { uploadReferences } from './references.js';
import { NOT_POSTED, submit, type Paying } from './submission.js';

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
  /** When the task was created. */
  readonly bornAt: number;
  /** When it was first seen to have succeeded, or null. */
  readonly succeededAt: number | null;
  /** False until the first status check. */
  readonly checked: boolean;
}

export class GenerationRun {
  readonly progress: Progress;
  readonly #input: Generation;
  readonly #taskQueue: string;
  readonly #carried: Carried | undefined;
  #linksOnly = false;
  readonly #checkpoint: (carried: Carried) => Promise<void>;

  /** @param checkpoint - Called between two calls to the API; may continue as new. */
  constructor(input: Generation, checkpoint: (carried: Carried) => Promise<void>, carried?: Carried) {
    this.#input = input;
    this.#taskQueue = input.taskQueue ?? workflowInfo().taskQueue;
    this.#checkpoint = checkpoint;
    this.#carried = carried;
    const { model, labels, onActionNeeded, taskId } = input;
    const baseKey = taskId === null ? this.#key(1) : null;
    const about = { paid: 'task', title: titleOf(input), bodyDigest: digestOf(input.body), baseKey } as const;
    this.progress = new Progress({ ...about, model, labels, onActionNeeded }, carried?.standing);
  }

  async run(): Promise<GenerationResult> {
    // A new run starts without a memo.
    if (this.#carried !== undefined) this.progress.update({}, true);
    let wait = this.#carried?.wait ?? (await this.#begin());
    for (let tries = 0; ; tries++) {
      wait = await this.#waitForEnd(wait);
      if (wait.task.status === 'failed') {
        this.#nextAttempt(wait.task);
        wait = await this.#begin();
        tries = -1;
        continue;
      }
      try {
        const files = await this.#store(wait.task);
        this.progress.update({ phase: 'succeeded', nextCheckAt: null }, true);
        return resultOf(wait.task, files, wait.reused, this.progress.state);
      } catch (error) {
        const end = failures.unavailable(callEnd(error), wait.task);
        // Links that do not work are asked for anew once, then each time a person resumes.
        if (tries === 0) await this.progress.pause(MIN_WAIT_MS);
        else await this.#hold(end, tries, wait);
        wait = await this.#refresh(wait);
      }
    }
  }

  /** Submits the attempt, or takes up the task that the input names. */
  async #begin(): Promise<Wait> {
    const { taskId } = this.#input;
    const named = async (id: string): Promise<Paying<TaskSnapshot>> => {
      this.progress.update({ phase: 'submitting', taskId: id });
      return { ...NOT_POSTED, answer: this.#ofModel(await this.#check(id, null)) };
    };
    const { answer: task, reused, sinceFirstPostMs } = await (taskId === null ? this.#submit() : named(taskId));
    this.progress.answered();
    this.progress.update({ ...seen(task, this.progress.state), phase: 'waiting' }, true);
    const now = Date.now();
    return {
      task,
      reused,
      firstPostedAt: now - sinceFirstPostMs,
      bornAt: bornAt(task, now),
      succeededAt: task.status === 'succeeded' ? now : null,
      checked: taskId !== null,
    };
  }

  async #submit(): Promise<Paying<TaskSnapshot>> {
    const { idempotencyWindowMs, submitDeadlineMs, maxCredits, model, labels, ownKey } = this.#input;
    if (this.#input.references.length > 0 && this.progress.standing.request === null) {
      const hold = (end: CallEnd, tries: number): Promise<void> => this.#hold(end, tries, null);
      const host = { taskQueue: this.#taskQueue, progress: this.progress, hold };
      this.progress.prepared(await uploadReferences(this.#input, host));
    }
    const request = this.progress.standing.request ?? { body: this.#input.body };
    const budget = maxCredits === null ? {} : { maxCredits };
    const common = { ...request, ...budget, baseKey: this.#key(1), model, labels, idempotencyWindowMs };
    return submit(this.progress, {
      submitDeadlineMs,
      keyOf: (number) => this.#key(number),
      ownKey: ownKey !== null,
      post: (at) => {
        const summary = `submit ${model}, attempt ${at.attempt}`;
        return activities.submit(this.#taskQueue, submitDeadlineMs, summary).rivyaSubmit({ ...common, ...at });
      },
      named: async (taskId, by) => this.#ofModel(await this.#check(taskId, null, by), by),
      checkpoint: () => this.#checkpoint({ standing: this.progress.standing, wait: null }),
    });
  }

  /** A task that the input names must not be of another model; one that a person names for a POST must be of this model. */
  #ofModel(task: TaskSnapshot, by?: UnansweredPost): TaskSnapshot {
    if (task.model === this.#input.model || (task.model === null && by === undefined)) return task;
    throw failures.otherModel(task, this.progress.state, this.#input);
  }

  /** Moves on to the next attempt, or fails where no other one is allowed. */
  #nextAttempt(task: TaskSnapshot): void {
    this.#linksOnly = false;
    if (this.progress.state.attempt >= this.#input.maxAttempts || !mayAttemptAgain(task.error?.code ?? null)) {
      throw failures.generationFailed(task, this.progress.state, this.#input);
    }
    this.progress.update(nextAttempt(this.progress.state, task.taskId));
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
      const { state, standing } = this.progress;
      const waitedMs = asOf - wait.firstPostedAt - standing.heldMs;
      if (task.status === 'succeeded') {
        const trails = asOf - (succeededAt ?? asOf) < TIMEOUTS.resultGrace;
        if (!trails) throw failures.resultMissing(task, state, this.#input);
      } else if (wait.checked && waitedMs > this.#input.deadlineMs) {
        throw failures.deadlinePassed(task, Math.max(0, asOf - wait.bornAt), state, this.#input);
      }
      await this.#checkpoint({ standing, wait });
      const first = !wait.checked;
      const times = { ageMs: now - wait.bornAt, trailingMs: succeededAt === null ? null : now - succeededAt };
      await this.progress.pause(nextWait({ ...times, kind: task.kind, first, random: Math.random() }));
      wait = await this.#refresh(wait);
    }
  }

  async #refresh(wait: Wait): Promise<Wait> {
    const task = await this.#check(wait.task.taskId, wait);
    if (this.#input.taskId !== null) this.#ofModel(task);
    this.progress.update(seen(task, this.progress.state));
    const succeededAt = task.status === 'succeeded' ? (wait.succeededAt ?? Date.now()) : null;
    // A task grows no younger, even where the clocks behind a reply disagree: its checks would never slow down.
    const born = Math.min(wait.bornAt, bornAt(task, Date.now()));
    return { ...wait, task, bornAt: born, succeededAt, checked: true };
  }

  /** One status check of our own task, or (null) of one that somebody names. */
  async #check(taskId: string, wait: Wait | null, by?: UnansweredPost): Promise<TaskSnapshot> {
    const ours = this.#input.taskId === null && { baseKey: this.#key(1), keyNumber: this.progress.state.keyNumber };
    for (let tries = 0; ; tries++) {
      await this.progress.keepDistance();
      let end: CallEnd;
      try {
        const summary = `check ${this.progress.state.statusChecks + 1} of ${taskId}`;
        const input = { taskId, ...ours, ...(by !== undefined && { named: by }) };
        const result = await activities.check(this.#taskQueue, summary).rivyaCheck(input);
        this.progress.checked(result.checks, result.attributes);
        this.#linksOnly = result.linksOnly === true;
        return result.task;
      } catch (error) {
        end = callEnd(error);
      }
      this.progress.checked(end.details.attempts ?? 1);
      const early = wait !== null && Date.now() - wait.bornAt < TIMEOUTS.notFoundGrace;
      if (end.code === 'not_found' && early) await this.progress.pause(MIN_WAIT_MS);
      else if (by !== undefined) throw failures.notTaken(end);
      else if (wait === null && !needsOperator(end.code)) throw failures.callFailed(end, this.progress.state);
      else await this.#hold(end, tries, wait);
    }
  }

  /** Holds, or fails where the caller wants that. A hold that lasts continues as new like a wait. */
  async #hold(end: CallEnd, tries: number, wait: Wait | null): Promise<void> {
    if ((await this.progress.hold(end, tries)) !== null) return;
    await this.#checkpoint({ standing: this.progress.standing, wait });
  }

  async #store({ taskId, urls, createdAt, simulated }: TaskSnapshot): Promise<readonly StoredFile[]> {
    if (this.#linksOnly) return [];
    this.progress.update({ phase: 'storing' });
    const { model, body, labels } = this.#input;
    const { idempotencyKey: key, reservedCredits, finalCredits } = this.progress.state;
    const about = { model, body, labels, createdAt, simulated, idempotencyKey: key, reservedCredits, finalCredits };
    const { rivyaStore } = activities.store(this.#taskQueue, `store ${urls.length} file(s) of ${taskId}`);
    const { files } = await rivyaStore({ taskId, urls, workflowId: workflowInfo().workflowId, about });
    return files;
  }

  #key(number: number): string {
    const { namespace, workflowId } = workflowInfo();
    return this.#input.ownKey ?? idempotencyKey({ use: 'generation', namespace, workflowId, number });
  }
}
