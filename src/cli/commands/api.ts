import { Option } from 'commander';
import { openApi } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, type Register } from '../options.js';
import { print, printJson, printTable, say } from '../output.js';

/** The commands that ask the API: `models`, `credits`. */
export const registerApi: Register = (program, run) => {
  program
    .command('models')
    .description('List the models of the API; needs no key.')
    .addOption(new Option('--category <name>', 'only these').choices(['image', 'video', 'audio', 'chat']))
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('models --category video'))
    .action((options: { category?: string; json?: boolean }) => run(() => models(options)));

  program
    .command('credits')
    .description('Show the credits of the account behind the API key.')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('credits --json'))
    .action((options: { json?: boolean }) => run(() => credits(options.json === true)));
};

async function models({ category, json }: { category?: string; json?: boolean }): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { models: all, simulated } = await api.listModels();
  const chosen = all.filter((model) => category === undefined || model.category === category);
  if (json) {
    printJson({ simulated, models: chosen });
    return STATUS.done;
  }
  const rows = chosen.map((one) => [
    one.id,
    one.category,
    one.baseCredits,
    one.apiStatus,
    one.supportedModes.join(', '),
  ]);
  printTable([['MODEL', 'CATEGORY', 'FROM CREDITS', 'STATUS', 'MODES'], ...rows]);
  if (simulated) say(`Simulated: the emulator at ${baseUrl} answered.`);
  return STATUS.done;
}

async function credits(json: boolean): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { currentCredits, simulated } = await api.getCredits();
  if (json) printJson({ simulated, currentCredits });
  else print(currentCredits === null ? 'not reported' : String(currentCredits));
  if (simulated && !json) say(`Simulated: the emulator at ${baseUrl} answered.`);
  return STATUS.done;
}
