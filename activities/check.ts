import { activityInfo, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import { FAILURE, type CheckInput, type CheckResult } from '../src/contract/index.js';
import { judgeCheck, MIN_WAIT_MS, retryDelay } from '../src/policy/index.js';
import { withKind, type ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';
import { whileBeating } from './heartbeat.js';

/** Asks for the status of a task. Each attempt is one GET; what can pass is repeated for as long as it takes. */
export async function rivyaCheck({ taskId }: CheckInput, dependencies: ActivityDependencies): Promise<CheckResult> {
  const { attempt } = activityInfo();
  try {
    const { task } = await whileBeating(undefined, () => dependencies.api.retrieveGeneration(taskId));
    log.info('checked', { taskId, status: task.status, requestId: task.requestId });
    return { task: withKind(task, dependencies), checks: attempt };
  } catch (error) {
    // An ID that cannot stand in a path will never work.
    if (error instanceof InvalidRequest) throw ApplicationFailure.nonRetryable(error.message, FAILURE.InvalidInput);
    if (!(error instanceof RivyaApiError)) throw error;
    throw callFailure(error, judgeCheck(error), {
      taskId,
      attempt,
      retryInMs: retryDelay({
        attempt,
        code: error.code,
        retryAfterMs: error.retryAfterMs,
        random: Math.random(),
        minMs: MIN_WAIT_MS,
      }),
    });
  }
}
