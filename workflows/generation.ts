/**
 * One generation from its submit to its result: submits, waits, stores. It guarantees that a task ID, once seen, is in
 * state and memo, and that another attempt is paid only after a task has failed. `generateMedia` runs it. It has no
 * side effects of its own: Activities do. Deterministic.
 */
import { patched, workflowInfo } from '@temporalio/workflow';
import type {
  GenerationResult,
  SeenResult,
  StoredFile,
  TaskSnapshot,
  TaskTiming,
  UnansweredPost,
} from '../src/contract/index.js';
import {
  digestOf,
  expectedEnd,
  freshLinksDelay,
  idempotencyKey,
  isSettled,
  likenessOf,
  mayAttemptAgain,
  MIN_WAIT_MS,
  MINUTE,
} from '../src/policy/index.js';
import { needsOperator, nextAttempt, nextWait, resultOf, seen, summaryOf, TIMEOUTS } from '../src/policy/index.js';
import type { Generation, Resume } from '../src/policy/index.js';
import { activities } from './activities.js';
import * as failures from './failure.js';
import { callEnd, type CallEnd } from './failure.js';
import { countLag, countResult } from './metrics.js';
import { Progress, type CarriedProgress } from './progress.js';
import { uploadReferences } from './references.js';
import { NOT_POSTED, submit, type PaidAnswer } from './submission.js';

/** The state that a run passes to the next one when it continues as new. */
export interface CarriedGeneration {
  readonly standing: CarriedProgress;
  /** Null while the API has accepted no submit. */
  readonly wait: Wait | null;
  /** Where a person has changed it, in milliseconds; left out where the input counts. */
  readonly deadlineMs?: number;
}

/** The wait for an accepted task. Times are on the Workflow's clock. */
interface Wait {
  readonly task: TaskSnapshot;
  readonly firstPostedAt: number;
  readonly reused: boolean;
  /** When the task was created, by its age on the API's clock; when it was first seen where the API gives no age. */
  readonly bornAt: number;
  /** When the task was first seen to have succeeded, or null. */
  readonly succeededAt: number | null;
  /** False until the first status check. */
  readonly checked: boolean;
  /** What a person wants to have stored as it is. */
  readonly asIs?: SeenResult | undefined;
}

type Checkpoint = (next: CarriedGeneration) => Promise<void>;

export class GenerationRun {
  readonly progress: Progress;
  readonly #input: Generation;
  readonly #taskQueue: string;
  readonly #carried: CarriedGeneration | undefined;
  #likeness: string | undefined;
  #deadlineMs: number | undefined;
  #linksOnly = false;
  readonly #checkpoint: Checkpoint;

  /** @param checkpoint - Called between two calls to the API; may continue as new. */
  constructor(input: Generation, checkpoint: Checkpoint, carried?: CarriedGeneration) {
    this.#input = input;
    this.#taskQueue = input.taskQueue ?? workflowInfo().taskQueue;
    this.#checkpoint = checkpoint;
    this.#carried = carried;
    this.#deadlineMs = carried?.deadlineMs;
    const { model, labels, onActionNeeded, taskId } = input;
    const baseKey = taskId === null ? this.#key(1) : null;
    const subject = { paid: 'task', bodyDigest: digestOf(input.body), baseKey } as const;
    this.progress = new Progress({ ...subject, model, labels, onActionNeeded }, carried?.standing);
  }

  /** Has the wait end at another time, by a check that is made now. */
  changeDeadline(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs;
    this.progress.checkNow();
  }

