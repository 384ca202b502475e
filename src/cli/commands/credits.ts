import { openApi } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';

export const registerCredits: Register = (program, run) => {
  program
    .command('credits')
    .description('Show the credits of the account behind the API key.')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('credits --json'))
    .action((options: { json?: boolean }) => run(() => credits(options.json === true)));
};

async function credits(json: boolean): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { currentCredits, simulated } = await api.getCredits();
  if (json) printJson({ simulated, currentCredits });
  else print(currentCredits === null ? 'not reported' : String(currentCredits));
  if (simulated && !json) say(`Simulated: the emulator at ${baseUrl} answered.`);
  return STATUS.done;
}
