import type { RivyaActivities } from '../src/contract/index.js';
import { telling } from './attributes.js';
import { rivyaChat } from './chat.js';
import { rivyaCheck } from './check.js';
import { step, type ActivityDependencies, type ResultDependencies } from './context.js';
import { rivyaEstimate } from './estimate.js';
import { rivyaResult } from './result.js';
import { rivyaStore } from './store.js';
import { rivyaSubmit } from './submit.js';
import { rivyaUpload } from './upload.js';

export type { ActivityDependencies, OnStep, ResultDependencies, SideEffect } from './context.js';
export type { RivyaActivities } from '../src/contract/index.js';

/** Activities that call the API, for Workers on `<queue>-api`. */
export function createApiActivities(
  dependencies: ActivityDependencies,
): Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaCheck' | 'rivyaUpload' | 'rivyaChat' | 'rivyaEstimate'> {
  const { onStep } = dependencies;
  return {
    rivyaSubmit: (input) => step(onStep, 'rivyaSubmit', () => telling(() => rivyaSubmit(input, dependencies))),
    rivyaChat: (input) => step(onStep, 'rivyaChat', () => telling(() => rivyaChat(input, dependencies))),
    rivyaCheck: (input) => step(onStep, 'rivyaCheck', () => telling(() => rivyaCheck(input, dependencies))),
    rivyaUpload: (input) => step(onStep, 'rivyaUpload', () => telling(() => rivyaUpload(input, dependencies))),
    rivyaEstimate: (input) => rivyaEstimate(input, dependencies),
  };
}

/** Activities that need no API key, for Workers on `<queue>`. */
export function createResultActivities(
  dependencies: ResultDependencies,
): Pick<RivyaActivities, 'rivyaStore' | 'rivyaResult'> {
  return {
    rivyaStore: (input) => step(dependencies.onStep, 'rivyaStore', () => rivyaStore(input, dependencies)),
    rivyaResult,
  };
}
