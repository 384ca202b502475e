// The jobs that bench/cost.mjs compares, and the Worker process of each.
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { GenerationClient } from '../dist/src/client.js';

const INPUT = { model: 'z-image', prompt: 'bench' };
export const PLAIN = 'plain Workflow';

/** Each kind of job has a task queue of its own. Those of this package are started with its client, as users do it. */
export function variantsOf(client, store) {
  const ours = (taskQueue, address) => {
    const generations = new GenerationClient(client, { taskQueue });
    const env = { RIVYA_TASK_QUEUE: taskQueue, RIVYA_STORE: address };
    return { kind: 'ours', env, start: () => generations.start(INPUT) };
  };
  const plain = { taskQueue: 'plain', args: [INPUT] };
  return {
    'this package, no store': ours('links', ''),
    'this package, file store': ours('files', `file:${store}`),
    [PLAIN]: {
      kind: 'plain',
      env: { RIVYA_TASK_QUEUE: plain.taskQueue },
      start: () => client.workflow.start('plainGeneration', { ...plain, workflowId: randomUUID() }),
    },
  };
}

/** Starts the jobs all at once and waits for them; gives their handles. */
export async function runJobs({ start }, count) {
  const run = async () => {
    const handle = await start();
    await handle.result();
    return handle;
  };
  return Promise.all(Array.from({ length: count }, run));
}

/** Resolves when the Worker polls. Settings of the shell that it is started from change nothing. */
export async function startWorker({ kind, env }, shared, ...args) {
  const child = fork(fileURLToPath(new URL('cost-worker.mjs', import.meta.url)), [kind, ...args], {
    env: { ...shared, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let printed = '';
  child.stderr.on('data', (chunk) => (printed = `${printed}${chunk}`.slice(-2_000)));
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`The Worker has ended (${code}): ${printed}`)));
  });
  return child;
}

export async function stopWorker(child) {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
