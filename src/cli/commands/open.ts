import { workflowLink } from '../../temporal/links.js';
import { findWorkflow, openTemporal } from '../context.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, type Flags, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { showInBrowser } from '../show.js';

export const register: Register = (command) => {
  command.addHelpText('after', `${examples('open my-video')}\n\nWith --json the address is only printed.`);
  return open;
};

async function open({ json = false }: Flags<'json'>, workflowId = ''): Promise<number> {
  const temporal = await openTemporal();
  await findWorkflow(temporal, workflowId);
  const url = workflowLink(temporal, workflowId);
  if (url === null) throw new UsageError('No Temporal UI is known. Set RIVYA_UI_URL to its address.');
  if (json) {
    printJson({ workflowId, url });
    return STATUS.done;
  }
  print(url);
  const problem = await showInBrowser(url);
  if (problem !== null) say(`It could not be opened (${problem}). Open the address in a browser.`);
  return STATUS.done;
}
