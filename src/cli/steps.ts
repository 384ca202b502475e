/** The steps of a Workflow of the user's own: generations and chats that are its children, named `<parent>/<step>`. */
import type { Client } from '@temporalio/client';
import { startsWith } from '../../activities/runs.js';
import { find, known, type Temporal } from './context.js';
import { UsageError } from './errors.js';
import { quoted } from './output.js';
import { PAID_RUNS, paidRuns, type PaidRun } from '../../activities/facts.js';
import { stateOf } from './rows.js';

// As many as a message can name.
const NAMED = 20;

/** The latest run of each step, in the order in which they started. */
export async function stepsOf(client: Client, parent: string) {
  const latest = new Map<string, PaidRun & { readonly step: string }>();
  for await (const run of paidRuns(client, `${PAID_RUNS} AND ${startsWith(`${parent}/`)}`)) {
    const { startTime } = latest.get(run.workflowId) ?? {};
    if (!run.workflowId.startsWith(`${parent}/`) || (startTime !== undefined && startTime > run.startTime)) continue;
    latest.set(run.workflowId, { ...run, step: run.workflowId.slice(parent.length + 1) });
  }
  return [...latest.values()].toSorted((a, b) => a.startTime.getTime() - b.startTime.getTime());
}

/**
 * What `resume` means: the generation or chat itself, the step of that name, or the only step that is held.
 * @throws UsageError that names the steps.
 */
export async function oneToResume(temporal: Temporal, workflowId: string, name?: string): ReturnType<typeof known> {
  const found = name === undefined ? await find(temporal, workflowId) : null;
  if (found?.isPaid === true) return found;
  const steps = await stepsOf(temporal.client, workflowId);
  const meant = steps.filter((run) => (name === undefined ? stateOf(run) === 'held' : run.step === name));
  const [only] = meant;
  if (only !== undefined && meant.length === 1) return known(temporal, only.workflowId);
  const several = `has several steps that are held. Choose: rivya-temporal resume ${quoted(workflowId)} --step <step>`;
  const none = name === undefined ? 'has no step that is held' : `has no step "${name}" (--step)`;
  const names = (only === undefined ? steps : meant).slice(0, NAMED).map((run) => `${run.step} (${stateOf(run)})`);
  throw new UsageError(
    `"${workflowId}" ${only === undefined ? none : several}. Its steps: ${names.join(', ') || 'none'}.`,
  );
}
