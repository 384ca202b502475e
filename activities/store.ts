/**
 * The Activity `rivyaStore`: streams the results of a task into the store of this Worker. It guarantees that each file
 * that it returns is in the store, whole. `generateMedia` calls it. It asks no API for fresh links: the Workflow does.
 * Without a store the results stay links.
 */
import { Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE, NOTHING_KNOWN } from '../src/contract/index.js';
import type { FailureDetails, StoredFile, StoreInput, StoreResult } from '../src/contract/index.js';
import { formatDuration, TIMEOUTS } from '../src/policy/index.js';
import { ResultError, StoreUnavailable } from '../src/storage/index.js';
import { sideEffect, type ResultDependencies } from './context.js';
import { whileMoving } from './moving.js';

export async function rivyaStore(input: StoreInput, { results, onStep }: ResultDependencies): Promise<StoreResult> {
  if (results === null) return { files: [] };
  const context = Context.current();
  const { namespace } = context.info;
  const files: StoredFile[] = [];
  let n = 1;
  let progress = { file: 1, of: input.urls.length, bytes: 0 };
  const timer = setInterval(() => context.heartbeat(progress), TIMEOUTS.heartbeatEvery);
  // The download itself gives up a link that sends nothing.
  const silence = TIMEOUTS.storeSilence;
  const hung = (): Error =>
    new StoreUnavailable(`The store has taken nothing for ${formatDuration(silence)}: it hangs.`);
  try {
    for (; n <= input.urls.length; n++) {
      const file = await whileMoving(silence, hung, ({ signal, moved }) => {
        const onProgress = (bytes: number): void => {
          progress = { file: n, of: input.urls.length, bytes };
          moved();
        };
        return sideEffect(onStep, 'file', () => results.keep({ input, n, namespace }, { signal, onProgress }));
      });
      log.info('stored', { taskId: input.taskId, uri: file.uri, bytes: file.bytes });
      files.push(file);
    }
  } catch (error) {
    if (!(error instanceof ResultError || error instanceof StoreUnavailable)) throw error;
    const { message, retryable } = error;
    const type = FAILURE.ResultUnavailable;
    const { httpStatus = null, found = null, beginning = null } = error instanceof ResultError ? error : {};
    const action = 'The task is paid and its result is at Rivya: nothing is lost.';
    const known = { ...NOTHING_KNOWN, code: type, httpStatus, taskId: input.taskId, action };
    const seen = { ...(found !== null && { found }), ...(beginning !== null && { beginning }) };
    const details: FailureDetails = { ...known, file: n, ...seen };
    throw ApplicationFailure.create({ type, message, nonRetryable: !retryable, details: [details] });
  } finally {
    clearInterval(timer);
  }
  return { files };
}
