import type { Cell } from '../../batch/csv.js';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { startOf } from '../../temporal/runs.js';
import { userMetadata } from '../../temporal/user-metadata.js';
import { readSettings } from '../../config.js';
import { WORKFLOW_TYPE, type GenerateMediaInput } from '../../contract/index.js';
import { readInput, UNRESOLVED_ENDED } from '../../policy/index.js';
import { advice } from '../advice.js';
import { openReceipts, openTemporal } from '../context.js';
import { checkQuery, endedIds, leftoverOf, type Leftover } from '../ended.js';
import { judge, STATUS, UsageError } from '../errors.js';
import { examples, wholeNumber, type Flags, type Register, type Texts } from '../options.js';
import { printJson, printTable, say } from '../output.js';
import { notRead, type Unread } from '../records.js';

type Options = Texts<'query'> & Flags<'yes' | 'json'> & { readonly limit: number };

const SAYS = {
  wouldTakeUp: 'would be waited for again',
  takenUp: 'is waited for again',
  leftAlone: 'left alone: somebody else started it meanwhile',
  unanswered: 'left alone: nobody answered its submit',
} as const;
type Outcome = keyof typeof SAYS;

export const register: Register = (command) => {
  command
    .option('--query <visibility query>', 'only IDs with such a run, as CloseTime > "2026-11-01T00:00:00Z"')
    // They all ask the API for their status at once: a thousand take its default limit a quarter of an hour.
    .option('--limit <n>', 'tasks at most', wholeNumber(1, 100_000), 1_000)
    .option('--yes', 'do it; without it only says what would be done')
    .addHelpText('after', examples('recover', `recover --query "WorkflowId STARTS_WITH 'night-'" --yes`));
  return recover;
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
      const found = await leftoverOf(client, workflowId, receipts);
      if (found === null) continue;
      ({ taskId } = found.row);
      if (taskId !== null) tasks++;
      const action = taskId === null ? advice(UNRESOLVED_ENDED) : null;
      generations.push({ ...found.row, outcome: await waitAgain(client, found, yes), action });
    } catch (error) {
      // One that cannot be read or started is no reason to leave the others.
      const { status, message } = judge(error);
      if (status === STATUS.unread) unread.push({ workflowId, taskId, why: message });
      else errors.push({ workflowId, taskId, message });
    }
  }
  const complete = tasks < limit;
  if (json) printJson({ dryRun: !yes, complete, generations, errors, unread });
  else if (generations.length > 0) printTable([HEAD, ...generations.map(rowOfLeftover)]);

  const done = new Set(generations.map(({ outcome }) => outcome));
  const all = unread.length === 0 ? 'no generation' : 'none that could be read';
  if (generations.length + errors.length === 0) say(`Nothing to recover: ${all} left a task behind.`);
  if (unread.length > 0) say(notRead(unread, 'They may have left paid tasks behind.'));
  if (done.has('wouldTakeUp')) say('Nothing was started. Add --yes to wait for these tasks again; nothing is paid.');
  if (done.has('takenUp')) say('Nothing was paid. See: rivya-temporal list --status running');
  if (done.has('unanswered')) say(`Submits that nobody answered are left alone. ${advice(UNRESOLVED_ENDED)}`);
  if (!complete) say(`There may be more than ${limit}: ${yes ? 'run it again' : 'give a larger --limit'}.`);
  for (const { workflowId, taskId, message } of errors) {
    say(`${workflowId}${taskId === null ? '' : ` (task ${taskId})`} was left as it is: ${message}`);
  }
  if (errors.length > 0) return STATUS.failed;
  return unread.length > 0 ? STATUS.unread : STATUS.done;
}

async function waitAgain(client: Client, { row, runId, taskQueue }: Leftover, yes: boolean): Promise<Outcome> {
  const { workflowId, taskId } = row;
  if (taskId === null) return 'unanswered';
  const started = await startOf(client, workflowId, runId);
  const input = withTask(started.input, taskId);
  const generation = readInput(input);
  if (!yes) return 'wouldTakeUp';
  const once = { workflowIdConflictPolicy: 'FAIL', workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' } as const;
  const start = { workflowId, taskQueue, args: [input], ...userMetadata(generation), ...once };
  try {
    await client.workflow.start(WORKFLOW_TYPE, start);
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

const HEAD = ['WORKFLOW ID', 'ENDED', 'TASK', 'LAST STATUS', 'CREDITS', 'IDEMPOTENCY KEY', ''];

function rowOfLeftover({ outcome, ...row }: Leftover['row'] & { readonly outcome: Outcome }): Cell[] {
  const { workflowId, ended, taskId, status, reservedCredits, idempotencyKey } = row;
  return [workflowId, ended, taskId, status, reservedCredits, idempotencyKey, SAYS[outcome]];
}
