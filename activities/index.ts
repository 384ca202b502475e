import type { RivyaActivities } from '../src/contract/index.js';
import { rivyaCheck } from './check.js';
import type { ActivityDependencies } from './context.js';
import { rivyaStore } from './store.js';
import { rivyaSubmit } from './submit.js';

export type { ActivityDependencies } from './context.js';
export type { RivyaActivities } from '../src/contract/index.js';

/** Activities that call the API, for Workers on `<queue>-api`. */
export function createApiActivities(
  dependencies: ActivityDependencies,
): Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaCheck'> {
  return {
    rivyaSubmit: (input) => rivyaSubmit(input, dependencies),
    rivyaCheck: (input) => rivyaCheck(input, dependencies),
  };
}

/** Activities that move results, for Workers on `<queue>`. */
export function createResultActivities(
  dependencies: Pick<ActivityDependencies, 'store'>,
): Pick<RivyaActivities, 'rivyaStore'> {
  return { rivyaStore: (input) => rivyaStore(input, dependencies) };
}
