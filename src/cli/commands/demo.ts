import { GenerationClient, newWorkflowId } from '../../client.js';
import type { GenerateMediaInput } from '../../contract/index.js';
import { STATUS } from '../errors.js';
import { follow, type Ending } from '../follow.js';
import { workflowLink } from '../../temporal/links.js';
import { examples, type Register } from '../options.js';
import { print, printJson, Progress, say } from '../output.js';
import { documentOf, report, type Json } from '../report.js';
import { interruption, whenAborted } from '../signals.js';
import type { Stack } from '../../local/stack.js';

interface Options {
  readonly keep?: boolean;
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
      'Make an image, a video and an audio file with everything embedded. Always simulated: nothing is paid.',
    )
    .option('--keep', 'leave all running until Ctrl-C, so that the links can be opened')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('demo', 'demo --keep'))
    .action((options: Options) => run(() => demo(options)));
};

async function demo({ keep = false, json = false }: Options): Promise<number> {
  const interrupted = interruption();
  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../../local/stack.js');
  const stack = await startStack({
    // A demo never spends, and leaves nothing beside what was paid for.
    env: { ...process.env, RIVYA_API_KEY: '', RIVYA_API_KEY_FILE: '', RIVYA_BASE_URL: '', RIVYA_STORE: '' },
    log: say,
    defaultStore: 'file:./output/demo',
    server: {},
    ownQueue: true,
  });
  try {
    const generations: object[] = [];
    const status = await generateAll(stack, interrupted, json ? (one) => generations.push(one) : null);
    if (json) printJson({ simulated: true, uiUrl: stack.uiUrl, generations });
    else print('All of this was simulated: the emulator answered, nothing was paid, and the media is not real.');
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
async function generateAll(stack: Stack, interrupted: AbortSignal, json: Json): Promise<number> {
  const { taskQueue } = stack.settings;
  const client = new GenerationClient(stack.client, { taskQueue });
  const progress = new Progress();
  const waits: Promise<readonly [string, Ending]>[] = [];
  for (const request of REQUESTS) {
    if (interrupted.aborted) break;
    const workflowId = newWorkflowId(request);
    const handle = await client.start({ ...request, options: { onActionNeeded: 'fail' } }, { workflowId });
    const ending = follow(handle, { client: stack.client, progress, interrupted, waitWhileHeld: true });
    waits.push(ending.then((how) => [workflowId, how]));
  }
  const broken = stack.done.then(() => Promise.reject(new Error('The Worker has stopped.')));
  // It is only of interest while somebody waits.
  broken.catch(() => undefined);
  const endings = await Promise.race([Promise.all(waits), broken]);
  progress.end();
  if (interrupted.aborted) say('Interrupted. All of this was simulated: nothing was paid and nothing goes on.');
  let worst: number = interrupted.aborted ? STATUS.interrupted : STATUS.done;
  for (const [workflowId, ending] of endings) {
    if (ending.kind !== 'interrupted') {
      worst = Math.max(worst, report(ending, { json, workflowId, link: workflowLink(stack, workflowId) }));
      continue;
    }
    json?.(documentOf(ending, workflowId));
  }
  return worst;
}
