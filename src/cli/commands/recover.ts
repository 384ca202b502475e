import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { startOf } from '../../../activities/runs.js';
import { readSettings } from '../../config.js';
import { WORKFLOW_TYPE, type GenerateMediaInput } from '../../contract/index.js';
import { readInput, titleOf, UNRESOLVED_ENDED } from '../../policy/index.js';
import { openReceipts, openTemporal } from '../context.js';
import { checkQuery, endedIds, leftOpen, type Found } from '../ended.js';
import { judge, STATUS, UsageError } from '../errors.js';
import { examples, wholeNumber, type Register } from '../options.js';
import { print, printJson, printTable, say, type Cell } from '../output.js';
import { notRead, type Unread } from '../records.js';

interface Options {
  readonly query?: string;
  readonly limit: number;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const SAYS = {
  wouldTakeUp: 'would be taken up',
  takenUp: 'taken up',
  leftAlone: 'left alone: somebody else started it meanwhile',
  unanswered: UNRESOLVED_ENDED,
} as const;
type Outcome = keyof typeof SAYS;

export const registerRecover: Register = (program, run) => {
  program
    .command('recover')
    .description('Find generations that ended and left a paid task behind, and wait for it again. Never pays.')
    .option('--query <visibility query>', 'only IDs with such a run, as CloseTime > "2026-11-01T00:00:00Z"')
    // Taken up at once they all ask the API for their status; a thousand fit into its default limit within a quarter hour.
    .option('--limit <n>', 'tasks at most', wholeNumber(1, 100_000), 1_000)
    .option('--yes', 'do it; without it only says what would be done')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('recover', `recover --query "WorkflowId STARTS_WITH 'night-'" --yes`))
    .action((options: Options) => run(() => recover(options)));
};

async function recover({ query, limit, yes = false, json = false }: Options): Promise<number> {
  if (query?.trim() === '') throw new UsageError('--query: is empty. Nothing was started.');
  const settings = readSettings();
  const { client } = await openTemporal(settings);
  if (query !== undefined) await checkQuery(client, query);
  const receipts = (await openReceipts(settings))?.receipts ?? null;
  const generations = [];
  const errors: { readonly workflowId: string; readonly taskId: string | null; readonly message: string }[] = [];
  const unread: Unread[] = [];
  let tasks = 0;
  for (const workflowId of await endedIds(client, query)) {
    if (tasks >= limit) break;
    let taskId: string | null = null;
    try {
      const found = await leftOpen(client, workflowId, receipts);
      if (found === null) continue;
      ({ taskId } = found.row);
      if (taskId !== null) tasks++;
      const action = taskId === null ? UNRESOLVED_ENDED : null;
      generations.push({ ...found.row, outcome: await act(client, found, yes), action });
    } catch (error) {
      // One that cannot be read or started is no reason to leave the others.
      const { status, message } = judge(error);
      if (status === STATUS.unread) unread.push({ workflowId, taskId, why: message });
      else errors.push({ workflowId, taskId, message });
    }
  }
  const complete = tasks < limit;
  if (json) printJson({ dryRun: !yes, complete, generations, errors, unread });
  else show(generations);

  const done = new Set(generations.map(({ outcome }) => outcome));
  const all = unread.length === 0 ? 'no generation' : 'none that could be read';
  if (generations.length + errors.length === 0) say(`Nothing to recover: ${all} left a task behind.`);
  if (unread.length > 0) say(notRead(unread, 'They may have left paid tasks behind.'));
  if (done.has('wouldTakeUp')) say('Nothing was started. Add --yes to wait for these tasks again; nothing is paid.');
  if (done.has('takenUp'))
    say('Taken up under their Workflow IDs; nothing was paid. See: rivya-temporal list --status running');
  if (!complete) say(`There may be more than ${limit}: ${yes ? 'run it again' : 'give a larger --limit'}.`);
  for (const { workflowId, taskId, message } of errors) {
    say(`${workflowId}${taskId === null ? '' : ` (task ${taskId})`} was left as it is: ${message}`);
  }
  if (errors.length > 0) return STATUS.failed;
  return unread.length > 0 ? STATUS.unread : STATUS.done;
}

async function act(client: Client, { row, runId, taskQueue }: Found, yes: boolean): Promise<Outcome> {
  const { workflowId, taskId } = row;
  if (taskId === null) return 'unanswered';
  const started = await startOf(client, workflowId, runId);
  const input = withTask(started.input, taskId);
  const generation = readInput(input);
  if (!yes) return 'wouldTakeUp';
  try {
    await client.workflow.start(WORKFLOW_TYPE, {
      workflowId,
      taskQueue,
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      staticSummary: titleOf(generation),
    });
    return 'takenUp';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    return 'leftAlone';
  }
}

/** The same input, waiting for a task instead of submitting: nothing in it can lead to a POST. */
function withTask(started: unknown, taskId: string): GenerateMediaInput {
  const { idempotencyKey: _key, ...input } = (started ?? {}) as GenerateMediaInput;
  // Other languages send null for what is not given.
  const { maxAttempts: _attempts, ...options } = input.options ?? {};
  return { ...input, taskId, options };
}

function show(generations: readonly (Found['row'] & { readonly outcome: Outcome })[]): void {
  const rows: Cell[][] = [];
  const unanswered: Cell[][] = [];
  for (const { workflowId, ended, taskId, status, reservedCredits, idempotencyKey, outcome } of generations) {
    if (taskId === null) unanswered.push([workflowId, ended, idempotencyKey]);
    else rows.push([workflowId, ended, taskId, status, reservedCredits, SAYS[outcome]]);
  }
  if (rows.length > 0) printTable([['WORKFLOW ID', 'ENDED', 'TASK', 'LAST STATUS', 'CREDITS', ''], ...rows]);
  if (unanswered.length === 0) return;
  if (rows.length > 0) print('');
  print(`Submits that nobody answered, which this command leaves alone. ${UNRESOLVED_ENDED}`);
  printTable([['WORKFLOW ID', 'ENDED', 'IDEMPOTENCY KEY'], ...unanswered]);
}
