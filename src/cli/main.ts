#!/usr/bin/env node
/** The command `rivya-temporal`. Results go to stdout, everything else to stderr. */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { judge, STATUS } from './errors.js';
import { leavesOf } from './completion.js';
import { MODULES } from './modules.js';
import { examples } from './options.js';
import { finish, printJson, say } from './output.js';
import { BY_ITSELF, COMMANDS } from './table.js';

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };

const BATCH = [
  'batch run prompts.csv --first 10',
  'batch status prompts --watch',
  'batch report prompts --open',
  'batch download prompts ./here',
];

const ACCOUNT = [
  'account --watch',
  'account stop --reason "the campaign is over"',
  'account set-rate 30',
  'account release insufficient_credits',
];

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
for (const [name, description] of Object.entries(COMMANDS)) {
  const group = program.commands.find((command) => name.startsWith(`${command.name()} `));
  const within = name.slice((group?.name().length ?? 0) + 1);
  if (group === undefined) program.command(name).description(description);
  else group.command(within, { isDefault: BY_ITSELF[group.name()] === within }).description(description);
}
program.commands
  .find((command) => command.name() === 'batch')
  ?.addHelpText('after', `${examples(...BATCH)}\n\nEach of them has --help, and prints one JSON document with --json.`);
program.commands
  .find((command) => command.name() === 'account')
  ?.addHelpText(
    'after',
    `${examples(...ACCOUNT)}\n\nWithout a command of its own it shows the account. Each takes --json.`,
  );
const named = (commands: readonly Command[], words: readonly string[]): Command | undefined =>
  words.map((word) => commands.find((command) => command.name() === word)).find((command) => command !== undefined);

try {
  const words = process.argv.slice(2);
  const asked = named(program.commands, words);
  const withinOf = (group: Command): Command | undefined =>
    named(group.commands, words.slice(words.indexOf(group.name()) + 1)) ??
    named(group.commands, [BY_ITSELF[group.name()] ?? '']);
  const needsAll = asked?.name() === 'completion';
  for (const { command, path } of leavesOf(program)) {
    const [top = '', within] = path.split(' ');
    // Only the command that is asked for is loaded, with its options: all of them together take half a second.
    const isAsked = top === asked?.name() && (within === undefined || command === withinOf(asked));
    if (!needsAll && !isAsked) continue;
    const load = MODULES[path];
    if (load === undefined) throw new Error(`The command "${path}" is missing in src/cli/modules.ts.`);
    const { register } = await load();
    const work = register(command);
    command.option('--json', 'print one JSON document').action(async () => {
      const { unknownSettings } = await import('../config.js');
      for (const warning of unknownSettings()) say(warning);
      status = await work(command.opts<never>(), ...command.args);
    });
  }
  await program.parseAsync();
} catch (error) {
  const { status: judged, ...problem } = judge(error);
  status = judged;
  // Commander has printed what it found.
  if (!(error instanceof CommanderError)) say(problem.message);
  if (process.env['RIVYA_DEBUG'] && error instanceof Error) say(error.stack ?? '');
  if (status !== STATUS.done && process.argv.includes('--json')) printJson({ status: 'error', error: problem });
}
await finish(status);
