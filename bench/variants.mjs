// The jobs that bench/cost.mjs compares, and the Worker process of each.
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { GenerationClient } from '../dist/src/client.js';

/** Status checks of each job. */
export const CHECKS = 2;
export const PLAIN = 'plain Workflow';

/** Each kind of job has a task queue of its own. Those of this package are started with its client, as users do it. */
export function variantsOf(client, store) {
  const ours = (taskQueue, address) => {
    const generations = new GenerationClient(client, { taskQueue });
    const env = { RIVYA_TASK_QUEUE: taskQueue, RIVYA_STORE: address };
    return { kind: 'ours', env, start: (input) => generations.start(input) };
  };
  const plain = { taskQueue: 'plain' };
  return {
    'this package, no store': ours('links', ''),
    'this package, file store': ours('files', `file:${store}`),
    [PLAIN]: {
      kind: 'plain',
      env: { RIVYA_TASK_QUEUE: plain.taskQueue },
      start: (input) => client.workflow.start('plainGeneration', { ...plain, workflowId: randomUUID(), args: [input] }),
    },
  };
}

/** Starts the jobs all at once and waits for them; gives their handles. */
export async function runJobs(emulator, { start }, count) {
  emulator.reset();
  const prompts = Array.from({ length: count }, () => `bench ${randomUUID()}`);
  // Tasks end at once and all checks but the last are told otherwise: so many for each job, however busy the machine is.
  const running = { on: 'status', times: CHECKS - 1, do: { kind: 'status', status: 'processing' } };
  emulator.setFaults(prompts.map((prompt) => ({ ...running, prompt })));
  const run = async (prompt) => {
    const handle = await start({ model: 'z-image', prompt });
    await handle.result();
    return handle;
  };
  return Promise.all(prompts.map(run));
}

/** Settings of Workers that call this emulator, with a rate limit that is never reached. */
export function workerSettings(address, emulator) {
  return {
    TEMPORAL_ADDRESS: address,
    RIVYA_BASE_URL: emulator.url,
    RIVYA_API_KEY: emulator.apiKey,
    RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
    RIVYA_RATE_LIMIT_PER_MINUTE: '60000',
  };
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
