import { setTimeout as sleep } from 'node:timers/promises';
import { memoOf, type GenerationHandle } from '../../client.js';
import { readSettings } from '../../config.js';
import { isOpen } from '../../contract/index.js';
import { money } from '../../policy/index.js';
import { delayOf, workflowTaskProblem } from '../../temporal/pending.js';
import { unpolled } from '../../temporal/pollers.js';
import { bulk, isBulk, type BulkAction, type BulkOptions } from '../bulk.js';
import { find, known, openTemporal, type Temporal } from '../context.js';
import { STATUS, UsageError, withAction } from '../errors.js';
import { endingOf, isFull, resumeHint } from '../follow.js';
import { workflowLink } from '../../temporal/links.js';
import { examples, type Register } from '../options.js';
import { print, printFacts, printJson, quoted } from '../output.js';
import { followAndReport } from '../report.js';
import { printRows, rowOf, rowsOf } from '../rows.js';
import { interruption } from '../signals.js';
import { oneToResume, stepsOf } from '../steps.js';

type Found = Awaited<ReturnType<typeof find>>;

const NO_WORKER = 'No Worker answers, so it waits as a Signal until one does. Start one with: rivya-temporal worker';
// A Worker ends a Workflow at once, unless a POST is under way: that is never broken off.
const CANCEL_MS = 5_000;

/** The commands about one generation: `status`, `wait`, `resume`, `check-now`, `cancel`. */
export const registerOne: Register = (program, run) => {
  type Act = (temporal: Temporal, workflowId: string, options: BulkOptions) => Promise<number>;
  const command = ([name, description, example]: readonly [string, string, string], argument: string) =>
    program
      .command(name)
      .description(description)
      .argument(argument, 'Workflow ID, as generate or list printed it')
      .option('--json', 'print one JSON document')
      .addHelpText('after', examples(example));
  const look = (words: Parameters<typeof command>[0], act: Act) =>
    command(words, '<workflow-id>').action((id: string, options: BulkOptions) =>
      run(async () => act(await openTemporal(readSettings()), id, options)),
    );
  const steer = (words: readonly [BulkAction, string, string], act: Act) =>
    command(words, '[workflow-id]')
      .option('--query <visibility query>', 'all that it finds, instead of one; asks before it acts')
      .option('--yes', 'with --query: do not ask')
      .action((id: string | undefined, options: BulkOptions) =>
        run(async () => {
          if (isBulk(id, options)) return bulk(words[0], options);
          return act(await openTemporal(readSettings()), id ?? '', options);
        }),
      );

  look(['status', 'Show where a generation is, or the steps of a Workflow.', 'status film-1 --json'], status);
  look(['wait', 'Wait for a generation; same output and exit status as generate.', 'wait my-video'], wait);
  steer(
    ['resume', 'Let a held generation or step go on, once its cause is mended.', 'resume film-1 --step hero-image'],
    async (temporal, id, { step, json, taskId, reason }) => {
      const { handle } = await oneToResume(temporal, id, step);
      const next = `Resumed. Take up the wait with: rivya-temporal wait ${quoted(handle.workflowId)}`;
      return tell(handle, json, await handle.resume({ ...(taskId && { taskId }), ...(reason && { reason }) }), next);
    },
  )
    .option('--step <step>', 'which step of the Workflow; needed where several are held')
    .option('--task-id <id>', 'after an unanswered submit: its task, found in the Rivya Studio')
    .option('--reason <text>', 'after an unanswered submit: post again, although a task may exist and be paid twice');
  steer(
    ['check-now', 'Check the status now, never within 5 s of the last check.', 'check-now my-video'],
    async (temporal, id, { json }) => {
      const { handle } = await known(temporal, id);
      const { phase = 'waiting' } = (await handle.state()) ?? {};
      if (phase !== 'waiting') throw new UsageError(`"${id}" waits for no check (it is ${phase}): nothing was sent.`);
      return tell(handle, json, await handle.checkNow(), 'The status is checked as soon as the last check is 5 s old.');
    },
  );
  steer(
    ['cancel', 'Stop waiting for a generation. Its task goes on at Rivya, which has no cancel.', 'cancel my-video'],
    cancel,
  );
};

/** Says what came of steering, or that it waits in Temporal. */
function tell(
  { workflowId }: GenerationHandle,
  json = false,
  done: 'resumed' | 'sent',
  message: string,
  otherwise = NO_WORKER,
): number {
  const applied = done === 'resumed';
  const says = applied ? message : otherwise;
  if (json) printJson({ workflowId, applied, message: says });
  else print(says);
  return STATUS.done;
}

