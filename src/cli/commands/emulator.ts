import { readFileSync } from 'node:fs';
import type { EmulatorOptions, Fault } from '../../emulator/index.js';
import { DEFAULT_SWITCHES } from '../../emulator/switches.js';
import { STATUS, UsageError } from '../errors.js';
import { collect, examples, PORT, wholeNumber, type Flags, type Lists, type Register, type Texts } from '../options.js';
import { print, printJson, say } from '../output.js';
import { interruption, whenAborted } from '../terminal.js';

type Options = Texts<'stateFile' | 'faults'> & Lists<'switch'> & Flags<'json'> & Parsed;
type Parsed = Required<Pick<EmulatorOptions, 'port' | 'host' | 'speed' | 'credits'>> & { readonly rateLimit: number };

const FAULTS = '[{"on":"status","times":3,"do":{"kind":"error","code":"rate_limited"}}]';

export const register: Register = (command) => {
  command
    .option('--port <n>', 'port to listen on; 0 for any', PORT, 0)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--speed <x>', 'tasks age this much faster', wholeNumber(1, 1_000_000), 1)
    .option('--credits <n>', 'credits of the account at the start', wholeNumber(0, 1_000_000_000), 1_000)
    .option('--rate-limit <n>', 'calls a minute for each key', wholeNumber(1, 1_000_000), 600)
    .option('--state-file <file>', 'keep tasks, keys and credits in this file')
    .option('--switch <name=value>', 'choose another answer where the documentation is silent; repeatable', collect)
    .option('--faults <json|@file>', 'faults on demand, a JSON array')
    .addHelpText('after', `\nSwitches: ${Object.keys(DEFAULT_SWITCHES).join(', ')}. All of it: docs/emulator.md`)
    .addHelpText('after', examples('emulator --port 8787 --speed 10', `emulator --faults '${FAULTS}'`));
  return emulator;
};

async function emulator({ rateLimit, switch: given = [], faults = '[]', json, ...options }: Options): Promise<number> {
  const switches = Object.fromEntries(given.map(readSwitch));
  const settings = { ...options, rateLimitPerMinute: rateLimit, switches, faults: readFaults(faults) };
  const interrupted = interruption();
  const { startEmulator } = await import('../../emulator/index.js');
  const running = await startEmulator(settings).catch((error: unknown) => {
    throw new UsageError(`The emulator did not start: ${(error as Error).message}`);
  });
  const { url, apiKey } = running;
  const env = { RIVYA_BASE_URL: url, RIVYA_API_KEY: apiKey, RIVYA_TRUSTED_RESULT_HOSTS: new URL(url).host };
  if (json) printJson(env);
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
  const isNumber = /^-?\d+$|^Infinity$/.test(text);
  return [assignment.slice(0, at), /^(true|false)$/.test(text) ? text === 'true' : isNumber ? Number(text) : text];
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
