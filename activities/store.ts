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

/** Streams every result of a task into the store of this Worker. Without a store the results stay links. */
export async function rivyaStore(input: StoreInput, { results, onStep }: ResultDependencies): Promise<StoreResult> {
  if (results === null) return { files: [] };
  const context = Context.current();
  const { namespace } = context.info;
  const files: StoredFile[] = [];
  let progress = { file: 1, of: input.urls.length, bytes: 0 };
  // A link that is silent is given up by the download itself. A store that hangs gives back nothing, not even an error.
  let movedAt = Date.now();
  const stop = new AbortController();
  const hung = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason as StoreUnavailable));
  });
  hung.catch(() => undefined);
  const timer = setInterval(() => {
    context.heartbeat(progress);
    if (Date.now() - movedAt < TIMEOUTS.storeSilence) return;
    stop.abort(
      new StoreUnavailable(`The store has taken nothing for ${formatDuration(TIMEOUTS.storeSilence)}: it hangs.`),
    );
  }, TIMEOUTS.heartbeatEvery);
  try {
    for (let n = 1; n <= input.urls.length; n++) {
      const options = {
        signal: AbortSignal.any([context.cancellationSignal, stop.signal]),
        onProgress: (bytes: number) => {
          progress = { file: n, of: input.urls.length, bytes };
          movedAt = Date.now();
        },
      };
      const kept = step(onStep, 'file', () => results.keep({ input, n, namespace }, options));
      // What hangs does not hear of a cancel either.
      const file = await Promise.race([kept, hung, context.cancelled]);
      movedAt = Date.now();
      log.info('stored', { taskId: input.taskId, uri: file.uri, bytes: file.bytes });
      files.push(file);
    }
  } catch (error) {
    if (!(error instanceof ResultError || error instanceof StoreUnavailable)) throw error;
    throw ApplicationFailure.create({
      type: FAILURE.ResultUnavailable,
      message: error.message,
      nonRetryable: !error.retryable,
      details: [
        {
          code: FAILURE.ResultUnavailable,
          ...NOTHING_KNOWN,
          httpStatus: error instanceof ResultError ? error.httpStatus : null,
          taskId: input.taskId,
          action: 'The task is paid and its result is at Rivya: nothing is lost.',
        } satisfies FailureDetails,
      ],
    });
  } finally {
    clearInterval(timer);
  }
  return { files };
}
