#!/usr/bin/env node
/** The command `rivya-temporal`. Results go to stdout, everything else to stderr. */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { registerApi } from './commands/api.js';
import { registerCharges } from './commands/charges.js';
import { registerDemo } from './commands/demo.js';
import { registerDev } from './commands/dev.js';
import { registerDoctor } from './commands/doctor.js';
import { registerEmulator } from './commands/emulator.js';
import { registerGenerate } from './commands/generate.js';
import { registerList } from './commands/list.js';
import { registerOne } from './commands/one.js';
import { registerRecover } from './commands/recover.js';
import { registerSetup } from './commands/setup.js';
import { registerWorker } from './commands/worker.js';
import { judge, STATUS, toJson, withAction } from './errors.js';
import { examples } from './options.js';
import { finish, printJson, say } from './output.js';

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };

let status: number = STATUS.done;
const program = new Command('rivya-temporal')
  .description('Runs paid, long-running media generations of the Rivya API as durable Temporal Workflows.')
  .version(version)
  .exitOverride()
  .configureOutput({ writeErr: (text) => say(text.trimEnd()) })
  .showHelpAfterError('(try --help)')
  .addHelpText(
    'after',
    `${examples('demo', 'dev', 'generate --model z-image --prompt "a red fox in the snow"')}

Exit status: 0 done; 1 a generation failed; 2 wrong usage, input or settings, nothing paid; 3 Temporal or the API
cannot be reached; 4 held, a person must act; 5 something could not be read, the rest is complete; 130 interrupted,
the work goes on.`,
  );
for (const register of [
  registerDemo,
  registerDev,
  registerWorker,
  registerGenerate,
  registerList,
  registerOne,
  registerRecover,
  registerCharges,
  registerApi,
  registerEmulator,
  registerDoctor,
  registerSetup,
]) {
  register(program, async (work) => {
    status = await work();
  });
}

try {
  await program.parseAsync();
} catch (error) {
  const verdict = judge(error);
  status = verdict.status;
  const printed = verdict.code === 'UsageError' && error instanceof Error && 'exitCode' in error;
  if (!printed) say(withAction(verdict.message, verdict.action));
  if (process.env['RIVYA_DEBUG'] && error instanceof Error) say(error.stack ?? '');
  if (status !== STATUS.done && process.argv.includes('--json')) {
    printJson({ status: 'error', error: toJson(verdict) });
  }
}
await finish(status);
