import { readFileSync } from 'node:fs';
import type { EmulatorOptions, Fault } from '../../emulator/index.js';
import { DEFAULT_SWITCHES } from '../../emulator/switches.js';
import { STATUS, UsageError } from '../errors.js';
import { collect, examples, PORT, positiveNumber, wholeNumber, type Register } from '../options.js';
import { print, printJson, say } from '../output.js';
import { interruption, whenAborted } from '../signals.js';

interface Options extends Required<Pick<EmulatorOptions, 'port' | 'host' | 'speed' | 'credits'>> {
  readonly rateLimit: number;
  readonly stateFile?: string;
  readonly switch?: readonly string[];
  readonly faults?: string;
  readonly json?: boolean;
}

export const registerEmulator: Register = (program, run) => {
  program
    .command('emulator')
    .description('Run the Rivya API as a local server until Ctrl-C. Nothing it does costs money.')
    .option('--port <n>', 'port to listen on; 0 for any', PORT, 0)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--speed <x>', 'tasks age this much faster', positiveNumber, 1)
    .option('--credits <n>', 'credits of the account at the start', wholeNumber(0, 1_000_000_000), 1_000)
    .option('--rate-limit <n>', 'calls a minute for each key', wholeNumber(1, 1_000_000), 600)
    .option('--state-file <file>', 'keep tasks, keys and credits in this file')
    .option('--switch <name=value>', 'answer what the documentation leaves open in another way; repeatable', collect)
    .option('--faults <json|@file>', 'faults on demand, a JSON array')
    .option('--json', 'print the settings for it as one JSON document')
    .addHelpText('after', `\nSwitches: ${Object.keys(DEFAULT_SWITCHES).join(', ')}. All of it: docs/emulator.md`)
    .addHelpText(
      'after',
      examples(
        'emulator --port 8787 --speed 10',
        'emulator --switch createStatus=202 --faults \'[{"on":"status","times":3,"do":{"kind":"error","code":"rate_limited"}}]\'',
      ),
    )
    .action((options: Options) => run(() => emulator(options)));
};

async function emulator(options: Options): Promise<number> {
  const { port, host, speed, credits, rateLimit: rateLimitPerMinute, stateFile } = options;
  const switches = Object.fromEntries((options.switch ?? []).map(readSwitch));
  const faults = readFaults(options.faults ?? '[]');
  const state = stateFile === undefined ? {} : { stateFile };
  const settings = { port, host, speed, credits, rateLimitPerMinute, switches, faults, ...state };
  const interrupted = interruption();
  const { startEmulator } = await import('../../emulator/index.js');
  const running = await startEmulator(settings).catch((error: unknown) => {
    throw new UsageError(`The emulator did not start: ${(error as Error).message}`);
  });
  const { url, apiKey } = running;
  const env = { RIVYA_BASE_URL: url, RIVYA_API_KEY: apiKey, RIVYA_TRUSTED_RESULT_HOSTS: new URL(url).host };
  if (options.json) printJson(env);
  else for (const [name, value] of Object.entries(env)) print(`${name}=${value}`);
  say('The emulator runs until Ctrl-C; with the settings above a Worker and this command use it.');
  await whenAborted(interrupted);
  await running.close();
  return STATUS.done;
}

function readSwitch(assignment: string): [string, unknown] {
  const at = assignment.indexOf('=');
  if (at < 1) throw new UsageError(`--switch: "${assignment}" is not name=value.`);
  const text = assignment.slice(at + 1);
  const value =
    text === 'true' || text === 'false' ? text === 'true' : /^-?\d+$|^Infinity$/.test(text) ? Number(text) : text;
  return [assignment.slice(0, at), value];
}

function readFaults(source: string): Fault[] {
  try {
    const faults = JSON.parse(source.startsWith('@') ? readFileSync(source.slice(1), 'utf8') : source) as unknown;
    if (!Array.isArray(faults)) throw new TypeError('a JSON array is needed');
    // The emulator itself refuses what is no fault.
    return faults as Fault[];
  } catch (error) {
    throw new UsageError(`--faults: ${(error as Error).message}.`);
  }
}
