import { setTimeout as sleep } from 'node:timers/promises';
import { memoOf, type GenerationHandle } from '../../client.js';
import { readSettings } from '../../config.js';
import { isOpen, type ResumeInput } from '../../contract/index.js';
import { money } from '../../policy/index.js';
import { unpolled } from '../../temporal/pollers.js';
import { find, known, openTemporal, workflowLink, type Temporal } from '../context.js';
import { STATUS, UsageError, withAction } from '../errors.js';
import { isFull, resumeHint } from '../follow.js';
import { examples, type Register } from '../options.js';
import { print, printJson, printTable, quoted } from '../output.js';
import { followAndReport } from '../report.js';
import { failureOf, printRows, rowOf, rowsOf } from '../rows.js';
import { interruption } from '../signals.js';
import { oneToResume, stepsOf } from '../steps.js';

interface Options extends ResumeInput {
  readonly step?: string;
  readonly json?: boolean;
}

type Found = Awaited<ReturnType<typeof find>>;

const NO_WORKER = 'No Worker answers, so it waits as a Signal until one does. Start one with: rivya-temporal worker';
// A Worker ends a Workflow at once, unless a POST is under way: that is never broken off.
const CANCEL_MS = 5_000;

/** The commands about one generation: `status`, `wait`, `resume`, `check-now`, `cancel`. */
export const registerOne: Register = (program, run) => {
  const command = (
    [name, description, example]: readonly [string, string, string],
    act: (temporal: Temporal, workflowId: string, options: Options) => Promise<number>,
  ): ReturnType<typeof program.command> =>
    program
      .command(name)
      .description(description)
      .argument('<workflow-id>', 'Workflow ID, as generate or list printed it')
      .option('--json', 'print one JSON document')
      .addHelpText('after', examples(example))
      .action((id: string, options: Options) => run(async () => act(await openTemporal(readSettings()), id, options)));

  command(
    [
      'status',
      'Show where a generation is, by its Worker or by its memo; or the steps of a Workflow of your own.',
      'status z-image-a-red-fox-1a2b3c --json',
    ],
    status,
  );
  command(
    [
      'wait',
      'Wait for a generation that was started before; same output and exit status as generate.',
      'wait z-image-a-red-fox-1a2b3c',
    ],
    wait,
  );
  command(
    [
      'resume',
      'Let a held generation, or the held step of a Workflow of your own, go on, once its cause is mended.',
      'resume film-1 --step hero-image',
    ],
    async (temporal, id, { step, json, ...input }) => {
      const { handle } = await oneToResume(temporal, id, step);
      const applied = (await handle.resume(input)) === 'resumed';
      const next = `Resumed. Take up the wait with: rivya-temporal wait ${quoted(handle.workflowId)}`;
      return tell(handle, json, applied, applied ? next : NO_WORKER);
    },
  )
    .option('--step <step>', 'which step of the Workflow; needed where several are held')
    .option('--task-id <id>', 'after an unanswered submit: its task, found in the Rivya Studio')
    .option('--reason <text>', 'after an unanswered submit: post again, although a task may exist and be paid for');
  command(
    ['check-now', 'Check the status now, never within 5 s of the last check.', 'check-now my-video'],
    async (temporal, id, { json }) => {
      const { handle } = await known(temporal, id);
      const applied = (await handle.checkNow()) === 'resumed';
      const next = 'The status is checked as soon as the last check is 5 s old.';
      return tell(handle, json, applied, applied ? next : NO_WORKER);
    },
  );
  command(
    ['cancel', 'Stop waiting for a generation. Its task goes on at Rivya, which has no cancel.', 'cancel my-video'],
    cancel,
  );
};

/** Says what came of steering: `applied` is false where that waits in Temporal for a Worker. */
function tell({ workflowId }: GenerationHandle, json = false, applied: boolean, message: string): number {
  if (json) printJson({ workflowId, applied, message });
  else print(message);
  return STATUS.done;
}

async function cancel(temporal: Temporal, id: string, { json }: Options): Promise<number> {
  const { handle, description } = await known(temporal, id);
  const look = `Look with: rivya-temporal status ${quoted(id)}`;
  const ended = (how: string): UsageError =>
    new UsageError(`"${id}" had ended before (${how}): nothing was cancelled. ${look}`);
  if (!isOpen(description.status.name)) throw ended(description.status.name.toLowerCase());
  await handle.cancel();
  const failure = await Promise.race([failureOf(handle), sleep(CANCEL_MS, 'open' as const)]);
  if (failure === 'open') {
    const [why = 'A submit that is under way is waited for.'] = await unpolled(temporal.client, description.taskQueue);
    return tell(handle, json, false, `The cancel is requested and has not taken effect yet. ${why} ${look}`);
  }
  if (failure?.code !== 'Cancelled') throw ended(failure?.code ?? 'completed');
  return tell(handle, json, true, `Cancelled. ${failure.details.action ?? ''}`.trimEnd());
}

async function status(temporal: Temporal, workflowId: string, { json }: Options): Promise<number> {
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
  const link = workflowLink(temporal, workflowId);
  const from = source === 'query' ? 'a Worker answered' : open ? 'from the memo: no Worker answers' : 'from the memo';
  const rows = [
    ['Workflow', `${row.workflowStatus.toLowerCase()} (${from})`],
    ['phase', state?.phase ?? 'not known yet'],
    ...noWorker.filter((sentence) => row.reason?.startsWith(sentence) !== true).map((says) => ['no Worker', says]),
    ...(row.reason === null || state?.hold != null ? [] : [['reason', row.reason]]),
    ['task', state?.taskId ?? (open ? 'none yet' : 'none')],
    ...(state?.status == null ? [] : [['Rivya says', state.status]]),
    ...(state === null ? [] : [['money', money(state)]]),
    ...(isFull(state)
      ? [['checks', `${state.statusChecks}${state.nextCheckAt === null ? '' : `, next at ${state.nextCheckAt}`}`]]
      : []),
    ...(state?.hold == null
      ? []
      : [['held', `${withAction(state.hold.message, state.hold.action)} ${resumeHint(workflowId)}`]]),
    ...(link === null ? [] : [['Temporal', link]]),
  ];
  print(workflowId);
  printTable(rows, '  ');
  return STATUS.done;
}

async function statusOfSteps(
  { client }: Temporal,
  workflowId: string,
  { type, status: { name: workflowStatus } }: Found['description'],
  json = false,
): Promise<number> {
  const runs = await stepsOf(client, workflowId);
  if (runs.length === 0) {
    throw new UsageError(`"${workflowId}" (${type}) has no steps: no generation or chat is named "${workflowId}/…".`);
  }
  const steps = (await rowsOf(client, runs)).map((row, n) => ({ ...row, step: runs[n]?.step ?? '' }));
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

async function wait(temporal: Temporal, workflowId: string, { json = false }: Options): Promise<number> {
  const { handle, description } = await known(temporal, workflowId);
  const { taskQueue, startTime } = description;
  const options = { json, interrupted: interruption(), startedAt: startTime.getTime() };
  return followAndReport({ ...temporal, taskQueue }, handle, options);
}
