import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import type { ChatResult, GenerationState, PaidCallInput, PaidCallResult, TaskSnapshot } from '../contract/index.js';
import {
  afterSubmit,
  creditEstimate,
  mayAttemptAgain,
  readChat,
  readInput,
  resultOf,
  seen,
  stateAtStart,
  type Chat,
  type Generation,
  type Paid,
} from '../policy/index.js';
import { chatStep } from '../../workflows/chat.js';
import { modelsOf } from '../../workflows/estimate.js';
import * as failures from '../../workflows/failure.js';
import { checkedSteps, outcomeOf } from '../../workflows/generate-all.js';
import { generationStep } from '../../workflows/generate.js';
import * as real from '../../workflows/index.js';
import { caller, type FakeActivities } from './fake-activities.js';

/** The Workflow ID of the user's Workflow. */
const PARENT = 'fake';
// Of all modules together, which may have the same Activities.
let steps = 0;

/**
 * The module `rivya-temporal/workflows` for unit tests that call your Workflow as a plain function. Mock the module with it:
 * `generate`, `startGeneration`, `generateAll`, `chat` and `estimateCredits` give the outcomes of these fakes at once, without
 * Temporal. Inputs are checked and failures are made as in a Workflow.
 *
 * Each call is a Workflow of its own: a step name that is used twice is not noticed, and nothing is reused. A step that
 * `{ holds }` is resumed at once, and a step that would stay held throws. Timers, handlers and child Workflows of
 * `@temporalio/workflow` do not work outside of a Workflow: for them use `createTestEnvironment`.
 */
export function fakeWorkflows({ activities }: Pick<FakeActivities, 'activities'>): typeof real {
  /** Runs a step as a Workflow of its own. */
  const run = <T>(workflowId: string, step: (baseKey: string) => Promise<T>): Promise<T> => {
    const baseKey = `fake-${++steps}`;
    return caller.run({ workflowId, runId: baseKey }, () => step(baseKey));
  };

  const startGeneration: typeof real.startGeneration = async (request, options) => {
    const { workflowId } = generationStep(request, options, '', PARENT);
    const result = run(workflowId, (baseKey) => generation(activities, readInput(request), workflowId, baseKey));
    // A result that nobody asks for may fail.
    result.catch(() => undefined);
    return { workflowId, result: () => result };
  };
  const generate: typeof real.generate = async (request, options) => (await startGeneration(request, options)).result();
  const generateAll: typeof real.generateAll = async (requests) => {
    checkedSteps(requests, (input, options, at) => generationStep(input, options, at, PARENT));
    const ends = await Promise.allSettled(requests.map(({ step, summary: _, ...input }) => generate(input, { step })));
    return ends.map((end, index) => outcomeOf(end, requests[index]?.step ?? ''));
  };
  const chat: typeof real.chat = async (request, options) => {
    const { workflowId } = chatStep(request, options, PARENT);
    return run(workflowId, (baseKey) => answer(activities, readChat(request), baseKey));
  };
  const estimateCredits: typeof real.estimateCredits = async (requests) => {
    const models = modelsOf(requests);
    return creditEstimate(models, await activities.rivyaEstimate({ models: [...new Set(models)] }));
  };
  return { ...real, generate, startGeneration, generateAll, chat, estimateCredits };
}

type Activities = FakeActivities['activities'];

/** A generation as in `generateMedia`, without a clock. */
async function generation(activities: Activities, input: Generation, workflowId: string, baseKey: string) {
  let statusChecks = 0;
  const check = async (taskId: string): Promise<TaskSnapshot> => {
    const { task, checks } = await activities.rivyaCheck({ taskId });
    statusChecks += checks;
    return task;
  };
  for (let attempt = 1; ; attempt++) {
    const { answer: accepted, idempotencyKey } =
      input.taskId === null
        ? await pay((call) => activities.rivyaSubmit(call), input, { baseKey, attempt }, 'task')
        : { answer: await check(input.taskId), idempotencyKey: null };
    let task = accepted;
    while (task.status !== 'succeeded' && task.status !== 'failed') task = await check(task.taskId);
    const { status, urls } = task;
    const start = { ...stateAtStart({ model: input.model, baseKey }), idempotencyKey, attempt, statusChecks };
    const state: GenerationState = { ...start, ...seen(task, start) };
    if (status === 'failed') {
      if (attempt < input.maxAttempts && mayAttemptAgain(task.error?.code ?? null)) continue;
      throw failures.generationFailed(task, state, input);
    }
    if (task.model !== null && task.model !== input.model) throw failures.otherModel(task, state, input);
    // A Workflow waits for a link for 5 min.
    if (urls.length === 0) throw failures.resultMissing(task, state, input);
    const { body, labels, model } = input;
    const { createdAt, simulated } = task;
    const { reservedCredits, finalCredits } = state;
    const about = { model, body, labels, idempotencyKey, createdAt, reservedCredits, finalCredits, simulated };
    const { files } = await activities.rivyaStore({ taskId: task.taskId, urls, workflowId, about });
    return resultOf(task, files, input.taskId !== null, state);
  }
}

/** An answer as in `rivyaChat`. */
async function answer(activities: Activities, input: Chat, baseKey: string): Promise<ChatResult> {
  const paid = await pay((call) => activities.rivyaChat(call), input, { baseKey, attempt: 1 }, 'answer');
  const { answer: given, idempotencyKey, reused } = paid;
  const { id: _, ...told } = given;
  return { ...told, model: input.model, idempotencyKey, reused };
}

/** The result of a paid call; a hold is resumed at once. */
async function pay<Answer>(
  call: (input: PaidCallInput) => Promise<PaidCallResult<Answer>>,
  { model, body, labels, idempotencyWindowMs, ownKey, onActionNeeded }: Generation | Chat,
  { baseKey, attempt }: Pick<PaidCallInput, 'baseKey' | 'attempt'>,
  paid: Paid,
): Promise<PaidCallResult<Answer> & { readonly answer: Answer }> {
  const idempotencyKey = ownKey ?? `${baseKey}-${attempt}`;
  const nothing = { unanswered: null, lookedBy: null, riskReason: null };
  const at = { baseKey, idempotencyKey, keyNumber: attempt, attempt, ...nothing };
  for (let resumed = false; ; resumed = true) {
    try {
      const result = await call({ model, body, labels, idempotencyWindowMs, ...at });
      if (result.answer !== null) return { ...result, answer: result.answer };
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      // The shape in which a Workflow gets it.
      const wrapped = new ActivityFailure(error.message, 'fake', '1', 'NON_RETRYABLE_FAILURE', 'fake', error);
      const end = failures.callEnd(wrapped);
      const next = afterSubmit({ code: end.code, unanswered: false, outOfTime: false });
      if (next === 'fail' || onActionNeeded === 'fail') {
        throw failures.callFailed(end, stateAtStart({ model, baseKey: idempotencyKey }), paid);
      }
      if (resumed) {
        throw new Error(
          `This step is held (${end.code}) for a person, and a plain function cannot wait for one. Nothing was paid. Write { holds: '${end.code}', … } for a hold that is resumed, set onActionNeeded: 'fail', or use createTestEnvironment.`,
          { cause: error },
        );
      }
    }
  }
}
