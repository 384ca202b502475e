import type { ChatResult, GenerationResult } from '../contract/index.js';
import { judge, NO_DETAILS, STATUS, toJson, withAction, type Verdict } from './errors.js';
import type { GenerationHandle } from '../client.js';
import { workflowLink } from '../temporal/links.js';
import type { Temporal } from './context.js';
import { follow, resumeHint, type Ending, type FollowOptions } from './follow.js';
import { formatBytes, printFacts, printJson, Progress, quoted, readableUri, say } from './output.js';

/** Where the document goes, or null for a report to people. */
export type Json = ((document: object) => void) | null;

export interface ReportOptions {
  readonly json: Json;
  readonly workflowId: string;
  /** Page of the Workflow in the Temporal UI. */
  readonly link: string | null;
}

/** Waits for a generation and reports how it went. Returns the exit status. */
export async function followAndReport(
  temporal: Temporal,
  handle: GenerationHandle,
  { json, ...options }: { readonly json: boolean } & Pick<FollowOptions, 'interrupted' | 'startedAt'>,
): Promise<number> {
  const { client } = temporal;
  const { workflowId } = handle;
  const waitWhileHeld = process.stderr.isTTY;
  const ending = await follow(handle, { ...options, client, progress: new Progress(), waitWhileHeld });
  return report(ending, { json: json ? printJson : null, workflowId, link: workflowLink(temporal, workflowId) });
}

/** Reports how a generation ended, or that the wait for it did. Returns the exit status. */
export function report(ending: Ending, options: ReportOptions): number {
  const { json, workflowId, link } = options;
  json?.(documentOf(ending, workflowId));
  if (ending.kind === 'result') {
    if (json === null) show(workflowId, ending.result, link);
    return STATUS.done;
  }
  const verdict = verdictOf(ending, workflowId);
  say(ending.kind === 'failure' ? `${workflowId} did not succeed: ${verdict.message}` : verdict.message);
  if (link !== null) say(link);
  return verdict.status;
}

function show(workflowId: string, result: GenerationResult, link: string | null): void {
  const { reservedCredits, finalCredits, reused, simulated } = result;
  // A chat has its answer in place of a task and files.
  const { content, taskId, files = [], urls = [] } = result as Partial<GenerationResult & ChatResult>;
  const stored = files.map(({ uri, bytes }) => ['file', `${readableUri(uri)} (${formatBytes(bytes)})`] as const);
  const known = reused ? ' (existed before; not paid again)' : '';
  const answer = content === undefined ? [] : `${content}${known}`.split('\n');
  printFacts(workflowId, [
    ['status', content === undefined ? result.status : null],
    ...answer.map((line, n) => [n === 0 ? 'answer' : '', line] as const),
    ['task', taskId === undefined ? null : `${taskId}${known}`],
    ['credits', `${finalCredits ?? 'not reported'} (reserved ${reservedCredits ?? 'not reported'})`],
    ...(stored.length > 0 ? stored : urls.map((url) => ['link', url] as const)),
    ['Temporal', link],
    ['simulated', simulated ? 'the emulator answered: nothing was paid, the media is not real' : null],
  ]);
}

function verdictOf(ending: Exclude<Ending, { kind: 'result' }>, workflowId: string): Verdict {
  if (ending.kind === 'failure') return judge(ending.error);
  const wait = `rivya-temporal wait ${quoted(workflowId)}`;
  if (ending.kind === 'interrupted') {
    const message = `${workflowId} goes on; take it up with: ${wait}`;
    return { ...NO_DETAILS, status: STATUS.interrupted, code: 'Interrupted', message, action: wait };
  }
  const { hold } = ending.state;
  const { httpStatus = null, requestId = null, action = null } = hold ?? {};
  const { code, message } = hold ?? { code: 'held', message: 'held' };
  const says = `${workflowId} waits until a person acts: ${withAction(message, action)}\n${resumeHint(workflowId)}\nTake up the wait with: ${wait}`;
  return { status: STATUS.held, code, message: says, action, httpStatus, requestId };
}

const STATUSES: Readonly<Record<string, string>> = {
  Cancelled: 'cancelled',
  Terminated: 'terminated',
  TimedOut: 'timedOut',
};

/** How a generation ended, or that the wait for it did, as `--json` prints it. */
export function documentOf(ending: Ending, workflowId: string): object {
  if (ending.kind === 'result') return { workflowId, ...ending.result };
  const known = ending.kind === 'failure' ? ending.error.details : ending.state;
  const status =
    ending.kind === 'failure' ? (STATUSES[ending.error.code] ?? 'failed') : ending.kind === 'held' ? 'held' : 'running';
  return {
    workflowId,
    status,
    taskId: known?.taskId ?? null,
    idempotencyKey: known?.idempotencyKey ?? null,
    reservedCredits: known?.reservedCredits ?? null,
    finalCredits: known?.finalCredits ?? null,
    error: toJson(verdictOf(ending, workflowId)),
  };
}
