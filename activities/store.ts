import { Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import {
  FAILURE,
  NOTHING_KNOWN,
  type FailureDetails,
  type StoredFile,
  type StoreInput,
  type StoreResult,
} from '../src/contract/index.js';
import { formatDuration, TIMEOUTS } from '../src/policy/index.js';
import { ResultError, StoreUnavailable } from '../src/storage/index.js';
import { step, type ResultDependencies } from './context.js';
import { whileMoving } from './moving.js';

/** Streams every result of a task into the store of this Worker. Without a store the results stay links. */
export async function rivyaStore(input: StoreInput, { results, onStep }: ResultDependencies): Promise<StoreResult> {
  if (results === null) return { files: [] };
  const context = Context.current();
  const { namespace } = context.info;
  const files: StoredFile[] = [];
  let progress = { file: 1, of: input.urls.length, bytes: 0 };
  const timer = setInterval(() => context.heartbeat(progress), TIMEOUTS.heartbeatEvery);
  // A link that is silent is given up by the download itself.
  const silence = TIMEOUTS.storeSilence;
  const hung = (): Error =>
    new StoreUnavailable(`The store has taken nothing for ${formatDuration(silence)}: it hangs.`);
  try {
    for (let n = 1; n <= input.urls.length; n++) {
      const file = await whileMoving(silence, hung, ({ signal, moved }) => {
        const onProgress = (bytes: number): void => {
          progress = { file: n, of: input.urls.length, bytes };
          moved();
        };
        return step(onStep, 'file', () => results.keep({ input, n, namespace }, { signal, onProgress }));
      });
      log.info('stored', { taskId: input.taskId, uri: file.uri, bytes: file.bytes });
      files.push(file);
    }
  } catch (error) {
    if (!(error instanceof ResultError || error instanceof StoreUnavailable)) throw error;
    const code = FAILURE.ResultUnavailable;
    const httpStatus = error instanceof ResultError ? error.httpStatus : null;
    const action = 'The task is paid and its result is at Rivya: nothing is lost.';
    const details: FailureDetails = { ...NOTHING_KNOWN, code, httpStatus, taskId: input.taskId, action };
    throw ApplicationFailure.create({
      type: FAILURE.ResultUnavailable,
      message: error.message,
      nonRetryable: !error.retryable,
      details: [details],
    });
  } finally {
    clearInterval(timer);
  }
  return { files };
}
