import { createHash } from 'node:crypto';
import { asyncLocalStorage, type Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { rivyaAwait } from '../../activities/await.js';
import {
  errorCodeRow,
  FAILURE,
  NOTHING_KNOWN,
  type ErrorCode,
  type FailureDetails,
  type RivyaActivities,
  type StoredFile,
  type TaskError,
  type TaskSnapshot,
} from '../contract/index.js';

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

/** Each submit is refused with this code: the Workflow fails, or holds, as the table of codes says. */
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
  /** How often each Activity was called for a step. */
  calls(step: string): Readonly<Record<keyof RivyaActivities, number>>;
}

interface Made {
  readonly step: string;
  readonly taskId: string;
  readonly model: string;
  readonly outcome: FakeSucceeded | FakeFailed;
  checks: number;
}

/**
 * Activities that come to the outcome you name, for tests of your own Workflows without the API. A key names a step of
 * `generate`, or a generation of its own: its Workflow ID, the part of it behind the last `/` (which is the step that
 * started it), or the `taskId` that it takes up; `'*'` is for all others. Several outcomes are those of its paid
 * attempts, the last one also of those after it.
 *
 * @throws TypeError for an outcome that no Workflow would ever see.
 */
export function fakeActivities(
  outcomes: Readonly<Record<string, FakeOutcome | readonly FakeOutcome[]>>,
): FakeActivities {
  for (const [step, outcome] of Object.entries(outcomes)) for (const one of list(outcome)) check(step, one);
  const counts = new Map<string, Record<keyof RivyaActivities, number>>();
  const made = new Map<string, Made>();
  const held = new Set<string>();

  const outcomeOf = (names: Names, attempt: number): { step: string; outcome: FakeOutcome } => {
    const step = names.find((name) => Object.hasOwn(outcomes, name)) ?? names[0];
    const outcome = list(outcomes[step] ?? outcomes['*'] ?? []);
    const chosen = outcome[Math.min(attempt, outcome.length) - 1];
    if (chosen !== undefined) return { step, outcome: chosen };
    throw failure(
      FAILURE.InvalidInput,
      `fakeActivities has no outcome for ${names.map((name) => JSON.stringify(name)).join(' or ')}, only for ${Object.keys(outcomes).join(', ')}.`,
    );
  };
  const count = (step: string, name: keyof RivyaActivities): void => {
    const calls = counts.get(step) ?? none();
    counts.set(step, { ...calls, [name]: calls[name] + 1 });
  };
  /** Throws what the API says to this submit, if it refuses it. */
  const refuse = (outcome: FakeOutcome, idempotencyKey: string): void => {
    if ('fails' in outcome) throw failure(outcome.fails);
    if (!('holds' in outcome) || held.has(idempotencyKey)) return;
    held.add(idempotencyKey);
    throw failure(outcome.holds);
  };
  const taskOf = (taskId: string): Made => {
    const known = made.get(taskId);
    if (known !== undefined) return known;
    // A task that somebody named, of an earlier day.
    const { step, outcome } = outcomeOf([taskId, ...ownNames()], 1);
    if (!('urls' in outcome || 'taskFails' in outcome)) throw failure('not_found', `No task ${taskId}.`);
    const task = { step, taskId, model: '', outcome, checks: 0 };
    made.set(taskId, task);
    return task;
  };

  const activities: RivyaActivities = {
    rivyaSubmit: async ({ idempotencyKey, identity, body }) => {
      const names: Names = identity?.step == null ? ownNames() : [identity.step];
      const { step, outcome } = outcomeOf(names, identity?.attempt ?? 1);
      count(step, 'rivyaSubmit');
      const known = made.get(idempotencyKey);
      if (known !== undefined) return { task: snapshot(known), sinceFirstPostMs: 0, reused: true };
      refuse(outcome, idempotencyKey);
      if (!('urls' in outcome || 'taskFails' in outcome)) {
        throw wrong(step, 'is an answer of a chat; a generation needs { urls }');
      }
      const { model } = JSON.parse(body) as { model: string };
      const task = { step, taskId: `fake_${idempotencyKey}`, model, outcome, checks: 0 };
      made.set(idempotencyKey, task).set(task.taskId, task);
      return { task: snapshot(task), sinceFirstPostMs: 0, reused: false };
    },
    rivyaCheck: async ({ taskId }) => {
      const task = taskOf(taskId);
      count(task.step, 'rivyaCheck');
      task.checks++;
      return { task: snapshot(task), checks: 1 };
    },
    rivyaStore: async ({ taskId }) => {
      const { step, outcome } = taskOf(taskId);
      count(step, 'rivyaStore');
      return { files: 'files' in outcome && outcome.files !== undefined ? outcome.files : [] };
    },
    rivyaChat: async ({ idempotencyKey, identity, body }) => {
      const { step, outcome } = outcomeOf([identity?.step ?? ''], 1);
      count(step, 'rivyaChat');
      refuse(outcome, idempotencyKey);
      if (!('says' in outcome)) throw wrong(step, 'is no answer of a chat, which needs { says }');
      const { model, session_id: session } = JSON.parse(body) as { model: string; session_id?: string };
      const { says: content, credits = null } = outcome;
      const answer = {
        id: `fake_${idempotencyKey}`,
        sessionId: session ?? `fake_session_${idempotencyKey}`,
        messageId: null,
        content,
        truncated: false,
        model,
        usage: { inputTokens: null, outputTokens: null, totalTokens: null },
        reservedCredits: credits,
        finalCredits: credits,
        createdAt: new Date().toISOString(),
        simulated: true,
      };
      return { answer, idempotencyKey, reused: false };
    },
    // No file is read.
    rivyaUpload: async ({ field, kind, source, step = ownNames()[0] }) => {
      count(step, 'rivyaUpload');
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
    rivyaAwait: (input) => {
      count(lastPart(input.workflowId), 'rivyaAwait');
      return rivyaAwait(input);
    },
    // Models have no price here, as outcomes belong to steps.
    rivyaEstimate: async ({ models }) => ({
      prices: Object.fromEntries(models.map((model) => [model, null])),
      currentCredits: null,
    }),
  };
  const none = (): Record<keyof RivyaActivities, number> =>
    Object.fromEntries(Object.keys(activities).map((name) => [name, 0])) as Record<keyof RivyaActivities, number>;
  return { activities, calls: (step) => counts.get(step) ?? none() };
}

function list(outcome: FakeOutcome | readonly FakeOutcome[]): readonly FakeOutcome[] {
  return Array.isArray(outcome) ? (outcome as readonly FakeOutcome[]) : [outcome as FakeOutcome];
}

/** What a generation may be called in `outcomes`, first the name by which its calls are counted otherwise. */
type Names = readonly [string, ...string[]];

/** What a generation that is no step of `generate` may be called: its Workflow ID, or the step that started it. */
function ownNames(): Names {
  const id = execution()?.workflowId ?? '';
  const step = lastPart(id);
  return step === id ? [id] : [step, id];
}

/** The Workflow that calls; undefined where a test calls the fakes by itself, as `fakeWorkflows` does. */
function execution(): Info['workflowExecution'] {
  return asyncLocalStorage.getStore()?.info.workflowExecution;
}

/** The step, where the Workflow is a child that a step has started. */
function lastPart(workflowId: string): string {
  return workflowId.slice(workflowId.lastIndexOf('/') + 1);
}

function wrong(step: string, problem: string): ApplicationFailure {
  return failure(FAILURE.InvalidInput, `fakeActivities: the outcome of ${JSON.stringify(step)} ${problem}.`);
}

function check(step: string, outcome: FakeOutcome): void {
  const code = 'fails' in outcome ? outcome.fails : 'holds' in outcome ? outcome.holds : null;
  if (code === null || code === FAILURE.SubmitUnresolved) return;
  const { retried, actor } = errorCodeRow(code, null);
  const problem = retried
    ? 'is repeated by Temporal until it passes, so a Workflow never sees it; use the emulator and its faults'
    : 'holds' in outcome && actor !== 'operator'
      ? 'is nothing that a person could mend, so it fails; write { fails }'
      : null;
  if (problem !== null) throw new TypeError(`fakeActivities: ${step}: ${code} ${problem}.`);
}

function snapshot({ taskId, model, outcome, checks }: Made): TaskSnapshot {
  const { credits = null } = outcome;
  const ended = checks >= (outcome.checks ?? 0);
  const failed = 'taskFails' in outcome;
  const now = new Date().toISOString();
  return {
    taskId,
    status: !ended ? 'processing' : failed ? 'failed' : 'succeeded',
    model: model === '' ? null : model,
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

/** A failure as the real Activities throw it when nothing is repeated. */
function failure(code: string, message?: string): ApplicationFailure {
  const { httpStatus, meaning, action } = errorCodeRow(code, 400);
  const runId = execution()?.runId;
  const details: FailureDetails = { ...NOTHING_KNOWN, code, httpStatus, action, ...(runId !== undefined && { runId }) };
  return ApplicationFailure.nonRetryable(message ?? meaning, code, details);
}
