import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, type FailureDetails, type SubmitInput, type TaskSnapshot } from '../contract/index.js';
import {
  bodyDigest,
  creditEstimate,
  InvalidInput,
  mayAttemptAgain,
  needsOperator,
  readChat,
  readInput,
  type Chat,
  type Generation,
} from '../policy/index.js';
import * as failures from '../../workflows/failure.js';
import { outcomeOf } from '../../workflows/generate-all.js';
import * as real from '../../workflows/index.js';
import { invalidInput } from '../../workflows/input.js';
import { atStart } from '../../workflows/progress.js';
import type { FakeActivities } from './fake-activities.js';

const PARENT = 'fake';

/**
 * The module `rivya-temporal/workflows` for unit tests that call your Workflow as a plain function: `generate`,
 * `startGeneration`, `generateAll`, `chat` and `estimateCredits` come to the outcomes of these fakes, in no time and without
 * Temporal. Mock the module with it. Inputs are checked and failures are made as in a Workflow.
 *
 * Nobody waits for a person here: what `{ holds }` is resumed at once, and a step that would stay held throws. Whatever else
 * your Workflow takes from `@temporalio/workflow` (timers, handlers, child Workflows) does not work outside of one: for
 * that use `createTestEnvironment`.
 */
export function fakeWorkflows({ activities }: Pick<FakeActivities, 'activities'>): typeof real {
  const generate: typeof real.generate = async (request, { step }) => {
    const input = checked(() => readInput(request));
    for (let attempt = 1; ; attempt++) {
      const { task, checks, reused } = await taskOf(input, step, attempt);
      const { taskId, model, reservedCredits, finalCredits, urls, simulated, createdAt, updatedAt } = task;
      const idempotencyKey = input.taskId === null ? keyOf(step, attempt) : null;
      const state = { ...stateOf(input, idempotencyKey), taskId, reservedCredits, finalCredits };
      if (task.status === 'failed') {
        if (attempt < input.maxAttempts && mayAttemptAgain(task.error?.code ?? null)) continue;
        throw failures.generationFailed(task, state, input);
      }
      const { files } = await activities.rivyaStore({ taskId, urls, workflowId: PARENT, step, take: input.take });
      return {
        status: 'succeeded',
        taskId,
        model: model ?? input.model,
        idempotencyKey,
        reservedCredits,
        finalCredits,
        urls,
        primaryUrl: urls[0] ?? null,
        files,
        attempts: attempt,
        statusChecks: checks,
        reused,
        simulated,
        createdAt,
        updatedAt,
      };
    }
  };

  /** The task of an attempt, or the one that the input names, when it has ended. */
  async function taskOf(
    input: Generation,
    step: string,
    attempt: number,
  ): Promise<{ task: TaskSnapshot; checks: number; reused: boolean }> {
    const { taskId } = input;
    const submitted =
      taskId === null
        ? await paid(input, () => activities.rivyaSubmit(submitOf(input, step, attempt)))
        : await activities.rivyaCheck({ taskId });
    let { task } = submitted;
    let checks = taskId === null ? 0 : 1;
    for (; task.status !== 'succeeded' && task.status !== 'failed'; checks++) {
      ({ task } = await activities.rivyaCheck({ taskId: task.taskId }));
    }
    return { task, checks, reused: taskId !== null };
  }

  const chat: typeof real.chat = async (request, { step }) => {
    const input = checked(() => readChat(request));
    const { answer, ...reply } = await paid(input, () => activities.rivyaChat(submitOf(input, step, 1)), 'answer');
    const { id: _, ...told } = answer;
    return { ...told, ...reply, model: answer.model ?? input.model };
  };

  const generateAll: typeof real.generateAll = async (requests) => {
    for (const [index, { step: _, ...input }] of requests.entries()) checked(() => readInput(input), `[${index}].`);
    const ends = await Promise.allSettled(requests.map(({ step, ...input }) => generate(input, { step })));
    return ends.map((end, index) => outcomeOf(end, requests[index]?.step ?? ''));
  };

  const startGeneration: typeof real.startGeneration = async (request, options) => {
    checked(() => readInput(request));
    const result = generate(request, options);
    // Nobody has to ask for it.
    result.catch(() => undefined);
    return { workflowId: `${PARENT}/${options.step}`, result: () => result };
  };

  const estimateCredits: typeof real.estimateCredits = async (requests) => {
    const models = requests.map(({ model }) => model);
    return creditEstimate(models, await activities.rivyaEstimate({ models: [...new Set(models)] }));
  };

  return { ...real, generate, startGeneration, generateAll, chat, estimateCredits };
}

function checked<T>(read: () => T, at = ''): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof InvalidInput ? invalidInput(error, at) : error;
  }
}

/** Calls what pays; what holds is resumed at once. */
async function paid<T>(input: Generation | Chat, call: () => Promise<T>, what: 'task' | 'answer' = 'task'): Promise<T> {
  for (let resumed = false; ; resumed = true) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      const code = error.type ?? '';
      const details = error.details?.[0] as FailureDetails;
      const end = { code, message: error.message, details, fence: null, outOfTime: false };
      const holds = input.onActionNeeded === 'hold' && (needsOperator(code) || code === FAILURE.SubmitUnresolved);
      if (!holds) throw failures.callFailed(end, stateOf(input, null), what);
      if (resumed) {
        throw new Error(
          `This step is held (${code}) until a person mends it, for which a plain function cannot wait. Say { holds: '${code}', … } where somebody does, set onActionNeeded: 'fail', or use createTestEnvironment.`,
          { cause: error },
        );
      }
    }
  }
}

function stateOf({ model }: { readonly model: string }, key: string | null): ReturnType<typeof atStart>['state'] {
  return atStart({ model, key }).state;
}

function keyOf(step: string, attempt: number): string {
  return `${PARENT}-${step}-${attempt}`;
}

function submitOf(
  { body, model, take, labels, idempotencyWindowMs }: Generation | Chat,
  step: string,
  attempt: number,
): SubmitInput {
  const idempotencyKey = keyOf(step, attempt);
  return {
    idempotencyKey,
    identity: { step, take, attempt, model, labels, firstKey: idempotencyKey },
    body,
    digest: bodyDigest(body),
    idempotencyWindowMs,
    fence: null,
    riskAccepted: false,
  };
}