  /** The state for the next run. */
  #next(wait: Wait | null): CarriedGeneration {
    const deadlineMs = this.#deadlineMs;
    return { standing: this.progress.carried, wait, ...(deadlineMs !== undefined && { deadlineMs }) };
  }

  async run(): Promise<GenerationResult> {
    // A new run starts without a memo.
    if (this.#carried !== undefined) this.progress.update({}, true);
    let wait = this.#carried?.wait ?? (await this.#begin());
    for (let [tries, holds] = [0, 0]; ; tries++) {
      wait = await this.#waitForEnd(wait);
      if (wait.task.status === 'failed') {
        this.#nextAttempt(wait.task);
        wait = await this.#begin();
        [tries, holds] = [-1, 0];
        continue;
      }
      try {
        const files = await this.#store(wait);
        this.progress.recordSuccess(files);
        countResult(this.#input.model, files, this.#isOurs(wait) ? wait.firstPostedAt : null);
        return resultOf(wait.task, files, wait.reused, this.progress.state);
      } catch (error) {
        const end = failures.asUnavailable(callEnd(error), wait.task);
        const delay = freshLinksDelay(tries, end.details.httpStatus ?? null);
        // Histories of 0.1.0-rc.1 hold after the second try.
        const again = delay !== null && (tries === 0 || patched('dead-links-for-two-minutes'));
        if (again) await this.progress.pause(delay);
        else if ((await this.#hold(end, holds++, wait))?.storeAsIs === true) {
          const { file = 1, beginning = '' } = end.details;
          wait = { ...wait, asIs: { file, beginning } };
        }
        wait = await this.#refresh(wait);
      }
    }
  }

  /** Submits the attempt, or asks for the task that the input names. */
  async #begin(): Promise<Wait> {
    const { taskId } = this.#input;
    const { answer: task, reused, sinceFirstPostMs } = await (taskId === null ? this.#submit() : this.#named(taskId));
    this.progress.clearUnanswered();
    const now = Date.now();
    const bornAt = now - (task.ageMs ?? 0);
    const expected = expectedEnd(task, { bornAt, now });
    this.progress.update({ ...seen(task, this.progress.state), expected, phase: 'waiting' }, true);
    return {
      task,
      reused,
      firstPostedAt: now - sinceFirstPostMs,
      bornAt,
      succeededAt: task.status === 'succeeded' ? now : null,
      checked: taskId !== null,
    };
  }

  async #named(taskId: string): Promise<PaidAnswer<TaskSnapshot>> {
    this.progress.update({ phase: 'submitting', taskId });
    return { ...NOT_POSTED, answer: this.#ofModel(await this.#check(taskId, null)) };
  }

  async #submit(): Promise<PaidAnswer<TaskSnapshot>> {
    const { idempotencyWindowMs, submitDeadlineMs, maxCredits, model, labels, ownKey } = this.#input;
    if (this.#input.references.length > 0 && this.progress.carried.request === null) {
      const hold = (end: CallEnd, tries: number) => this.#hold(end, tries, null);
      this.progress.fixRequest(await uploadReferences(this.#input, this.#taskQueue, this.progress, hold));
    }
    const request = this.progress.carried.request ?? { body: this.#input.body };
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
      checkpoint: () => this.#checkpoint(this.#next(null)),
    });
  }

  /**
   * The task, unless it is of another model. Where the API names no model, a task from the input is believed; a task that a
   * person names for an unanswered POST is not.
   */
  #ofModel(task: TaskSnapshot, by?: UnansweredPost): TaskSnapshot {
    if (task.model === this.#input.model || (task.model === null && by === undefined)) return task;
    throw failures.otherModel(task, this.progress.state, this.#input);
  }

  /** Moves on to the next attempt, or fails where no further attempt is allowed. */
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
      // Hours may have passed without a Worker since this answer: it says what was true when it was asked for.
      const asOf = task.askedAt ?? now;
      if (task.status === 'failed' || (task.status === 'succeeded' && task.urls.length > 0)) return wait;
      const { state, carried: standing } = this.progress;
      const waitedMs = asOf - wait.firstPostedAt - standing.heldMs;
      if (task.status === 'succeeded') {
        const trails = asOf - (succeededAt ?? asOf) < TIMEOUTS.resultGrace;
        if (!trails) throw failures.resultMissing(task, state, this.#input);
      } else if (wait.checked && waitedMs > this.#deadline) {
        const input = { ...this.#input, deadlineMs: this.#deadline };
        throw failures.deadlinePassed(task, Math.max(0, asOf - wait.bornAt), state, input);
      }
      await this.#checkpoint(this.#next(wait));
      const first = !wait.checked;
      const times = { ageMs: now - wait.bornAt, trailingMs: succeededAt === null ? null : now - succeededAt };
      const plannedMs = this.#plannedWait(task, now, waitedMs);
      await this.progress.pause(nextWait({ ...times, kind: task.kind, first, plannedMs, random: Math.random() }));
      wait = await this.#refresh(wait);
    }
  }

  async #refresh(wait: Wait): Promise<Wait> {
    const task = await this.#check(wait.task.taskId, wait);
    if (this.#input.taskId !== null) this.#ofModel(task);
    const expected = expectedEnd(task, { bornAt: wait.bornAt, now: Date.now() });
    if (task.status === 'succeeded' && wait.succeededAt === null && this.#isOurs(wait))
      countLag(this.#input.model, task);
    this.progress.update({ ...seen(task, this.progress.state), expected });
    const succeededAt = task.status === 'succeeded' ? (wait.succeededAt ?? Date.now()) : null;
    // Clocks behind two replies can disagree. The older age counts: with the younger one, checks would never slow down.
    const born = Math.min(wait.bornAt, Date.now() - (task.ageMs ?? 0));
    return { ...wait, task, bornAt: born, succeededAt, checked: true };
  }

  /**
   * One status check.
   * @param wait - The wait for our own task; null for a task that input or person names.
   * @param by - The unanswered POST that has made the task, as a person says.
   */
  async #check(taskId: string, wait: Wait | null, by?: UnansweredPost): Promise<TaskSnapshot> {
    const ours = this.#input.taskId === null && { baseKey: this.#key(1), keyNumber: this.progress.state.keyNumber };
    for (let tries = 0; ; tries++) {
      await this.progress.keepDistance();
      let end: CallEnd;
      try {
        const summary = summaryOf(`check ${this.progress.state.statusChecks + 1} of ${taskId}`);
        // The end of a task teaches its duration once: at the first check that finds it.
        const mayTeach = wait !== null && this.#isOurs(wait) && !isSettled(wait.task);
        const timing = mayTeach && { timing: this.#timing(wait) };
        const input = { taskId, ...ours, ...timing, ...(by !== undefined && { named: by }) };
        const result = await activities.check(this.#taskQueue, summary).rivyaCheck(input);
        this.progress.countChecks(result.checks, result.attributes);
        this.#linksOnly = result.linksOnly === true;
        return result.task;
      } catch (error) {
        end = callEnd(error);
      }
      this.progress.countChecks(end.details.attempts ?? 1);
      const early = wait !== null && Date.now() - wait.bornAt < TIMEOUTS.notFoundGrace;
      if (end.code === 'not_found' && early) await this.progress.pause(MIN_WAIT_MS);
      else if (by !== undefined) throw failures.namedTaskRefused(end);
      else if (wait === null && !needsOperator(end.code)) throw failures.callFailed(end, this.progress.state);
      else await this.#hold(end, tries, wait);
    }
  }

  /** Milliseconds until the planned check, or null. A plan ends at the deadline, where the wait does. */
  #plannedWait({ expectation, askedAt }: TaskSnapshot, now: number, waitedMs: number): number | null {
    if (expectation == null || expectation.checkInMs === null) return null;
    const { checkInMs } = expectation;
    // Without a Worker for so long, the planned check is overdue; less may be its turn under the limit.
    const overdue = now - (askedAt ?? now) > checkInMs + 5 * MINUTE;
    return overdue ? 0 : Math.max(0, Math.min(checkInMs, this.#deadline - waitedMs));
  }

  get #deadline(): number {
    return this.#deadlineMs ?? this.#input.deadlineMs;
  }

  /** True for a task that this run has made: of any other it does not know since when it runs. */
  #isOurs({ reused }: Wait): boolean {
    return !reused && this.#input.taskId === null;
  }

  #timing({ bornAt, task: { askedAt = bornAt } }: Wait): TaskTiming {
    // Of the body as it was posted, with its references: it does not change any more.
    this.#likeness ??= likenessOf((this.progress.carried.request ?? this.#input).body);
    const likeness = this.#likeness;
    return { model: this.#input.model, likeness, bornAt, runningAt: Math.max(askedAt, bornAt) };
  }

  /** Holds, or fails where the caller wants that. A hold that lasts continues as new like a wait. */
  async #hold(end: CallEnd, tries: number, wait: Wait | null): Promise<Resume | null> {
    const resumed = await this.progress.hold(end, tries);
    if (resumed === null || resumed.code !== null) await this.#checkpoint(this.#next(wait));
    return resumed;
  }

  async #store({ task, asIs }: Wait): Promise<readonly StoredFile[]> {
    const { taskId, urls, createdAt, simulated } = task;
    if (this.#linksOnly) return [];
    this.progress.update({ phase: 'storing' });
    const { model, body, labels } = this.#input;
    const { idempotencyKey: key, reservedCredits, finalCredits } = this.progress.state;
    const about = { model, body, labels, createdAt, simulated, idempotencyKey: key, reservedCredits, finalCredits };
    const { rivyaStore } = activities.store(this.#taskQueue, `store ${urls.length} file(s) of ${taskId}`);
    const place = { taskId, urls, workflowId: workflowInfo().workflowId };
    const { files } = await rivyaStore({ ...place, ...(asIs !== undefined && { asIs }), about });
    return files;
  }

  #key(number: number): string {
    const { namespace, workflowId } = workflowInfo();
    return this.#input.ownKey ?? idempotencyKey({ use: 'generation', namespace, workflowId, number });
  }
}
