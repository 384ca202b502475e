import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasKey } from '../../config.js';
import { configuredAddress } from '../../temporal/connect.js';
import { dataDirectory, findSession, publishSession, withdrawSession } from '../../local/dev-session.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, PORT, type Register } from '../options.js';
import { printJson, say } from '../output.js';
import { interruption, whenAborted } from '../signals.js';

interface Options {
  readonly dataDir?: string;
  readonly port: number;
  readonly uiPort: number;
  readonly emulatorPort: number;
  readonly memory?: boolean;
  readonly json?: boolean;
}

// Temporal's own default ports, which its tools look for.
const TEMPORAL_PORT = 7233;
const UI_PORT = 8233;
// The same one at each start: receipts are kept by the address of the API.
const EMULATOR_PORT = 4010;
// A closed Workflow is the record of what was paid; the dev server's own default is a day.
const RETENTION_DAYS = 30;

export const registerDev: Register = (program, run) => {
  program
    .command('dev')
    .description('Run Temporal with its UI, the Worker, and the emulator when no key is set, until Ctrl-C.')
    .option('--data-dir <directory>', 'where the state is kept (default: the data directory of the system)')
    .option('--port <n>', 'port of Temporal; another one where it is taken', PORT, TEMPORAL_PORT)
    .option('--ui-port <n>', 'port of the Temporal UI; another one where it is taken', PORT, UI_PORT)
    .option('--emulator-port <n>', 'port of the emulator; another one where it is taken', PORT, EMULATOR_PORT)
    .option('--memory', 'keep nothing: the state is gone at the end')
    .option('--json', 'print one JSON document when all is ready')
    .addHelpText('after', examples('dev', 'dev --memory --port 0 --ui-port 0'))
    .action((options: Options) => run(() => dev(options)));
};

async function dev({ dataDir = dataDirectory(), memory = false, json, ...ports }: Options): Promise<number> {
  const directory = path.resolve(dataDir);
  if (dataDir.trim() === '') throw new UsageError('--data-dir: is empty.');
  try {
    // The state holds prompts and results: nobody else's business.
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new UsageError(`--data-dir: ${directory} cannot be written (${(error as NodeJS.ErrnoException).code}).`);
  }
  const runs = (who: string): UsageError =>
    new UsageError(`Another "rivya-temporal dev"${who} uses ${directory}. Stop it first, or give --data-dir.`);
  const other = await findSession(directory);
  if (other !== null) throw runs(` (process ${other.pid}, Temporal at ${other.address})`);

  const interrupted = interruption();
  const real = hasKey();
  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../../local/stack.js');
  const stack = await startStack({
    env: process.env,
    log: say,
    defaultStore: 'file:./output',
    server: {
      port: ports.port,
      uiPort: ports.uiPort,
      retentionDays: RETENTION_DAYS,
      // Workflows that wait for tasks of the emulator must never meet the API, which would be paid for them.
      ...(!memory && { dbFilename: path.join(directory, real ? 'temporal.db' : 'simulated.db') }),
    },
    // Tasks of the emulator must live as long as the Workflows that wait for them.
    emulatorState: memory ? undefined : path.join(directory, 'emulator.json'),
    emulatorPort: ports.emulatorPort,
    ownQueue: false,
  });
  const { settings, emulatorUrl, address, uiUrl, namespace } = stack;
  const { taskQueue } = settings;
  const store = settings.store === null ? null : anywhere(settings.store.address);
  const pid = process.pid;
  try {
    // Where Temporal's settings name a server, the other commands find it by them.
    const session = { pid, address, uiUrl, baseUrl: emulatorUrl, taskQueue, store };
    if (configuredAddress() === null && !(await publishSession(directory, session))) throw runs('');
    if (json) printJson({ ...session, namespace, baseUrl: settings.baseUrl, simulated: emulatorUrl !== null });
    say(`Ready. Worker on task queue "${taskQueue}", results in ${settings.store?.address ?? 'links only'}.`);
    if (uiUrl !== null) say(`Temporal UI: ${uiUrl}`);
    if (real) say(`RIVYA_API_KEY is set: generations go to ${settings.baseUrl} and cost credits.`);
    if (memory) say('--memory: nothing is kept. Workflows that run are gone at the end, also with a paid task.');
    // With --port 0, or where 7233 was taken, this is not where others look by themselves.
    const named = namespace === 'default' ? '' : ` TEMPORAL_NAMESPACE=${namespace}`;
    const temporal = `TEMPORAL_ADDRESS=${address}${named}`;
    if (emulatorUrl !== null) {
      const { EMULATOR_API_KEY } = await import('../../emulator/index.js');
      const { host } = new URL(emulatorUrl);
      say(
        `For Workers of your own: export ${temporal} RIVYA_BASE_URL=${emulatorUrl} RIVYA_API_KEY=${EMULATOR_API_KEY} RIVYA_TRUSTED_RESULT_HOSTS=${host}${store === null ? '' : ` RIVYA_STORE=${store}`}`,
      );
    }
    if (directory !== dataDirectory()) say(`In other terminals: export ${temporal}`);
    say('In another terminal: rivya-temporal generate --model z-image --prompt "a red fox in the snow"');
    say('Ctrl-C ends it.');
    await Promise.race([whenAborted(interrupted), stack.done]);
    say(memory ? 'Stopping.' : 'Stopping. Workflows that run go on with the next "rivya-temporal dev".');
  } finally {
    withdrawSession(directory, pid);
    await stack.stop();
  }
  return STATUS.done;
}

/** The address of a store for commands that run in another directory. */
function anywhere(address: string): string {
  return /^file:(?!\/\/)/.test(address) ? pathToFileURL(path.resolve(address.slice('file:'.length))).href : address;
}
