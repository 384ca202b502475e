/** The account as the commands find it, look at it and steer it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import {
  ACCOUNT_MEMO_FIELD,
  ACCOUNT_WORKFLOW_TYPE,
  accountWorkflowId,
  isOpen,
  SHARED_CODES,
  STOPPED,
  type AccountInput,
  type AccountRequests,
  type AccountState,
} from '../contract/index.js';
import { readAccountMemo } from '../policy/account-memo.js';
import { askAccount, lookAtQueues, type LiveLook } from '../temporal/account-look.js';
import { failingTaskProblem } from '../temporal/pending.js';
import { describeRun } from '../temporal/runs.js';
import { updateOrSignal } from '../temporal/update.js';
import type { Temporal } from './context.js';
import { UsageError } from './errors.js';

// Without it a connection that died while the computer slept would answer nothing for long.
const LOOK_TIMEOUT_MS = 20_000;
const QUERY_TIMEOUT_MS = 3_000;

/** The account at one moment. */
export interface SeenAccount {
  readonly workflowId: string;
  /** What it says of itself; null where it has not begun yet. */
  readonly state: AccountState | null;
  /** True where the Workflow has said it itself; else its memo has, because no Worker answers. */
  readonly isFresh: boolean;
  /** False where it was ended by somebody: the next report or start of a Worker starts it again. */
  readonly isRunning: boolean;
  /** That its Workflow Tasks fail, and why: it releases nobody and takes no request. Null where they do not. */
  readonly problem: string | null;
  /** Counted now. */
  readonly look: LiveLook;
}

type Place = Pick<Temporal, 'client' | 'taskQueue'>;

/** Looks at the account of these Workers; null where there has never been one. */
export async function lookAtAccount({ client, taskQueue }: Place): Promise<SeenAccount | null> {
  const workflowId = accountWorkflowId(taskQueue);
  return client.withDeadline(Date.now() + LOOK_TIMEOUT_MS, async () => {
    const run = await describeRun(client, workflowId);
    if (run === null || run.type !== ACCOUNT_WORKFLOW_TYPE) return null;
    const isRunning = isOpen(run.status.name);
    const [fresh, problem, look] = await Promise.all([
      isRunning ? askAccount(client, workflowId, QUERY_TIMEOUT_MS) : null,
      isRunning ? failingTaskProblem(client, run) : null,
      lookAtQueues(client, taskQueue),
    ]);
    const state = fresh ?? readAccountMemo(run.memo?.[ACCOUNT_MEMO_FIELD]);
    return { workflowId, state, isFresh: fresh !== null, isRunning, problem, look };
  });
}

/**
 * Sends a request to the account. Returns its answer; null where no Worker answers within 10 s, so that it waits as a Signal.
 * A stop starts the account where none runs. @throws UsageError with what its validator says, or where no account runs.
 */
export async function requestOf<Name extends keyof AccountRequests>(
  { client, taskQueue }: Place,
  name: Name,
  argument?: AccountRequests[Name],
): Promise<string | null> {
  const handle = client.workflow.getHandle(accountWorkflowId(taskQueue));
  try {
    const applied = await updateOrSignal(client, handle, name, argument);
    return applied === null ? null : (applied.answer as string);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw new UsageError(error.cause?.message ?? error.message);
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    if (name !== 'stopSubmits') throw noAccount(taskQueue);
    // Before the first Worker: it shall find submits stopped.
    await client.workflow.signalWithStart(ACCOUNT_WORKFLOW_TYPE, {
      workflowId: handle.workflowId,
      taskQueue,
      args: [{ taskQueue } satisfies AccountInput],
      signal: name,
      signalArgs: [argument],
    });
    return null;
  }
}

// A Worker that has just read the account does not read it again before.
const WORKER_READS_MS = 2_500;

/**
 * Has the account ask whether the causes of these holds are over, and waits until the Workers know: it asks once a minute, and until
 * then they would hold again. An account that cannot be asked keeps nobody.
 */
export async function askWhetherOver(place: Place, codes: readonly (string | null)[]): Promise<void> {
  if (!codes.some((code) => code !== null && code !== STOPPED && SHARED_CODES.includes(code))) return;
  const answer = await requestOf(place, 'refresh').catch(() => null);
  if (answer !== null) await sleep(WORKER_READS_MS);
}

export function noAccount(taskQueue: string): UsageError {
  return new UsageError(
    `There is no account on task queue "${taskQueue}" (Workflow "${accountWorkflowId(taskQueue)}"). A Worker with the role "api" starts it: rivya-temporal worker`,
  );
}
