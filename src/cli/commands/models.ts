import { Option } from 'commander';
import { openApi } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, type Register } from '../options.js';
import { printJson, printTable, say } from '../output.js';

export const registerModels: Register = (program, run) => {
  program
    .command('models')
    .description('List the models of the API; needs no key.')
    .addOption(new Option('--category <name>', 'only these').choices(['image', 'video', 'audio', 'chat']))
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('models --category video'))
    .action((options: { category?: string; json?: boolean }) => run(() => models(options)));
};

async function models({ category, json }: { category?: string; json?: boolean }): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { models: all, simulated } = await api.listModels();
  const chosen = all.filter((model) => category === undefined || model.category === category);
  if (json) {
    printJson({ simulated, models: chosen });
    return STATUS.done;
  }
  const rows = chosen.map(({ id, category: kind, baseCredits, apiStatus, supportedModes }) => [
    id,
    kind,
    baseCredits,
    apiStatus,
    supportedModes.join(', '),
  ]);
  printTable([['MODEL', 'CATEGORY', 'FROM CREDITS', 'STATUS', 'MODES'], ...rows]);
  if (simulated) say(`Simulated: the emulator at ${baseUrl} answered.`);
  return STATUS.done;
}
