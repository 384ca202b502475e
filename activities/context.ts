/**
 * The parts of a Worker process that Activities use, and the ways in which all of them do a side effect. `src/worker`
 * builds the dependencies; each Activity gets them. No Activity reads the environment by itself.
 */
import { log } from '@temporalio/activity';
import type { MediaKind, RivyaActivities, TaskSnapshot } from '../src/contract/index.js';
import type { KeySource, RivyaClient } from '../src/api/index.js';
import type { Receipts, ReferenceSources, Results, Store, Uploads } from '../src/storage/index.js';
import type { ClosedByCause } from './closed.js';
import type { Learned } from './expected.js';
import type { ProblemOf } from './listed.js';
import type { Spending } from './policy.js';

/** Names of side effects. The name of an Activity stands for the report of its result to the Service. */
export type SideEffect = 'fence' | 'receipt' | 'POST' | 'GET' | 'file' | 'upload' | keyof RivyaActivities;

/** The dependencies of the Activities that call the API. */
export interface ActivityDependencies {
  readonly api: RivyaClient;
  readonly keys: KeySource;
  /** Null without a store: Temporal and the API alone remember what was paid. */
  readonly receipts: Receipts | null;
  /** True where this process also runs the Activity that stores results, and has no store. */
  readonly linksOnly?: boolean;
  /** The files and stores from which references are read. */
  readonly sources: ReferenceSources;
  /** Null without a store: Temporal alone remembers what was uploaded. */
  readonly uploads: Uploads | null;
  /** Kind of medium that a model makes, or null. Never throws and never waits. */
  readonly kindOf: (model: string | null) => MediaKind | null;
  /** The list of models against a request; left out: the API alone judges it. */
  readonly problemOf?: ProblemOf;
  /** Left out or null: the fixed schedule counts. */
  readonly learned?: Learned | null;
  /** The spending policy and the prices; left out: everything may be paid for. */
  readonly spending?: Spending;
  /** The cause for which the account holds all new payments; left out: there is no account. */
  readonly closedBy?: ClosedByCause;
  /** Called right before each side effect, and right after each that went well. For tests that stop a process there. */
  readonly onStep?: OnStep;
}

/** The dependencies of the Activities that store results. */
export interface ResultDependencies extends Pick<ActivityDependencies, 'onStep'> {
  /** Null: results stay links. */
  readonly results: Results | null;
}

/** The dependencies of the Activity of batches. */
export interface BatchDependencies {
  /** Null: batches hold. */
  readonly store: Store | null;
  /** The API that the Workers call, as `batchApi` names it. */
  readonly api: string;
  /** True once the Worker takes no new work: a wait ends then. */
  readonly isStopping: () => boolean;
}

export type OnStep = (when: 'before' | 'after', what: SideEffect) => void;

export async function sideEffect<T>(onStep: OnStep | undefined, what: SideEffect, work: () => Promise<T>): Promise<T> {
  onStep?.('before', what);
  const result = await work();
  onStep?.('after', what);
  return result;
}

/** The task with the kind of its model, for the schedule of its checks. */
export function withKind(task: TaskSnapshot, { kindOf }: ActivityDependencies): TaskSnapshot {
  return { ...task, kind: kindOf(task.model) };
}

/** Writes a receipt that may fail: Temporal holds the same facts. */
export async function tryToNote(write: () => Promise<void> | undefined): Promise<void> {
  try {
    await write();
  } catch (error) {
    log.warn('a receipt could not be written', { error });
  }
}
