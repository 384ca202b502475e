/**
 * The Activities of a Worker by their registered names. The Workers of this package register them. Each is a function
 * of its input and the dependencies of the process.
 */
import type { RivyaActivities } from '../src/contract/index.js';
import { rivyaAccountLook } from './account-look.js';
import { withAttributes } from './attributes.js';
import { rivyaBatchTick } from './batch-tick.js';
import { postChat } from './chat.js';
import { rivyaCheck } from './check.js';
import { sideEffect, type ActivityDependencies, type BatchDependencies, type ResultDependencies } from './context.js';
import { rivyaEstimate } from './estimate.js';
import { rivyaRead } from './read.js';
import { rivyaRelease } from './release.js';
import { rivyaResult } from './result.js';
import { rivyaSetRate } from './set-rate.js';
import { rivyaStore } from './store.js';
import { rivyaSubmit } from './submit.js';
import { rivyaUpload } from './upload.js';

export type { ActivityDependencies, BatchDependencies, OnStep, ResultDependencies, SideEffect } from './context.js';
export type { RivyaActivities } from '../src/contract/index.js';

/** Activities that call the API, for Workers on `<queue>-api`. */
export function createApiActivities(
  dependencies: ActivityDependencies,
): Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaCheck' | 'rivyaUpload' | 'rivyaChat' | 'rivyaEstimate' | 'rivyaRead'> {
  const { onStep } = dependencies;
  return {
    rivyaSubmit: (input) =>
      sideEffect(onStep, 'rivyaSubmit', () => withAttributes(() => rivyaSubmit(input, dependencies))),
    rivyaChat: (input) => sideEffect(onStep, 'rivyaChat', () => withAttributes(() => postChat(input, dependencies))),
    rivyaCheck: (input) =>
      sideEffect(onStep, 'rivyaCheck', () => withAttributes(() => rivyaCheck(input, dependencies))),
    rivyaUpload: (input) =>
      sideEffect(onStep, 'rivyaUpload', () => withAttributes(() => rivyaUpload(input, dependencies))),
    rivyaEstimate: (input) => rivyaEstimate(input, dependencies),
    rivyaRead: (input) => rivyaRead(input, dependencies),
  };
}

/** Activities that need no API key, for Workers on `<queue>`. */
export function createResultActivities(
  dependencies: ResultDependencies,
): Pick<RivyaActivities, 'rivyaStore' | 'rivyaResult'> {
  return {
    rivyaStore: (input) => sideEffect(dependencies.onStep, 'rivyaStore', () => rivyaStore(input, dependencies)),
    rivyaResult,
  };
}

/** The Activity of batches, for Workers on `<queue>`. */
export function createBatchActivities(
  dependencies: BatchDependencies & Pick<ResultDependencies, 'onStep'>,
): Pick<RivyaActivities, 'rivyaBatchTick'> {
  const { onStep } = dependencies;
  return {
    rivyaBatchTick: (input) => sideEffect(onStep, 'rivyaBatchTick', () => rivyaBatchTick(input, dependencies)),
  };
}

/** The Activities of the account, for Workers on `<queue>`: a closed API task queue must not stop them. */
export function createAccountActivities(): Pick<RivyaActivities, 'rivyaAccountLook' | 'rivyaSetRate' | 'rivyaRelease'> {
  return { rivyaAccountLook, rivyaSetRate, rivyaRelease };
}
