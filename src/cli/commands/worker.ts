import { SettingsError } from '../../config.js';
import { localSession } from '../context.js';
import { examples, type Register } from '../options.js';
import { printJson } from '../output.js';

export const register: Register = (command) => {
  command.addHelpText('after', examples('worker'));
  return worker;
};

async function worker({ json }: { json?: boolean }): Promise<number> {
  const { runWorker } = await import('../../../worker.js');
  const session = await localSession();
  if (session?.baseUrl != null) {
    throw new SettingsError(
      `The "dev" at ${session.address} is simulated, and this Worker would run its generations for real credits. Stop it, or set TEMPORAL_ADDRESS to the Temporal of this Worker.`,
    );
  }
  return runWorker(process.env, session?.address, undefined, json ? printJson : undefined);
}
