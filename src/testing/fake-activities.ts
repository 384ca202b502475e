import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { asyncLocalStorage, type Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { rivyaResult } from '../../activities/result.js';
import {
  errorCodeRow,
  FAILURE,
  NOTHING_KNOWN,
  UNKNOWN_FINGERPRINT,
  type ErrorCode,
  type FailureDetails,
  type PaidCallInput,
  type PaidCallResult,
  type RivyaActivities,
  type StoredFile,
  type TaskError,
  type TaskSnapshot,
} from '../contract/index.js';
import { UNRESOLVED, type Paid } from '../policy/index.js';

interface FakeTask {
  /** Credits reserved, and in the end taken. Default: not told. */
  readonly credits?: number;
  /**
   * Status checks until the task has ended. Default 0: it has ended when it is accepted, so that a test waits for no
   * timer. Each costs 2 to 10 s on a server that does not skip time.
   */
  readonly checks?: number;
}

/** The task succeeds. */
export interface FakeSucceeded extends FakeTask {
  readonly urls: readonly string[];
  /** What the store says. Default: none, as from a Worker without a store. */
  readonly files?: readonly StoredFile[];
}

/** The task is accepted and ends `failed`. */
export interface FakeFailed extends FakeTask {
  readonly taskFails: TaskError | (string & {});
}

/** Each submit is refused with this code: the generation fails, or holds, as the table of codes says. */
export interface FakeRefused {
  readonly fails: ErrorCode;
}

/** The first submit is one that holds; once the generation is resumed, the task succeeds. */
export interface FakeHeld extends FakeSucceeded {
  readonly holds: ErrorCode | typeof FAILURE.SubmitUnresolved;
}

/** A chat is answered. */
export interface FakeAnswered {
  readonly says: string;
  /** Credits reserved and taken. Default: not told. */
  readonly credits?: number;
}

/** The first submit of a chat is one that holds; once it is resumed, it is answered. */
export interface FakeHeldAnswer extends FakeAnswered {
  readonly holds: ErrorCode | typeof FAILURE.SubmitUnresolved;
}

export type FakeOutcome = FakeSucceeded | FakeFailed | FakeRefused | FakeHeld | FakeAnswered | FakeHeldAnswer;

export interface FakeActivities {
  /** For a Worker, by their registered names. Calls run on `<queue>-api` and `<queue>`. */
  readonly activities: RivyaActivities;
  /** How often each Activity was called for a step, a Workflow ID or a task ID. */
  calls(name: string): Readonly<Record<keyof RivyaActivities, number>>;
}

/** The Workflow of a call that comes from no Worker. */
export const caller = new AsyncLocalStorage<NonNullable<Info['workflowExecution']>>();

interface Made {
  readonly taskId: string;
  readonly model: string | null;
  readonly outcome: FakeSucceeded | FakeFailed;
  checks: number;
}

/**
 * Activities that come to the outcome you name, for tests of your own Workflows without the API. A key names a step (the
 * last part of the Workflow ID `<parent>/<step>`), a whole Workflow ID, or the `taskId` that a generation takes up; `'*'` is
 * for all others. Several outcomes are those of its paid attempts, the last one also of those after it.
 * @throws TypeError for an outcome that no Workflow would ever see.
 */
export function fakeActivities(
  outcomes: Readonly<Record<string, FakeOutcome | readonly FakeOutcome[]>>,
): FakeActivities {
  for (const [name, outcome] of Object.entries(outcomes)) for (const one of list(outcome)) check(name, one);
  const log: { readonly activity: string; readonly names: readonly string[] }[] = [];
  const tasks = new Map<string, Made>();
  const answers = new Map<string, PaidCallResult<unknown>>();
  const held = new Set<string>();
  /** Models of the submits, by Workflow ID. */
  const modelOf = new Map<string, string>();

  /** Notes a call. Returns what an outcome for it may be called, the most special name first. */
  const called = (
    activity: keyof RivyaActivities,
    { workflowId = execution()?.workflowId ?? '', taskId }: { workflowId?: string; taskId?: string } = {},
  ): readonly string[] => {
    const step = workflowId.slice(workflowId.lastIndexOf('/') + 1);
    const names = [...new Set([...(taskId === undefined ? [] : [taskId]), workflowId, step])];
    log.push({ activity, names });
    return names;
  };
  const outcomeOf = (names: readonly string[], attempt: number): FakeOutcome => {
    const name = names.find((one) => Object.hasOwn(outcomes, one)) ?? '*';
    const outcome = list(outcomes[name] ?? []);
    const chosen = outcome[Math.min(attempt, outcome.length) - 1];
    if (chosen !== undefined) return chosen;
    const asked = names.map((one) => JSON.stringify(one)).join(' or ');
    throw wrong(`there is no outcome for ${asked}, only for ${Object.keys(outcomes).join(', ')}`);
  };
  /** What a paid call comes to: one answer for each attempt, however often it is asked for. */
  const pay = <Answer>(
    { idempotencyKey, baseKey, attempt }: PaidCallInput,
    paid: Paid,
    names: readonly string[],
    answerOf: (outcome: FakeOutcome) => Answer,
  ): PaidCallResult<Answer> => {
    const lookedBy = execution()?.runId ?? '';
    // Not by the key: a hold in which it was only refused ends with another one.
    const id = `${baseKey} ${attempt}`;
    const known = answers.get(id) as PaidCallResult<Answer> | undefined;
    if (known !== undefined) return { ...known, reused: true, lookedBy };
    const outcome = outcomeOf(names, attempt);
    if ('fails' in outcome) throw refused(outcome.fails, paid);
    if ('holds' in outcome && !held.has(id)) {
      held.add(id);
      throw refused(outcome.holds, paid);
    }
    const answer = answerOf(outcome);
    const result = {
      answer,
      position: null,
      idempotencyKey,
      firstPostedAt: null,
      sinceFirstPostMs: 0,
      reused: false,
      lookedBy,
    };
    answers.set(id, result);
    return result;
  };
  const taskOf = (taskId: string, names: readonly string[]): Made => {
    const known = tasks.get(taskId);
    if (known !== undefined) return known;
    // A task that somebody names, for example one of an earlier day.
    const outcome = outcomeOf(names, 1);
    if (!makesTask(outcome)) throw failure('not_found', `No task ${taskId}.`);
    const task = { taskId, model: null, outcome, checks: 0 };
    tasks.set(taskId, task);
    return task;
  };

  const activities: RivyaActivities = {
    rivyaSubmit: async (input) => {
      const names = called('rivyaSubmit');
      modelOf.set(execution()?.workflowId ?? '', input.model);
      return pay(input, 'task', names, (outcome) => {
        if (!makesTask(outcome)) throw wrong(`${names.join(' or ')}: a generation needs { urls }, this answers a chat`);
        const task = { taskId: `fake_${input.idempotencyKey}`, model: input.model, outcome, checks: 0 };
        tasks.set(task.taskId, task);
        return snapshot(task);
      });
    },
    rivyaChat: async (input) => {
      const names = called('rivyaChat');
      return pay(input, 'answer', names, (outcome) => {
        if (!('says' in outcome)) throw wrong(`${names.join(' or ')}: a chat needs { says }, this is a generation`);
        const { session_id: session } = JSON.parse(input.body) as { session_id?: string };
        const { says: content, credits = null } = outcome;
        return {
          id: `fake_${input.idempotencyKey}`,
          sessionId: session ?? `fake_session_${input.idempotencyKey}`,
          messageId: null,
          content,
          truncated: false,
          model: input.model,
          usage: { inputTokens: null, outputTokens: null, totalTokens: null },
          reservedCredits: credits,
          finalCredits: credits,
          createdAt: new Date().toISOString(),
          simulated: true,
        };
      });
    },
    rivyaCheck: async ({ taskId }) => {
      const task = taskOf(taskId, called('rivyaCheck', { taskId }));
      task.checks++;
      // What a person names after an unanswered submit is what that submit has made.
      const model = task.model ?? modelOf.get(execution()?.workflowId ?? '') ?? null;
      return { task: snapshot({ ...task, model }), checks: 1 };
    },
    rivyaStore: async ({ taskId }) => {
      const { outcome } = taskOf(taskId, called('rivyaStore', { taskId }));
      return { files: 'files' in outcome && outcome.files !== undefined ? outcome.files : [] };
    },
    // No file is read.
    rivyaUpload: async ({ field, kind, source }) => {
      called('rivyaUpload');
      const sha256 = createHash('sha256').update(JSON.stringify(source)).digest('hex');
      return {
        sha256,
        url: `https://fake.invalid/${sha256}`,
        durationToken: kind === 'image' ? null : `fake_${field}`,
        durationSeconds: null,
        fileId: `file_${sha256.slice(0, 16)}`,
        bytes: 1,
        mimeType: { image: 'image/png', video: 'video/mp4', audio: 'audio/mpeg' }[kind],
        fingerprint: 'fake',
        api: 'https://fake.invalid',
        remembered: false,
        simulated: true,
      };
    },
    // It asks Temporal alone, so nothing about it is a fake.
    rivyaResult: (input) => {
      called('rivyaResult', input);
      return rivyaResult(input);
    },
    // Models have no price here, as outcomes belong to steps.
    rivyaEstimate: async ({ models }) => {
      called('rivyaEstimate');
      return { prices: Object.fromEntries(models.map((model) => [model, null])), currentCredits: null };
    },
  };
  return {
    activities,
    calls: (name) => {
      const count = (of: string): number =>
        log.filter((call) => call.activity === of && call.names.includes(name)).length;
      const counts = Object.keys(activities).map((activity) => [activity, count(activity)]);
      return Object.fromEntries(counts) as Record<keyof RivyaActivities, number>;
    },
  };
}

function list(outcome: FakeOutcome | readonly FakeOutcome[]): readonly FakeOutcome[] {
  return Array.isArray(outcome) ? (outcome as readonly FakeOutcome[]) : [outcome as FakeOutcome];
}

function makesTask(outcome: FakeOutcome): outcome is FakeSucceeded | FakeFailed {
  return 'urls' in outcome || 'taskFails' in outcome;
}

function execution(): Info['workflowExecution'] {
  return asyncLocalStorage.getStore()?.info.workflowExecution ?? caller.getStore();
}

function check(name: string, outcome: FakeOutcome): void {
  const code = 'fails' in outcome ? outcome.fails : 'holds' in outcome ? outcome.holds : null;
  if (code === null || code === FAILURE.SubmitUnresolved) return;
  const { retried, actor } = errorCodeRow(code, null);
  const problem = retried
    ? 'is repeated by Temporal until it passes, so a Workflow never sees it; use the emulator and its faults'
    : 'holds' in outcome && actor !== 'operator'
      ? 'is nothing that a person could mend, so it fails; write { fails }'
      : null;
  if (problem !== null) throw new TypeError(`fakeActivities: ${name}: ${code} ${problem}.`);
}

function snapshot({ taskId, model, outcome, checks }: Made): TaskSnapshot {
  const { credits = null } = outcome;
  const ended = checks >= (outcome.checks ?? 0);
  const failed = 'taskFails' in outcome;
  const now = new Date().toISOString();
  return {
    taskId,
    status: !ended ? 'processing' : failed ? 'failed' : 'succeeded',
    model,
    kind: null,
    reservedCredits: credits,
    finalCredits: ended ? credits : null,
    createdAt: now,
    updatedAt: now,
    ageMs: null,
    urls: ended && !failed ? outcome.urls : [],
    error: ended && failed ? { code: outcome.taskFails, message: 'as the test wants it' } : null,
    simulated: true,
    requestId: null,
  };
}

/** A submit that was refused, or has no answer, as the real Activities tell it. */
function refused(code: ErrorCode | typeof FAILURE.SubmitUnresolved, paid: Paid): ApplicationFailure {
  if (code !== FAILURE.SubmitUnresolved) return failure(code, undefined, { posted: true });
  const unanswered = { firstPostedAt: Date.now(), fingerprint: UNKNOWN_FINGERPRINT };
  const { action } = UNRESOLVED[paid];
  const standing = { httpStatus: null, action, posted: true, unanswered };
  return failure(code, 'A submit was sent and has no answer, as the test wants it.', standing);
}

function wrong(problem: string): ApplicationFailure {
  return failure(FAILURE.InvalidInput, `fakeActivities: ${problem}.`);
}

/** A failure as the real Activities throw it when nothing is repeated. */
function failure(code: string, message?: string, more: Partial<FailureDetails> = {}): ApplicationFailure {
  const { httpStatus, meaning, action } = errorCodeRow(code, 400);
  const runId = execution()?.runId;
  const facts = { ...NOTHING_KNOWN, code, httpStatus, action, looked: true, ...(runId !== undefined && { runId }) };
  return ApplicationFailure.nonRetryable(message ?? meaning, code, { ...facts, ...more });
}
