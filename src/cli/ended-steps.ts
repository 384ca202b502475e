import type { PastSubmit } from '../../activities/index.js';
import type { TaskSnapshot } from '../contract/index.js';
import type { Temporal } from './context.js';
import { ENDED } from './ended.js';
import { ownRuns, ownRunsOf } from './own-runs.js';
import { readable } from './runs.js';

// A Workflow may have caught the failure of a step, or have stopped waiting for it, and have completed or continued as
// new.
const CLOSED = { ...ENDED, COMPLETED: 'completed' } as const;
const IN_CLOSED = `ExecutionStatus IN ('Terminated', 'TimedOut', 'Canceled', 'Failed', 'Completed', 'ContinuedAsNew')`;

/** A paid step of a Workflow of yours that ended before the step did. */
export interface OpenStep {
  readonly workflowId: string;
  readonly ended: string;
  readonly step: string | null;
  readonly model: string | null;
  readonly idempotencyKey: string;
  /** Null for a submit that nobody answered. */
  readonly taskId: string | null;
  /** The API's last word on the task. */
  readonly status: string | null;
}

/** What all runs of one Workflow ID know. */
interface Known {
  readonly submits: PastSubmit[];
  readonly checked: Map<string, TaskSnapshot>;
  readonly stored: Set<string>;
}

/**
 * Steps that ended Workflows have left behind: a task that nobody waits for, or a submit that nobody answered.
 * @param query - A visibility query that chooses the Workflow IDs.
 */
export async function openSteps(
  temporal: Temporal,
  query: string | undefined,
): Promise<{ steps: OpenStep[]; unread: number }> {
  const found = new Map<string, Known>();
  let unread = 0;
  const { client } = temporal;
  const runs = query === undefined ? ownRuns(client, IN_CLOSED) : ownRunsOf(client, IN_CLOSED, query);
  for await (const { workflowId, past } of runs) {
    if (past === null) unread += 1;
    if (past === null || past.submits.length === 0) continue;
    const known: Known = found.get(workflowId) ?? { submits: [], checked: new Map(), stored: new Set() };
    found.set(workflowId, known);
    known.submits.push(...past.submits);
    for (const taskId of past.stored) known.stored.add(taskId);
    for (const [taskId, task] of past.checked) {
      // The runs come in no order.
      if ((known.checked.get(taskId)?.askedAt ?? 0) <= (task.askedAt ?? 0)) known.checked.set(taskId, task);
    }
  }
  const steps: OpenStep[] = [];
  for (const [workflowId, known] of found) {
    const open = openIn(known);
    if (open.length === 0) continue;
    // It may run again, or have its result by now.
    const latest = await readable(() => client.workflow.getHandle(workflowId).describe());
    if (latest === null) unread += 1;
    const ended = latest == null ? undefined : CLOSED[latest.status.name as keyof typeof CLOSED];
    if (ended !== undefined) steps.push(...open.map((step) => ({ workflowId, ended, ...step })));
  }
  return { steps, unread };
}

function openIn({ submits, checked, stored }: Known): Omit<OpenStep, 'workflowId' | 'ended'>[] {
  const answered = new Set(submits.filter(({ result }) => result !== null).map(({ firstKey }) => firstKey));
  const open = new Map<string, Omit<OpenStep, 'workflowId' | 'ended'>>();
  for (const { firstKey, idempotencyKey, identity, result, open: fence } of submits) {
    const { step = null, model = null } = identity ?? {};
    const head = { step, model, idempotencyKey };
    const task = result?.task === undefined ? undefined : (checked.get(result.task.taskId) ?? result.task);
    if (task !== undefined && task.status !== 'failed' && !stored.has(task.taskId)) {
      open.set(task.taskId, { ...head, model: task.model ?? model, taskId: task.taskId, status: task.status });
    }
    if (fence !== null && !answered.has(firstKey)) open.set(firstKey, { ...head, taskId: null, status: null });
  }
  return [...open.values()];
}
