import { readSettings } from '../../config.js';
import { known, openTemporal } from '../context.js';
import { examples, type Register } from '../options.js';
import { followAndReport } from '../report.js';
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
  const { taskQueue, startTime } = description;
  const options = { json, interrupted: interruption(), startedAt: startTime.getTime() };
  return followAndReport({ ...temporal, taskQueue }, handle, options);
}
