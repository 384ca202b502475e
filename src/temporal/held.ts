/** The generations and chats of a task queue that run or are held, as the Service lists them: the list lags by seconds. */
import type { Client } from '@temporalio/client';
import {
  CHAT_WORKFLOW_TYPE,
  ERROR_CODES,
  FAILURE,
  OPEN_QUERY,
  SHARED_CODES,
  WORKFLOW_TYPE,
} from '../contract/index.js';
import { listedRuns, quoted } from './runs.js';
import { hasAttributes } from './search-attributes.js';

// Those that many share come first: they are most of what is held.
const CODES = [...new Set([...SHARED_CODES, ...Object.keys(FAILURE), ...Object.keys(ERROR_CODES), 'other'])];

function paidRunsOf(taskQueue: string): string {
  const types = `WorkflowType IN (${quoted(WORKFLOW_TYPE)}, ${quoted(CHAT_WORKFLOW_TYPE)})`;
  return `${types} AND TaskQueue = ${quoted(taskQueue)}`;
}

/** Visibility query for those that a code holds and that can take a Signal now: a paused Workflow cannot. */
function heldQuery(taskQueue: string, code: string): string {
  return `${paidRunsOf(taskQueue)} AND RivyaStatus = ${quoted(`held:${code}`)} AND ExecutionStatus = 'Running'`;
}

/** How many run, how many of them are held. */
export async function countRunning(client: Client, taskQueue: string): Promise<number> {
  return (await client.workflow.count(`${paidRunsOf(taskQueue)} AND ${OPEN_QUERY}`)).count;
}

/** How many each code holds; null without the search attributes. */
export async function countHeld(client: Client, taskQueue: string): Promise<Record<string, number> | null> {
  if (!(await hasAttributes(client))) return null;
  const all = `${paidRunsOf(taskQueue)} AND RivyaStatus STARTS_WITH 'held:' AND ExecutionStatus = 'Running'`;
  let { count: left } = await client.workflow.count(all);
  const held: Record<string, number> = {};
  for (const code of CODES) {
    if (left <= 0) break;
    const { count } = await client.workflow.count(heldQuery(taskQueue, code));
    if (count > 0) held[code] = count;
    left -= count;
  }
  return held;
}

/** The runs that a code holds. */
export async function heldRuns(client: Client, taskQueue: string, code: string) {
  const runs: { readonly workflowId: string; readonly runId: string; readonly state: string }[] = [];
  for await (const { execution } of listedRuns(client, heldQuery(taskQueue, code))) {
    runs.push({ workflowId: execution?.workflowId ?? '', runId: execution?.runId ?? '', state: code });
  }
  return runs;
}
