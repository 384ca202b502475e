import { randomBytes } from 'node:crypto';
import { GenerationClient, newWorkflowId } from '../../client.js';
import type { GenerateMediaInput } from '../../contract/index.js';
import { STATUS } from '../errors.js';
import { documentOf, follow, report, type Ending } from '../follow.js';
import { workflowLink } from '../../temporal/links.js';
import { examples, type Flags, type Register } from '../options.js';
import { print, printJson, Progress, say } from '../output.js';
import { interruption, whenAborted } from '../terminal.js';
import type { Stack } from '../../local/stack.js';

type Options = Flags<'keep' | 'json'>;

// A cheap model of each kind that needs no params.
const REQUESTS: readonly GenerateMediaInput[] = [
  { model: 'z-image', prompt: 'A red fox in fresh snow, morning light' },
  { model: 'sora-2', prompt: 'Waves rolling onto a beach at night, slow and calm' },
  { model: 'elevenlabs-sound-effect-v2', prompt: 'Rain on a tin roof with distant thunder' },
];

const UNSET = { RIVYA_API_KEY: '', RIVYA_API_KEY_FILE: '', RIVYA_BASE_URL: '', RIVYA_STORE: '' };

export const register: Register = (command) => {
  command
    .option('--keep', 'leave all running until Ctrl-C, so that the links can be opened')
    .addHelpText('after', examples('demo', 'demo --keep'));
  return demo;
};

async function demo({ keep = false, json = false }: Options): Promise<number> {
  const interrupted = interruption();
  // Loaded here, because it brings the native Worker: other commands start without it.
  const { startStack } = await import('../../local/stack.js');
  const stack = await startStack({
    // A demo never spends, leaves nothing beside what was paid for, and disturbs no Worker of a Service that is shared.
    env: { ...process.env, ...UNSET, RIVYA_TASK_QUEUE: `rivya-demo-${randomBytes(4).toString('hex')}` },
    log: say,
    defaultStore: 'file:./output/demo',
    server: {},
  });
  try {
    const endings = await runRequests(stack, interrupted);
    if (interrupted.aborted) say('Interrupted. All of this was simulated: nothing was paid and nothing goes on.');
    let status: number = interrupted.aborted ? STATUS.interrupted : STATUS.done;
    for (const [workflowId, ending] of endings) {
      if (ending.kind === 'interrupted') continue;
      status = Math.max(status, report(ending, workflowId, workflowLink(stack, workflowId), json));
    }
    const generations = endings.map(([workflowId, ending]) => documentOf(ending, workflowId));
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

/** Runs all requests at the same time. Resolves to how each ended, by Workflow ID. */
async function runRequests(stack: Stack, interrupted: AbortSignal) {
  const client = new GenerationClient(stack.client, { taskQueue: stack.settings.taskQueue });
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
  broken.catch(() => undefined); // of interest only during the wait below
  return Promise.race([Promise.all(waits), broken]);
}
