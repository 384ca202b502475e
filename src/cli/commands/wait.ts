import { readSettings } from '../../config.js';
import { unpolled } from '../../temporal/pollers.js';
import { openTemporal } from '../context.js';
import { follow } from '../follow.js';
import { known } from '../known.js';
import { workflowLink } from '../links.js';
import { examples, type Register } from '../options.js';
import { Progress } from '../output.js';
import { report } from '../report.js';
import { interruption } from '../signals.js';

export const registerWait: Register = (program, run) => {
  program
    .command('wait')
    .description('Wait for a generation that was started before; same output and exit status as generate.')
    .argument('<workflow-id>', 'Workflow ID, as generate or list printed it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('wait z-image-a-red-fox-1a2b3c'))
    .action((workflowId: string, options: { json?: boolean }) => run(() => wait(workflowId, options.json === true)));
};

async function wait(workflowId: string, json: boolean): Promise<number> {
  const temporal = await openTemporal(readSettings());
  const { handle, description } = await known(temporal, workflowId);
  const ending = await follow(handle, {
    progress: new Progress(),
    interrupted: interruption(),
    waitWhileHeld: process.stderr.isTTY,
    noWorker: () => unpolled(temporal.client, description.taskQueue),
    startedAt: description.startTime.getTime(),
  });
  return report(ending, { json, workflowId, link: workflowLink(temporal.uiUrl, temporal.namespace, workflowId) });
}
