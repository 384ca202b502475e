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
  /** Credits that are reserved, and in the end taken. Default: unknown. */
  readonly credits?: number;
  /** Status checks until the task has ended. Default 0: it ends at once. Each costs 2 to 10 s unless the server skips time. */
  readonly checks?: number;
}

/** The task succeeds. */
export interface FakeSucceeded extends FakeTask {
  readonly urls: readonly string[];
  /** Files in the store. Default: none, as from a Worker without a store. */
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

/** A chat is answered. */
export interface FakeAnswered {
  readonly says: string;
  /** Credits reserved and taken. Default: unknown. */
  readonly credits?: number;
}

/** The step is held at its first submit; once it is resumed, it succeeds. */
export type FakeHeld = (FakeSucceeded | FakeAnswered) & { readonly holds: ErrorCode | typeof FAILURE.SubmitUnresolved };

/** Outcome of a step: of a generation, or of a chat. */
export type FakeOutcome = FakeSucceeded | FakeFailed | FakeRefused | FakeAnswered | FakeHeld;

/** Activities with the outcomes of `fakeActivities`. */
export interface FakeActivities {
  /** For a Worker, by their registered names. Calls run on `<queue>-api` and `<queue>`. */
  readonly activities: Faked;
  /** How often each Activity was called for a step, a Workflow ID or a task ID. */
  calls(name: string): Readonly<Record<keyof Faked, number>>;
}

/** Batches and the account run on the emulator: they are no steps of a Workflow. */
type Faked = Omit<
  RivyaActivities,
  'rivyaBatchTick' | 'rivyaAccountLook' | 'rivyaSetRate' | 'rivyaRelease' | 'rivyaRead'
>;

/** The Workflow of a call outside of any Worker. */
export const caller = new AsyncLocalStorage<NonNullable<Info['workflowExecution']>>();

interface TaskOfFake {
  readonly taskId: string;
  readonly model: string | null;
  readonly outcome: FakeSucceeded | FakeFailed;
  checks: number;
}

/**
 * Activities with outcomes that you name, for tests of your own Workflows without the API. A key names a step (the last
 * part of the Workflow ID `<parent>/<step>`), a whole Workflow ID, or the `taskId` of a generation's input; `'*'` is for all
 * others. Of several outcomes each is for one paid attempt, the last one also for those after it.
 * @throws TypeError for an outcome that no Workflow would ever see.
 */
export function fakeActivities(
  outcomes: Readonly<Record<string, FakeOutcome | readonly FakeOutcome[]>>,
): FakeActivities {
  for (const [name, outcome] of Object.entries(outcomes)) for (const each of listOf(outcome)) checkOutcome(name, each);
  const log: (readonly [activity: string, names: readonly string[]])[] = [];
  const tasks = new Map<string, TaskOfFake>();
  const answers = new Map<string, PaidCallResult<unknown>>();
  const held = new Set<string>();
  /** Models of the submits, by Workflow ID. */
  const modelOf = new Map<string, string>();

  /** Notes a call. Returns the keys under which it may have an outcome, the most special one first. */
  const called = (
    activity: keyof Faked,
    { workflowId = execution()?.workflowId ?? '', taskId }: { workflowId?: string; taskId?: string } = {},
  ): readonly string[] => {
    const step = workflowId.slice(workflowId.lastIndexOf('/') + 1);
    const names = [...new Set([...(taskId === undefined ? [] : [taskId]), workflowId, step])];
    log.push([activity, names]);
    return names;
  };
  const outcomeFor = (names: readonly string[], attempt: number): FakeOutcome => {
    const outcome = listOf(outcomes[names.find((name) => Object.hasOwn(outcomes, name)) ?? '*'] ?? []);
    const chosen = outcome[Math.min(attempt, outcome.length) - 1];
    if (chosen !== undefined) return chosen;
    const asked = names.map((name) => JSON.stringify(name)).join(' or ');
    throw wrong(`there is no outcome for ${asked}, only for ${Object.keys(outcomes).join(', ')}`);
  };
  /** The result of a paid call: one answer for each attempt, however often it is asked for. */
  const paidCall = <Answer>(
    { idempotencyKey, baseKey, attempt }: PaidCallInput,
    paid: Paid,
    names: readonly string[],
    answerOf: (outcome: FakeOutcome) => Answer,
  ): PaidCallResult<Answer> => {
    const lookedBy = execution()?.runId ?? '';
    // Not by the idempotency key: after a hold with refusals alone there is another one.
    const id = `${baseKey} ${attempt}`;
    const known = answers.get(id) as PaidCallResult<Answer> | undefined;
    if (known !== undefined) return { ...known, reused: true, lookedBy };
    const outcome = outcomeFor(names, attempt);
    if ('fails' in outcome) throw refused(outcome.fails, paid);
    if ('holds' in outcome && !held.has(id)) {
      held.add(id);
      throw refused(outcome.holds, paid);
    }
    const posted = { position: null, firstPostedAt: null, sinceFirstPostMs: 0, reused: false };
    const result = { answer: answerOf(outcome), idempotencyKey, lookedBy, ...posted };
    answers.set(id, result);
    return result;
  };
  const taskOf = (taskId: string, names: readonly string[]): TaskOfFake => {
    const known = tasks.get(taskId);
    if (known !== undefined) return known;
    // A task that a person names, for example one of an earlier day.
    const outcome = outcomeFor(names, 1);
    if (!makesTask(outcome)) throw failure('not_found', `No task ${taskId}.`);
    const task = { taskId, model: null, outcome, checks: 0 };
    tasks.set(taskId, task);
    return task;
  };

  const activities: Faked = {
    rivyaSubmit: async (input) => {
      const names = called('rivyaSubmit');
      modelOf.set(execution()?.workflowId ?? '', input.model);
      return paidCall(input, 'task', names, (outcome) => {
        if (!makesTask(outcome)) throw wrong(`${names.join(' or ')}: a generation needs { urls }, this answers a chat`);
        const task = { taskId: `fake_${input.idempotencyKey}`, model: input.model, outcome, checks: 0 };
        tasks.set(task.taskId, task);
        return snapshot(task);
      });
    },
    rivyaChat: async (input) => {
      const names = called('rivyaChat');
      return paidCall(input, 'answer', names, (outcome) => {
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
      // A task that a person names after an unanswered POST is of the model of that POST.
      const model = task.model ?? modelOf.get(execution()?.workflowId ?? '') ?? null;
      return { task: snapshot({ ...task, model }), checks: 1 };
    },
    rivyaStore: async ({ taskId }) => {
      const { outcome } = taskOf(taskId, called('rivyaStore', { taskId }));
      return { files: 'files' in outcome && outcome.files !== undefined ? outcome.files : [] };
    },
    // Reads no file.
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
    // No fake: it calls Temporal alone.
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
      const own = log.filter(([, names]) => names.includes(name));
      const count = (of: string): number => own.filter(([activity]) => activity === of).length;
      const counts = Object.keys(activities).map((activity) => [activity, count(activity)]);
      return Object.fromEntries(counts) as Record<keyof RivyaActivities, number>;
    },
  };
}

function listOf(outcome: FakeOutcome | readonly FakeOutcome[]): readonly FakeOutcome[] {
  return [outcome].flat();
}

function makesTask(outcome: FakeOutcome): outcome is FakeSucceeded | FakeFailed {
  return 'urls' in outcome || 'taskFails' in outcome;
}

function execution(): Info['workflowExecution'] {
  return asyncLocalStorage.getStore()?.info.workflowExecution ?? caller.getStore();
}

function checkOutcome(name: string, outcome: FakeOutcome): void {
  const code = 'fails' in outcome ? outcome.fails : 'holds' in outcome ? outcome.holds : null;
  if (code === null || code === FAILURE.SubmitUnresolved) return;
  const refuse = (problem: string): never => {
    throw new TypeError(`fakeActivities: ${name}: ${code} ${problem}.`);
  };
  const { retried, actor } = errorCodeRow(code, null);
  if (retried) refuse('is repeated by Temporal, so a Workflow never sees it; use the emulator and its faults');
  if ('holds' in outcome && actor !== 'operator') refuse('is nothing that a person can correct; write { fails }');
}

function snapshot({ taskId, model, outcome, checks }: TaskOfFake): TaskSnapshot {
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

/** Failure of a submit that was refused, or that has no answer, as from the real Activities. */
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

/** A failure that is not repeated, as from the real Activities. */
function failure(code: string, message?: string, more: Partial<FailureDetails> = {}): ApplicationFailure {
  const { httpStatus, meaning, action } = errorCodeRow(code, 400);
  const runId = execution()?.runId;
  const facts = { ...NOTHING_KNOWN, code, httpStatus, action, looked: true, ...(runId !== undefined && { runId }) };
  return ApplicationFailure.nonRetryable(message ?? meaning, code, { ...facts, ...more });
}
