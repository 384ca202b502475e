/** A Worker for the Workflow of this example only: its steps run on the Workers of task queue `rivya`, which have the key. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Worker } from '@temporalio/worker';
import { draftsQuery, pickUpdate, type pickADraft } from './workflows.js';

const TASK_QUEUE = 'drafts';

const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
const connection = await NativeConnection.connect(connectionOptions);
const worker = await Worker.create({
  connection,
  namespace,
  taskQueue: TASK_QUEUE,
  workflowsPath: fileURLToPath(new URL('./workflows.js', import.meta.url)),
});

await worker.runUntil(async () => {
  const client = new Client({ connection: await Connection.connect(connectionOptions), namespace });
  const handle = await client.workflow.start<typeof pickADraft>('pickADraft', {
    taskQueue: TASK_QUEUE,
    workflowId: `picture-${randomUUID()}`,
    args: [process.argv[2] ?? 'A lighthouse at dusk'],
  });
  let drafts: readonly string[] = [];
  while (drafts.length === 0) {
    await sleep(1_000);
    drafts = await handle.query(draftsQuery);
  }
  drafts.forEach((url, index) => console.log(`draft ${index + 1}: ${url}`));

  // Here a person would look at them, in a page of yours or in the Temporal UI.
  const number = Number(process.argv[3] ?? 2);
  console.log(await handle.executeUpdate(pickUpdate, { args: [number] }));
  const { files, primaryUrl, finalCredits } = await handle.result();
  console.log(`finished: ${files[0]?.uri ?? primaryUrl} (${finalCredits} credits)`);
  await client.connection.close();
});
await connection.close();
