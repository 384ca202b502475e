import { SettingsError } from '../../config.js';
import { localSession } from '../context.js';
import { examples, type Register } from '../options.js';
import { printJson } from '../output.js';

export const registerWorker: Register = (program, run) => {
  program
    .command('worker')
    .description('Run the Workers by the settings (RIVYA_*, TEMPORAL_*) until SIGTERM or Ctrl-C.')
    .option('--json', 'print one JSON document when the Workers are ready')
    .addHelpText('after', examples('worker'))
    .action(({ json }: { json?: boolean }) =>
      run(async () => {
        const { runWorker } = await import('../../../worker.js');
        const session = await localSession();
        if (session?.baseUrl != null) {
          throw new SettingsError(
            `The "dev" at ${session.address} is simulated, and this Worker would run its generations for real credits. Stop it, or set TEMPORAL_ADDRESS to the Temporal of this Worker.`,
          );
        }
        return runWorker(process.env, session?.address, undefined, json ? printJson : undefined);
      }),
    );
};
