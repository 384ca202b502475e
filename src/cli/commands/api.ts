import { Option } from 'commander';
import { openApi } from '../context.js';
import { STATUS } from '../errors.js';
import { examples, type Flags, type Register, type Texts } from '../options.js';
import { modelOf, printModel, printModels } from '../models.js';
import { print, printJson, say } from '../output.js';

type Options = Texts<'category'> & Flags<'json'>;

/** The commands that ask the API: `models`, `credits`. */
export const register: Register = (command) => {
  if (command.name() === 'credits') {
    command.addHelpText('after', examples('credits --json'));
    return credits;
  }
  command
    .addOption(new Option('--category <name>', 'only these').choices(['image', 'video', 'audio', 'chat']))
    .addHelpText('after', examples('models --category video', 'models sora-2'));
  return models;
};

async function models({ category, json }: Options, id?: string): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { models: all, simulated } = await api.listModels();
  const chosen = all.filter((model) => category === undefined || model.category === category);
  const one = id === undefined ? null : modelOf(chosen, id);
  if (json) printJson({ simulated, models: one === null ? chosen : [one] });
  else if (one === null) printModels(chosen);
  else printModel(one);
  return end(simulated && !json, baseUrl);
}

async function credits({ json }: Options): Promise<number> {
  const { api, baseUrl } = await openApi();
  const { currentCredits, simulated } = await api.getCredits();
  if (json) printJson({ simulated, currentCredits });
  else print(currentCredits === null ? 'not reported' : String(currentCredits));
  return end(simulated && !json, baseUrl);
}

function end(simulated: boolean, baseUrl: string): number {
  if (simulated) say(`Simulated: the emulator at ${baseUrl} answered.`);
  return STATUS.done;
}
