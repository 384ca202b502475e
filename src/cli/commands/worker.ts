import { localSession } from '../context.js';
import { examples, type Register } from '../options.js';

export const registerWorker: Register = (program, run) => {
  program
    .command('worker')
    .description('Run the Workers by the settings (RIVYA_*, TEMPORAL_*) until SIGTERM or Ctrl-C.')
    .addHelpText('after', examples('worker'))
    .action(() =>
      run(async () => {
        const { runWorker } = await import('../../../worker.js');
        const session = await localSession();
        return runWorker(process.env, session?.address);
      }),
    );
};
