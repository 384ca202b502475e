import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { GenerationClient, newWorkflowId } from '../../client.js';
import { readSettings } from '../../config.js';
import type { GenerateMediaInput } from '../../contract/index.js';
import { configuredAddress } from '../../temporal/connect.js';
import { confirmSpending } from '../confirm.js';
import { hasKey, openApi, workflowLink } from '../context.js';
import { dataDirectory } from '../dev-session.js';
import { STATUS } from '../errors.js';
import { follow, type Ending } from '../follow.js';
import { examples, type Register } from '../options.js';
import { print, printJson, Progress, say } from '../output.js';
import { documentOf, report, type Json } from '../report.js';
import { interruption, whenAborted } from '../signals.js';
import type { Stack } from '../stack.js';

interface Options {
  readonly keep?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

// A cheap model of each kind that needs no params.
const REQUESTS: readonly GenerateMediaInput[] = [
  { model: 'z-image', prompt: 'A red fox in fresh snow, morning light' },
  { model: 'sora-2', prompt: 'Waves rolling onto a beach at night, slow and calm' },
  { model: 'elevenlabs-sound-effect-v2', prompt: 'Rain on a tin roof with distant thunder' },
];

export const registerDemo: Register = (program, run) => {
  program
    .command('demo')
    .description(
      'Make an image, a video and an audio file with everything embedded. Simulated unless RIVYA_API_KEY is set.',
    )
    .option('--keep', 'leave all running until Ctrl-C, so that the links can be opened')
    .option('--yes', 'with RIVYA_API_KEY: spend credits without asking')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('demo', 'demo --keep'))
    .action((options: Options) => run(() => demo(options)));
};

async function demo({ keep = false, yes = false, json = false }: Options): Promise<number> {
  const settings = readSettings();
  const real = hasKey();
  const interrupted = interruption();
  const agreed = !real || yes || (await maySpend(settings.baseUrl, interrupted));
  if (!agreed) say('Nothing was spent.');
  if (interrupted.aborted) return STATUS.interrupted;
  if (!agreed) return STATUS.usage;

  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../stack.js');
  const stack = await startStack({
    env: process.env,
    log: say,
    defaultStore: 'file:./output/demo',
    // What is paid must not be lost with the process: it is kept where "dev" goes on with it.
    server: real ? { dbFilename: paidState(), retentionDays: 30 } : {},
    ownQueue: true,
  });
  try {
    const generations: object[] = [];
    const status = await generateAll(stack, interrupted, real, json ? (one) => generations.push(one) : null);
    const simulated = stack.emulatorUrl !== null;
    if (json) printJson({ simulated, uiUrl: stack.uiUrl, generations });
    else if (simulated)
      print('All of this was simulated: the emulator answered, nothing was paid, and the media is not real.');
    if (status === STATUS.interrupted || stack.uiUrl === null) return status;
    if (keep) {
      say(`Everything runs on, so the links work. Temporal UI: ${stack.uiUrl}. Ctrl-C ends it.`);
      await whenAborted(interrupted);
    } else if (stack.embedded) {
      say('The links work while the server runs: rivya-temporal demo --keep, or npm run demo -- --keep');
    }
    return status;
  } finally {
    await stack.stop();
  }
}

/** The three at the same time; reports each. Returns the worst exit status. */
async function generateAll(stack: Stack, interrupted: AbortSignal, real: boolean, json: Json): Promise<number> {
  const { taskQueue } = stack.settings;
  const client = new GenerationClient(stack.client, { taskQueue });
  const progress = new Progress();
  const started: string[] = [];
  const waits: Promise<readonly [string, Ending]>[] = [];
  for (const request of REQUESTS) {
    if (interrupted.aborted) break;
    const workflowId = newWorkflowId(request);
    const handle = await client.start({ ...request, options: { onActionNeeded: 'fail' } }, { workflowId });
    const ending = follow(handle, { client: stack.client, progress, interrupted, waitWhileHeld: true });
    started.push(workflowId);
    waits.push(ending.then((how) => [workflowId, how]));
  }
  const broken = stack.done.then(() => Promise.reject(new Error('The Worker has stopped.')));
  // It is only of interest while somebody waits.
  broken.catch(() => undefined);
  const endings = await Promise.race([Promise.all(waits), broken]);
  progress.end();
  if (interrupted.aborted) say(afterInterrupt(stack, real, started));
  let worst: number = interrupted.aborted ? STATUS.interrupted : STATUS.done;
  for (const [workflowId, ending] of endings) {
    if (ending.kind !== 'interrupted') {
      worst = Math.max(worst, report(ending, { json, workflowId, link: workflowLink(stack, workflowId) }));
      continue;
    }
    json?.(documentOf(ending, workflowId));
    if (ending.state?.taskId != null) say(`${workflowId}: task ${ending.state.taskId}`);
  }
  return worst;
}

function afterInterrupt(stack: Stack, real: boolean, workflowIds: readonly string[]): string {
  if (!real && stack.embedded) return 'Interrupted. All of this was simulated: nothing was paid and nothing goes on.';
  const where = stack.embedded
    ? 'with the same key: rivya-temporal dev'
    : `with: RIVYA_TASK_QUEUE=${stack.settings.taskQueue} rivya-temporal worker`;
  return `Interrupted. ${workflowIds.join(', ')} ${workflowIds.length === 1 ? 'goes' : 'go'} on when a Worker runs again, ${where}`;
}

function paidState(): string {
  const directory = dataDirectory();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return path.join(directory, 'temporal.db');
}

/** Shows what would be spent and asks. Without a terminal nobody can answer. */
async function maySpend(baseUrl: string, interrupted: AbortSignal): Promise<boolean> {
  const { api } = await openApi();
  const known = await api.listModels().catch(() => null);
  const prices = new Map(known?.models.map(({ id, baseCredits }) => [id, baseCredits]));
  say(`RIVYA_API_KEY is set: this makes three real generations at ${baseUrl} and spends credits.`);
  for (const { model } of REQUESTS) say(`  ${model}: from ${prices.get(model) ?? 'an unknown number of'} credits`);
  const temporal = configuredAddress();
  if (temporal !== null) say(`They run on the Temporal Service at ${temporal}.`);
  return confirmSpending('Spend them? [y/N] ', 'Give --yes to spend, or unset RIVYA_API_KEY to simulate.', interrupted);
}