async function cancel(temporal: Temporal, id: string, { json }: BulkOptions): Promise<number> {
  const { handle, description } = await known(temporal, id);
  const look = `Look with: rivya-temporal status ${quoted(id)}`;
  const ended = (how: string): UsageError =>
    new UsageError(`"${id}" had ended before (${how}): nothing was cancelled. ${look}`);
  if (!isOpen(description.status.name)) throw ended(description.status.name.toLowerCase());
  await handle.cancel();
  const ending = await Promise.race([endingOf(handle), sleep(CANCEL_MS, null)]);
  const { code = 'completed', details } = ending?.kind === 'failure' ? ending.error : {};
  if (ending !== null && code !== 'Cancelled') throw ended(code);
  const { reason = 'a submit that is under way is waited for' } =
    (await delayOf(temporal.client, await handle.describe())) ?? {};
  const requested = `The cancel is requested and has not taken effect yet: ${reason.replace(/\.$/, '')}. ${look}`;
  const cancelled = `Cancelled. ${details?.action ?? ''}`.trimEnd();
  return tell(handle, json, ending === null ? 'sent' : 'resumed', cancelled, requested);
}

async function status(temporal: Temporal, workflowId: string, { json }: BulkOptions): Promise<number> {
  const { client } = temporal;
  const { handle, description, isPaid } = await find(temporal, workflowId);
  if (!isPaid) return statusOfSteps(temporal, workflowId, description, json);
  const row = await rowOf(client, { ...description, paid: memoOf(description) });
  const open = isOpen(row.workflowStatus);
  // A Workflow that has ended wrote its last word into the memo.
  const state = open ? await handle.state() : memoOf(description);
  const noWorker = open ? await unpolled(client, description.taskQueue) : [];
  const source = isFull(state) ? 'query' : 'memo';
  if (json) {
    printJson({ ...row, source, noWorker, ...state });
    return STATUS.done;
  }
  const problem = open ? workflowTaskProblem(description.raw) : null;
  const silent = problem === null && open ? ': no Worker answers' : '';
  const from = source === 'query' ? 'a Worker answered' : `from the memo${silent}`;
  const noteworthy = noWorker.filter((sentence) => row.reason?.includes(sentence) !== true);
  const next = isFull(state) && state.nextCheckAt !== null ? `, next at ${state.nextCheckAt}` : '';
  printFacts(workflowId, [
    ['Workflow', `${row.workflowStatus.toLowerCase()} (${from})`],
    ['phase', state?.phase ?? 'not known yet'],
    ...noteworthy.map((sentence) => ['no Worker', sentence] as const),
    ['problem', row.reason === problem ? null : problem],
    ['reason', row.reason],
    ['what to do', state?.hold && `${state.hold.action} ${resumeHint(workflowId)}`],
    ['task', state?.taskId ?? (open ? 'none yet' : 'none')],
    ['Rivya says', state?.status],
    ['money', state && money(state)],
    ['checks', isFull(state) ? `${state.statusChecks}${next}` : null],
    ['Temporal', workflowLink(temporal, workflowId)],
  ]);
  return STATUS.done;
}

async function statusOfSteps(
  { client }: Temporal,
  workflowId: string,
  { type, status: { name: workflowStatus } }: Found['description'],
  json = false,
): Promise<number> {
  const steps = await rowsOf(client, await stepsOf(client, workflowId));
  if (steps.length === 0) {
    throw new UsageError(`"${workflowId}" (${type}) has no steps: no generation or chat is named "${workflowId}/…".`);
  }
  if (json) {
    printJson({ workflowId, type, workflowStatus, steps });
    return STATUS.done;
  }
  print(`${workflowId} (${type}): ${workflowStatus.toLowerCase()}`);
  printRows(steps, 'STEP');
  for (const { step, workflowId: id, state, hold } of steps) {
    if (state === 'held' && hold !== null) print(`${step}: ${withAction(hold.message, hold.action)} ${resumeHint(id)}`);
  }
  return STATUS.done;
}

async function wait(temporal: Temporal, workflowId: string, { json = false }: BulkOptions): Promise<number> {
  const { handle, description } = await known(temporal, workflowId);
  return followAndReport(temporal, handle, { json, interrupted: interruption(), startedAt: +description.startTime });
}
