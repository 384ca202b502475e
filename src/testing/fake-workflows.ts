import { ApplicationFailure } from '@temporalio/common';
import {
  FAILURE,
  type FailureDetails,
  type GenerateMediaInput,
  type SubmitInput,
  type TaskSnapshot,
} from '../contract/index.js';
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
import { idProblem } from '../../workflows/child.js';
import { modelsOf } from '../../workflows/estimate.js';
import * as failures from '../../workflows/failure.js';
import { checkedSteps, outcomeOf } from '../../workflows/generate-all.js';
import * as real from '../../workflows/index.js';
import { invalidInput } from '../../workflows/input.js';
import { atStart } from '../../workflows/progress.js';
import { checkStep } from '../../workflows/steps.js';
import type { FakeActivities } from './fake-activities.js';

const PARENT = 'fake';

/**
 * The module `rivya-temporal/workflows` for unit tests that call your Workflow as a plain function: `generate`,
 * `startGeneration`, `generateAll`, `chat` and `estimateCredits` come to the outcomes of these fakes, in no time and without
 * Temporal. Mock the module with it. Inputs are checked and failures are made as in a Workflow.
 *
 * Each call is one of a Workflow of its own: a name that is used twice is not noticed, and nothing is reused. Nobody waits for
 * a person here: what `{ holds }` is resumed at once, and a step that would stay held throws. Whatever else
 * your Workflow takes from `@temporalio/workflow` (timers, handlers, child Workflows) does not work outside of one: for
 * that use `createTestEnvironment`.
 */
export function fakeWorkflows({ activities }: Pick<FakeActivities, 'activities'>): typeof real {
  let calls = 0;
  const generate: typeof real.generate = async (request, { step }) => {
    checkStep(step);
    const input = checked(() => readInput(request));
    const call = ++calls;
    for (let attempt = 1; ; attempt++) {
      const key = keyOf(input, { call, step, attempt });
      const { task, checks, reused } = await taskOf(input, { step, attempt, key });
      const { taskId, model, reservedCredits, finalCredits, urls, simulated, createdAt, updatedAt } = task;
      const idempotencyKey = input.taskId === null ? key : null;
      const state = { ...stateOf(input, idempotencyKey), taskId, reservedCredits, finalCredits };
      if (task.status === 'failed') {
        if (attempt < input.maxAttempts && mayAttemptAgain(task.error?.code ?? null)) continue;
        throw failures.generationFailed(task, state, input);
      }
      if (model !== null && model !== input.model) throw failures.otherModel(task, state, input);
      // A Workflow waits for a link for 5 min.
      if (urls.length === 0) throw failures.resultMissing(task, state, input);
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
    { step, attempt, key }: { readonly step: string; readonly attempt: number; readonly key: string },
  ): Promise<{ task: TaskSnapshot; checks: number; reused: boolean }> {
    const { taskId } = input;
    const submitted =
      taskId === null
        ? await paid(input, () => activities.rivyaSubmit(submitOf(input, { step, attempt, key })))
        : await activities.rivyaCheck({ taskId });
    let { task } = submitted;
    let checks = taskId === null ? 0 : 1;
    for (; task.status !== 'succeeded' && task.status !== 'failed'; checks++) {
      ({ task } = await activities.rivyaCheck({ taskId: task.taskId }));
    }
    return { task, checks, reused: taskId !== null };
  }

  const chat: typeof real.chat = async (request, { step }) => {
    checkStep(step);
    const input = checked(() => readChat(request));
    const submit = submitOf(input, { step, attempt: 1, key: keyOf(input, { call: ++calls, step, attempt: 1 }) });
    const { answer, ...reply } = await paid(input, () => activities.rivyaChat(submit), 'answer');
    const { id: _, ...told } = answer;
    return { ...told, ...reply, model: answer.model ?? input.model };
  };

  const generateAll: typeof real.generateAll = async (requests) => {
    checkedSteps(requests, checkedChild);
    const ends = await Promise.allSettled(requests.map(({ step, ...input }) => generate(input, { step })));
    return ends.map((end, index) => outcomeOf(end, requests[index]?.step ?? ''));
  };

  const startGeneration: typeof real.startGeneration = async (request, options) => {
    checkedChild(request, options.step);
    const result = generate(request, options);
    // Nobody has to ask for it.
    result.catch(() => undefined);
    return { workflowId: `${PARENT}/${options.step}`, result: () => result };
  };

  const estimateCredits: typeof real.estimateCredits = async (requests) => {
    const models = modelsOf(requests);
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

function checkedChild(request: GenerateMediaInput, step: string, at = ''): void {
  checkStep(step);
  const problem = idProblem(step, `${PARENT}/${step}`);
  if (problem !== null) throw invalidInput(new InvalidInput('step', problem), at);
  checked(() => readInput(request), at);
}

interface Place {
  readonly step: string;
  readonly attempt: number;
}

function keyOf(
  { ownKey, take }: Generation | Chat,
  { call, step, attempt }: Place & { readonly call: number },
): string {
  return ownKey ?? `${PARENT}-${call}-${step}-${take}-${attempt}`;
}

function submitOf(
  { body, model, take, labels, idempotencyWindowMs }: Generation | Chat,
  { step, attempt, key }: Place & { readonly key: string },
): SubmitInput {
  return {
    idempotencyKey: key,
    identity: { step, take, attempt, model, labels, firstKey: key },
    body,
    digest: bodyDigest(body),
    idempotencyWindowMs,
    fence: null,
    riskAccepted: false,
  };
}
