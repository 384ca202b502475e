import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Emulator } from '../../src/emulator/index.js';

/** Where a Worker process sends itself a signal: before or after the n-th side effect of a kind. */
export type Step = readonly [when: 'before' | 'after', what: string, which: number];

export interface WorkerProcessOptions {
  readonly emulator: Pick<Emulator, 'url' | 'apiKey'>;
  readonly temporalEnv: NodeJS.ProcessEnv;
  readonly taskQueue: string;
  /** Directory of the store. */
  readonly output: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Default: its output is thrown away. */
  readonly stdio?: StdioOptions;
  readonly at?: { readonly step: Step; readonly signal: 'SIGKILL' | 'SIGSTOP' };
}

/** A Worker as a process of its own, from the build. */
export function spawnWorker({
  emulator,
  temporalEnv,
  taskQueue,
  output,
  env = {},
  stdio = 'ignore',
  at,
}: WorkerProcessOptions): ChildProcess {
  const plain = fileURLToPath(new URL('../../dist/worker.js', import.meta.url));
  const stepping = fileURLToPath(new URL('step-worker.mjs', import.meta.url));
  const args = at === undefined ? [plain] : [stepping, ...at.step.map(String), at.signal];
  return spawn(process.execPath, args, {
    stdio,
    env: {
      ...process.env,
      ...temporalEnv,
      RIVYA_API_KEY: emulator.apiKey,
      RIVYA_BASE_URL: emulator.url,
      RIVYA_TASK_QUEUE: taskQueue,
      RIVYA_PATIENCE: '0',
      RIVYA_STORE: `file:${output}`,
      RIVYA_TRUSTED_RESULT_HOSTS: new URL(emulator.url).host,
      ...env,
    },
  });
}

/** Ends a process, also a stopped one, and waits until it is gone. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
