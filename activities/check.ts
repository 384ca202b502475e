/**
 * The Activity `rivyaCheck`: asks for the status of a task. It guarantees one GET in each attempt, at least 5 s after
 * the last one, and that a task which a person names fits its unanswered POST. `generateMedia` and a step that wants
 * fresh links call it. It pays nothing.
 */
import { activityInfo, log, sleep } from '@temporalio/activity';
import { InvalidRequest, RivyaApiError } from '../src/api/index.js';
import { FAILURE, type CheckInput, type CheckResult } from '../src/contract/index.js';
import { earlyBy, isSettled, judgeCheck, MIN_WAIT_MS } from '../src/policy/index.js';
import { sideEffect, tryToNote, withKind, type ActivityDependencies } from './context.js';
import { waitedForTurn, withExpectation } from './expected.js';
import { callFailure, finalFailure } from './failure.js';
import { Lease } from './lease.js';
import { refuseUnfit } from './named.js';

export async function rivyaCheck(
  { taskId, baseKey, keyNumber, named, timing }: CheckInput,
  dependencies: ActivityDependencies,
): Promise<CheckResult> {
  const saturated = waitedForTurn();
  const { api, receipts, learned, linksOnly = false, onStep } = dependencies;
  const { attempt, currentAttemptScheduledTimestampMs: dueAt } = activityInfo();
  if (attempt > 1) await sleep(earlyBy({ dueAt, now: Date.now(), minMs: MIN_WAIT_MS }));
  const lease = new Lease(dueAt);
  // The process may have stood still since, and another attempt may have begun: the Service says so.
  if (!lease.held()) await lease.renew(undefined);
  try {
    const { task } = await lease.keep(undefined, async () => {
      const answer = await sideEffect(onStep, 'GET', () => api.retrieveGeneration(taskId, () => lease.held()));
      if (named !== undefined) await refuseUnfit(answer.task, named, baseKey, receipts);
      const isNews = named !== undefined || isSettled(answer.task);
      if (isNews && baseKey !== undefined && keyNumber !== undefined && receipts !== null) {
        // The history holds the end as well, so a store that fails now is no reason to ask again.
        await tryToNote(() => sideEffect(onStep, 'receipt', () => receipts.noteEnd(baseKey, keyNumber, answer.task)));
      }
      return answer;
    });
    log.info('checked', { taskId, status: task.status, requestId: task.requestId });
    const known = withKind(task, dependencies);
    const expected = timing === undefined ? known : withExpectation(known, learned, { ...timing, saturated });
    const checked = { ...expected, askedAt: dueAt };
    return { task: checked, checks: attempt, ...(linksOnly && { linksOnly }) };
  } catch (error) {
    // An ID that cannot stand in a path will never work.
    if (error instanceof InvalidRequest) {
      throw finalFailure(FAILURE.InvalidInput, error.message, { action: 'Correct the task ID.' });
    }
    if (!(error instanceof RivyaApiError)) throw error;
    throw callFailure(error, judgeCheck(error), { taskId, minDelayMs: MIN_WAIT_MS });
  }
}
