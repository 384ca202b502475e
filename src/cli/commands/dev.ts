import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { hasKey } from '../../config.js';
import { findSession, publishSession, withdrawSession } from '../../local/dev-session.js';
import { userDirectory } from '../../local/directories.js';
import type { Stack } from '../../local/stack.js';
import { absoluteAddress } from '../../storage/open.js';
import { STATUS, UsageError } from '../errors.js';
import { collect, examples, PORT, type Flags, type Lists, type Register, type Texts } from '../options.js';
import { printJson, quoted, say } from '../output.js';
import { interruption, whenAborted } from '../terminal.js';

type Options = Texts<'dataDir'> & Lists<'referenceRoot'> & Flags<'memory' | 'json'> & Ports;
type Ports = Readonly<Record<'port' | 'uiPort' | 'emulatorPort', number>>;

// A closed Workflow is the record of what was paid; the dev server's own default is a day.
const RETENTION_DAYS = 30;

export const register: Register = (command) => {
  command
    .option('--data-dir <directory>', 'where the state is kept (default: the data directory of the system)')
    // Temporal's own default ports, which its tools look for.
    .option('--port <n>', 'port of Temporal; another one where it is taken', PORT, 7233)
    .option('--ui-port <n>', 'port of the Temporal UI; another one where it is taken', PORT, 8233)
    // The same one at each start: receipts are kept by the address of the API.
    .option('--emulator-port <n>', 'port of the emulator; another one where it is taken', PORT, 4010)
    .option('--memory', 'keep nothing: the state is gone at the end')
    .option('--reference-root <path>', 'read references below it; repeatable (default RIVYA_REFERENCE_ROOTS)', collect)
    .addHelpText('after', examples('dev', 'dev --memory --port 0 --ui-port 0', 'dev --reference-root .'));
  return dev;
};

async function dev(options: Options): Promise<number> {
  const { dataDir = userDirectory('data'), memory = false, json, port, uiPort, emulatorPort } = options;
  const directory = path.resolve(dataDir);
  if (dataDir.trim() === '') throw new UsageError('--data-dir: is empty.');
  const roots = options.referenceRoot?.map((root) => path.resolve(root)) ?? [];
  if (roots.some((root) => root.includes(','))) throw new UsageError('--reference-root: cannot have a comma.');
  try {
    // The state holds prompts and results, which only its owner may read.
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new UsageError(`--data-dir: ${directory} cannot be written (${(error as NodeJS.ErrnoException).code}).`);
  }
  const other = await findSession();
  if (!memory && other?.directory === directory) {
    throw new UsageError(
      `Another "dev" (process ${other.pid}, Temporal at ${other.address}) uses ${directory}. Stop it first, or give --data-dir or --memory.`,
    );
  }

  const interrupted = interruption();
  const isReal = hasKey();
  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../../local/stack.js');
  const stack = await startStack({
    env: { ...process.env, ...(roots.length > 0 && { RIVYA_REFERENCE_ROOTS: roots.join(',') }) },
    log: say,
    defaultStore: 'file:./output',
    server: {
      port,
      uiPort,
      retentionDays: RETENTION_DAYS,
      // Workflows that wait for tasks of the emulator must never meet the API, which would be paid for them.
      ...(!memory && { dbFilename: path.join(directory, isReal ? 'temporal.db' : 'simulated.db') }),
    },
    // Tasks of the emulator must live as long as the Workflows that wait for them.
    emulator: { port: emulatorPort, ...(!memory && { stateFile: path.join(directory, 'emulator.json') }) },
  });
  const { settings, emulator, address, uiUrl, namespace, embedded } = stack;
  const { taskQueue, rateLimitPerMinute: rate, baseUrl } = settings;
  const { pid } = process;
  const store = settings.store && absoluteAddress(settings.store.address);
  const session = { pid, address, uiUrl, baseUrl: emulator?.url ?? null, taskQueue, store };
  try {
    // Where Temporal's settings name a server, the commands need them, and find the server by them.
    const found = embedded ? await publishSession({ ...session, directory: memory ? null : directory }) : null;
    const env = settingsElsewhere(stack, store);
    const more = { namespace, baseUrl, simulated: emulator !== null, env: Object.fromEntries(env) };
    if (json) printJson({ ...session, ...more });
    const limit = `at most ${rate} API calls a minute (RIVYA_RATE_LIMIT_PER_MINUTE)`;
    const results = settings.store?.address ?? 'links only';
    say(`Ready. Worker on task queue "${taskQueue}", ${limit}, results in ${results}.`);
    if (uiUrl !== null) say(`Temporal UI: ${uiUrl}`);
    if (isReal) say(`RIVYA_API_KEY is set: generations go to ${baseUrl} and cost credits.`);
    if (memory) say('--memory: nothing is kept. Workflows that run are gone at the end, also with a paid task.');
    say('In another terminal: rivya-temporal generate --model z-image --prompt "a red fox in the snow"');
    // One line is enough for every other terminal; the file only spares people the line.
    const needs = found?.pid === pid ? 'other programs need' : 'another terminal needs first';
    say(`All that ${needs}: ${assignments(env)}`);
    if (!embedded) say('It needs the other TEMPORAL_* settings of this one too.');
    say('Ctrl-C ends it.');
    await Promise.race([whenAborted(interrupted), stack.done]);
    say(memory ? 'Stopping.' : 'Stopping. Workflows that run go on with the next "rivya-temporal dev".');
  } finally {
    withdrawSession(pid);
    await stack.stop();
  }
  return STATUS.done;
}

// Settings of this terminal that another one needs too, where they are set.
const SHARED = ['RIVYA_TASK_QUEUE', 'RIVYA_RATE_LIMIT_PER_MINUTE', 'RIVYA_S3_ENDPOINT', 'RIVYA_S3_PATH_STYLE'];

/** The settings by which another terminal or program reaches all of this. A key of the real API is not among them. */
function settingsElsewhere({ address, namespace, settings, emulator, uiUrl }: Stack, store: string | null) {
  const all: Record<string, string | null | undefined> = {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace === 'default' ? null : namespace,
    RIVYA_BASE_URL: settings.baseUrl,
    RIVYA_API_KEY: emulator?.apiKey,
    RIVYA_TRUSTED_RESULT_HOSTS: [...settings.trustedResultHosts].join(','),
    RIVYA_STORE: store,
    RIVYA_UI_URL: uiUrl,
    ...Object.fromEntries(SHARED.map((name) => [name, process.env[name]])),
  };
  return Object.entries(all).flatMap(([name, value]) => (value ? [[name, value] as const] : []));
}

/** One line that sets them in a shell: PowerShell on Windows. */
function assignments(settings: readonly (readonly [string, string])[]): string {
  return process.platform === 'win32'
    ? settings.map(([name, value]) => `$env:${name}='${value.replaceAll("'", "''")}'`).join('; ')
    : `export ${settings.map(([name, value]) => `${name}=${quoted(value)}`).join(' ')}`;
}
