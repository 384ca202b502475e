/** A user's program, which imports all of the package. Arguments: its Workflow module and a task queue. */
import { GenerationClient, GenerationError, type GenerationResult } from 'rivya-temporal';
import { createApiActivities, type RivyaActivities } from 'rivya-temporal/activities';
import { createRivyaClient, type RivyaClient } from 'rivya-temporal/api';
import { createTestEnvironment, fakeActivities, type Ledger } from 'rivya-temporal/testing';
import { createRivyaWorkers, type RivyaOptions } from 'rivya-temporal/worker';
import type { portrait } from './workflows.js';

const [, , workflowsPath = '', taskQueue = ''] = process.argv;

// Types arrive as themselves: with `any` in their place these lines would not compile.
type IsAny<T> = 0 extends 1 & T ? true : false;
const typed: [IsAny<RivyaActivities>, IsAny<RivyaClient>, IsAny<Ledger>, IsAny<GenerationResult>, IsAny<RivyaOptions>] =
  [false, false, false, false, false];

async function main(): Promise<void> {
  const env = await createTestEnvironment({ workflowsPath, rivyaTaskQueue: taskQueue });
  try {
    const client = new GenerationClient(env.client, { taskQueue });
    const started = await client.start({ model: 'z-image', prompt: 'A fox' }, { workflowId: `fox-${taskQueue}` });
    const [result, link] = await Promise.all([
      started.result(),
      env.client.workflow.execute<typeof portrait>('portrait', {
        workflowId: `portrait-${taskQueue}`,
        taskQueue: env.taskQueue,
        args: [taskQueue],
      }),
    ]);
    const ledger: Ledger = await env.emulator.ledger();
    const values = [GenerationError, createApiActivities, createRivyaClient, fakeActivities, createRivyaWorkers];
    const loaded = values.every((value) => typeof value === 'function');
    const { status, files } = result;
    const summary = { status, files: files.length, link, paidTasks: ledger.paidTasks, loaded, typed };
    console.log(JSON.stringify({ node: process.version, ...summary }));
  } finally {
    await env.dispose();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
