import type { PastSubmit } from '../../activities/index.js';
import type { TaskSnapshot } from '../contract/index.js';
import type { Temporal } from './context.js';
import { describe, ENDED, IN_ENDED } from './ended.js';
import { ownRuns } from './own-runs.js';

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
 * @param query - A visibility query that narrows the Workflows.
 */
export async function openSteps(
  temporal: Temporal,
  query: string | undefined,
): Promise<{ steps: OpenStep[]; unread: number }> {
  const found = new Map<string, Known>();
  let unread = 0;
  for await (const { workflowId, past } of ownRuns(
    temporal.client,
    query === undefined ? IN_ENDED : `${IN_ENDED} AND (${query})`,
  )) {
    if (past === null) unread += 1;
    if (past === null || past.submits.length === 0) continue;
    const known: Known = found.get(workflowId) ?? { submits: [], checked: new Map(), stored: new Set() };
    found.set(workflowId, known);
    known.submits.push(...past.submits);
    for (const taskId of past.stored) known.stored.add(taskId);
    for (const [taskId, task] of past.checked) {
      if (known.checked.get(taskId)?.status !== 'failed') known.checked.set(taskId, task);
    }
  }
  const steps: OpenStep[] = [];
  for (const [workflowId, known] of found) {
    const open = openIn(known);
    if (open.length === 0) continue;
    // It may run again, or have its result by now.
    const latest = await describe(temporal, workflowId);
    const ended = latest === null ? undefined : ENDED[latest.status.name as keyof typeof ENDED];
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
