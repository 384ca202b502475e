import { activityInfo, log, sleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import { FAILURE, type CheckInput, type CheckResult } from '../src/contract/index.js';
import { earlyBy, judgeCheck, MIN_WAIT_MS } from '../src/policy/index.js';
import { noted, step, withKind, type ActivityDependencies } from './context.js';
import { callFailure, retryIn } from './failure.js';
import { Lease } from './lease.js';
import { refuseUnfit } from './named.js';

const ENDED = new Set(['succeeded', 'failed']);

/** Asks for the status of a task. Each attempt is one GET; what can pass is repeated for as long as it takes. */
export async function rivyaCheck(
  { taskId, baseKey, keyNumber, named }: CheckInput,
  dependencies: ActivityDependencies,
): Promise<CheckResult> {
  const { api, receipts, linksOnly = false, onStep } = dependencies;
  const { attempt, currentAttemptScheduledTimestampMs: dueAt } = activityInfo();
  if (attempt > 1) await sleep(earlyBy({ dueAt, now: Date.now(), minMs: MIN_WAIT_MS }));
  const lease = new Lease(dueAt);
  // A Worker that stood still may begin what was given to another one meanwhile, so it asks first.
  if (!lease.held()) await lease.renew(undefined);
  try {
    const { task } = await lease.keep(undefined, async () => {
      const answer = await step(onStep, 'GET', () => api.retrieveGeneration(taskId, () => lease.held()));
      if (named !== undefined) await refuseUnfit(answer.task, named, baseKey, receipts);
      const tells = named !== undefined || ENDED.has(answer.task.status);
      if (tells && baseKey !== undefined && keyNumber !== undefined && receipts !== null) {
        // It stands in the history as well, so a store that fails now is no reason to ask again.
        await noted(() => step(onStep, 'receipt', () => receipts.noteEnd(baseKey, keyNumber, answer.task)));
      }
      return answer;
    });
    log.info('checked', { taskId, status: task.status, requestId: task.requestId });
    return {
      task: { ...withKind(task, dependencies), askedAt: dueAt },
      checks: attempt,
      ...(linksOnly && { linksOnly }),
    };
  } catch (error) {
    // An ID that cannot stand in a path will never work.
    if (error instanceof InvalidRequest) throw ApplicationFailure.nonRetryable(error.message, FAILURE.InvalidInput);
    if (!(error instanceof RivyaApiError)) throw error;
    throw callFailure(error, judgeCheck(error), { taskId, attempt, retryInMs: retryIn(error, MIN_WAIT_MS) });
  }
}
