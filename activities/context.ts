import { log } from '@temporalio/activity';
import type { MediaKind, RivyaActivities, TaskSnapshot } from '../src/contract/index.js';
import type { KeySource, RivyaClient } from '../src/api/index.js';
import type { Receipts, ReferenceSources, Results, Uploads } from '../src/storage/index.js';
import type { Spending } from './policy.js';

/** The side effects of the Activities, by name; the Activities themselves count as what they report to the Service. */
export type SideEffect = 'fence' | 'receipt' | 'POST' | 'GET' | 'file' | 'upload' | keyof RivyaActivities;

/** What the Activities that call the API need from the process that runs them. */
export interface ActivityDependencies {
  readonly api: RivyaClient;
  readonly keys: KeySource;
  /** Null: what was paid is remembered by Temporal and the API alone. */
  readonly receipts: Receipts | null;
  /** True where this process stores results too, and has no store. */
  readonly linksOnly?: boolean;
  /** Where references are read from. */
  readonly sources: ReferenceSources;
  /** Null: what was uploaded is remembered by Temporal alone. */
  readonly uploads: Uploads | null;
  /** Kind of medium that a model makes; never throws and never waits. */
  readonly kindOf: (model: string | null) => MediaKind | null;
  /** What may be paid for; left out: everything. */
  readonly spending?: Spending;
  /** Called right before and right after each side effect that went well. For tests that stop a process there. */
  readonly onStep?: OnStep;
}

/** What the Activities that move results need. */
export interface ResultDependencies extends Pick<ActivityDependencies, 'onStep'> {
  /** Null: results stay links. */
  readonly results: Results | null;
}

export type OnStep = (when: 'before' | 'after', what: SideEffect) => void;

/** Does one side effect. */
export async function step<T>(onStep: OnStep | undefined, what: SideEffect, work: () => Promise<T>): Promise<T> {
  onStep?.('before', what);
  const result = await work();
  onStep?.('after', what);
  return result;
}

export function withKind(task: TaskSnapshot, { kindOf }: ActivityDependencies): TaskSnapshot {
  return { ...task, kind: kindOf(task.model) };
}

/** Writes a receipt that may be missing: what it says is known to Temporal as well. */
export async function noted(write: () => Promise<void> | undefined): Promise<void> {
  try {
    await write();
  } catch (error) {
    log.warn('a receipt could not be written', { error });
  }
}
