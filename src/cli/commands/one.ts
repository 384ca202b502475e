import { memoOf, type GenerationHandle } from '../../client.js';
import { readSettings } from '../../config.js';
import { isOpen, type ResumeInput } from '../../contract/index.js';
import { money } from '../../policy/index.js';
import { unpolled } from '../../temporal/pollers.js';
import { bulk, isBulk, type BulkAction, type BulkOptions } from '../bulk.js';
import { known, openTemporal, workflowLink } from '../context.js';
import { STATUS, withAction } from '../errors.js';
import { isFull, resumeHint } from '../follow.js';
import { examples, type Register } from '../options.js';
import { print, printJson, printTable } from '../output.js';
import { followAndReport } from '../report.js';
import { interruption } from '../signals.js';

const NO_WORKER = 'No Worker answers, so it waits as a Signal until one does. Start one with: rivya-temporal worker';

/** The commands about one generation: `status`, `wait`, `resume`, `check-now`, `cancel`. */
export const registerOne: Register = (program, run) => {
  const command = (
    name: string,
    description: string,
    example: string,
    argument = '<workflow-id>',
  ): ReturnType<typeof program.command> =>
    program
      .command(name)
      .description(description)
      .argument(argument, 'Workflow ID, as generate or list printed it')
      .addHelpText('after', examples(example));

  command(
    'status',
    'Show where a generation is: by asking its Worker, or from the memo when no Worker answers.',
    'status z-image-a-red-fox-1a2b3c --json',
  )
    .option('--json', 'print one JSON document')
    .action((workflowId: string, options: { json?: boolean }) => run(() => status(workflowId, options.json === true)));

  command(
    'wait',
    'Wait for a generation that was started before; same output and exit status as generate.',
    'wait z-image-a-red-fox-1a2b3c',
  )
    .option('--json', 'print one JSON document')
    .action((workflowId: string, options: { json?: boolean }) => run(() => wait(workflowId, options.json === true)));

  const steering = (
    [name, ...words]: [BulkAction, description: string, example: string],
    act: (handle: GenerationHandle, options: ResumeInput) => Promise<string>,
  ): ReturnType<typeof program.command> =>
    command(name, ...words, '[workflow-id]')
      .option('--query <visibility query>', 'all that it finds, instead of one; asks before it acts')
      .option('--yes', 'with --query: do not ask')
      .option('--json', 'with --query: print one JSON document')
      .action((workflowId: string, options: BulkOptions) =>
        run(async () => {
          if (isBulk(workflowId, options)) return bulk(name, options);
          const { query: _query, yes: _yes, json: _json, ...input } = options;
          const { handle } = await known(await openTemporal(readSettings()), workflowId);
          print(await act(handle, input));
          return STATUS.done;
        }),
      );

  steering(
    ['resume', 'Let a held generation go on, once its cause is mended.', 'resume z-image-a-red-fox-1a2b3c'],
    async (handle, options) => {
      const done = await handle.resume(options);
      return done === 'sent' ? NO_WORKER : `Resumed. Take up the wait with: rivya-temporal wait ${handle.workflowId}`;
    },
  )
    .option('--task-id <id>', 'after an unanswered submit: its task, found in the Rivya Studio')
    .option(
      '--reason <text>',
      'after an unanswered submit: post again, although a task may exist: it may be paid twice; with --query, each that was counted',
    );

  steering(
    ['check-now', 'Check the status now, never within 5 s of the last check.', 'check-now my-video'],
    async (handle) => {
      const done = await handle.checkNow();
      return done === 'sent' ? NO_WORKER : 'The status is checked as soon as the last check is 5 s old.';
    },
  );

  steering(
    ['cancel', 'Stop waiting for a generation. Its task goes on at Rivya, which has no cancel.', 'cancel my-video'],
    async (handle) => {
      const state = await handle.state();
      await handle.cancel();
      const task = state?.taskId ?? null;
      return task === null
        ? 'Cancelled. If a task comes of a submit that is under way, its ID stands in the memo: rivya-temporal status'
        : `Cancelled. Task ${task} goes on at Rivya; take it up without paying: rivya-temporal generate --model ${state?.model} --task-id ${task}`;
    },
  );
};

async function status(workflowId: string, json: boolean): Promise<number> {
  const temporal = await openTemporal(readSettings());
  const { handle, description } = await known(temporal, workflowId);
  const workflowStatus = description.status.name;
  const open = isOpen(workflowStatus);
  // A Workflow that has ended wrote its last word into the memo.
  const state = open ? await handle.state() : memoOf(description);
  const noWorker = open ? await unpolled(temporal.client, description.taskQueue) : [];
  const source = isFull(state) ? 'query' : 'memo';
  if (json) {
    printJson({ workflowId, workflowStatus, source, noWorker, ...state });
    return STATUS.done;
  }
  const link = workflowLink(temporal, workflowId);
  const from = source === 'query' ? 'a Worker answered' : open ? 'from the memo: no Worker answers' : 'from the memo';
  const rows = [
    ['Workflow', `${workflowStatus.toLowerCase()} (${from})`],
    ['phase', state?.phase ?? 'not known yet'],
    ...noWorker.map((sentence) => ['no Worker', sentence]),
    ['task', state?.taskId ?? 'none yet'],
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

async function wait(workflowId: string, json: boolean): Promise<number> {
  const temporal = await openTemporal(readSettings());
  const { handle, description } = await known(temporal, workflowId);
  const { taskQueue, startTime } = description;
  const options = { json, interrupted: interruption(), startedAt: startTime.getTime() };
  return followAndReport({ ...temporal, taskQueue }, handle, options);
}
