import { Option } from 'commander';
import { STATUS } from '../errors.js';
import { examples, type Flags, type Register, type Texts } from '../options.js';
import { modelOf, printModel, printModels } from '../models.js';
import { print, printJson, say } from '../output.js';
import { openReads } from '../read.js';

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
  const reads = await openReads();
  const { models: all, simulated } = await reads.listModels();
  const chosen = all.filter((model) => category === undefined || model.category === category);
  const one = id === undefined ? null : modelOf(chosen, id);
  if (json) printJson({ simulated, models: one === null ? chosen : [one] });
  else if (one === null) printModels(chosen);
  else printModel(one);
  return end(simulated && !json);
}

async function credits({ json }: Options): Promise<number> {
  const reads = await openReads();
  const { currentCredits, simulated } = await reads.getCredits();
  if (json) printJson({ simulated, currentCredits });
  else print(currentCredits === null ? 'not reported' : String(currentCredits));
  return end(simulated && !json);
}

function end(simulated: boolean): number {
  if (simulated) say('Simulated: an emulator of the API answered.');
  return STATUS.done;
}
