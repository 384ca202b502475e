import { memoOf } from '../../client.js';
import { readSettings } from '../../config.js';
import { isOpen } from '../../contract/index.js';
import { money } from '../../policy/index.js';
import { unpolled } from '../../temporal/pollers.js';
import { known, openTemporal, workflowLink } from '../context.js';
import { STATUS, withAction } from '../errors.js';
import { isFull, resumeHint } from '../follow.js';
import { examples, type Register } from '../options.js';
import { print, printJson, printTable } from '../output.js';

export const registerStatus: Register = (program, run) => {
  program
    .command('status')
    .description('Show where a generation is: by asking its Worker, or from the memo when no Worker answers.')
    .argument('<workflow-id>', 'Workflow ID, as generate or list printed it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('status z-image-a-red-fox-1a2b3c --json'))
    .action((workflowId: string, options: { json?: boolean }) => run(() => status(workflowId, options.json === true)));
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
