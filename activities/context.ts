import type { MediaKind, TaskSnapshot } from '../src/contract/index.js';
import type { KeySource, RivyaClient } from '../src/api/index.js';
import type { Store } from '../src/storage/index.js';

/** What the Activities need from the process that runs them. */
export interface ActivityDependencies {
  readonly api: RivyaClient;
  readonly keys: KeySource;
  /** Null: results stay links. */
  readonly store: Store | null;
  /** Kind of medium that a model makes; never throws and never waits. */
  readonly kindOf: (model: string | null) => MediaKind | null;
}

export function withKind(task: TaskSnapshot, { kindOf }: ActivityDependencies): TaskSnapshot {
  return { ...task, kind: kindOf(task.model) };
}
