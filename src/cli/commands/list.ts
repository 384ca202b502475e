import { readSettings } from '../../config.js';
import { OPEN_QUERY } from '../../contract/index.js';
import { formatDuration } from '../../policy/index.js';
import { openTemporal } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, wholeNumber, type Register } from '../options.js';
import { printJson, printTable, say } from '../output.js';
import { isSettled, PAID_RUNS, paidRuns } from '../records.js';

interface Options {
  readonly limit: number;
  readonly running?: boolean;
  readonly json?: boolean;
}

export const registerList: Register = (program, run) => {
  program
    .command('list')
    .description('List recent generations and chats, newest first.')
    // One page of a terminal; above 1,000 the Temporal UI is the better list.
    .option('--limit <n>', 'how many', wholeNumber(1, 1_000), 20)
    .option('--running', 'only those that have not ended')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('list --running', 'list --limit 100 --json'))
    .action((options: Options) => run(() => list(options)));
};

async function list({ limit, running, json }: Options): Promise<number> {
  const { client } = await openTemporal(readSettings());
  const query = running ? `${PAID_RUNS} AND ${OPEN_QUERY}` : PAID_RUNS;
  const found = [];
  for await (const run of paidRuns(client, query)) {
    const { workflowId, type, startTime, closeTime, paid } = run;
    const { phase = null, taskId = null, model = null, status = null } = paid ?? {};
    const { reservedCredits = null, finalCredits = null } = paid ?? {};
    const task = { phase, taskId, model, status, reservedCredits, finalCredits };
    const durationMs = (closeTime ?? new Date()).getTime() - startTime.getTime();
    const times = { startedAt: startTime.toISOString(), durationMs };
    found.push({ workflowId, type, workflowStatus: run.status.name, ...task, ...times });
    if (found.length >= limit) break;
  }
  if (json) {
    printJson({ generations: found });
    return STATUS.done;
  }
  const rows = found.map((one) => [
    one.workflowId,
    one.phase === 'held' && one.workflowStatus === 'RUNNING' ? 'HELD' : one.workflowStatus,
    one.taskId,
    // `final_credits` may stay 0 until the task has ended, and a Workflow can end before its task.
    (isSettled(one) ? one.finalCredits : null) ?? one.reservedCredits,
    one.startedAt.slice(0, 19).replace('T', ' '),
    formatDuration(one.durationMs),
  ]);
  if (rows.length === 0) say('No generations. Start one with: rivya-temporal generate --model z-image --prompt "…"');
  else printTable([['WORKFLOW ID', 'STATUS', 'TASK', 'CREDITS', 'STARTED (UTC)', 'DURATION'], ...rows]);
  return STATUS.done;
}
