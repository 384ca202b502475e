/** Runs the Workers of this example and one film, then stops. In production these are two programs. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Worker } from '@temporalio/worker';
import { RivyaPlugin } from 'rivya-temporal/worker';
import type { makeFilm } from './workflows.js';

const TASK_QUEUE = 'films';

const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
const connection = await NativeConnection.connect(connectionOptions);
const worker = await Worker.create({
  connection,
  namespace,
  taskQueue: TASK_QUEUE,
  workflowsPath: fileURLToPath(new URL('./workflows.js', import.meta.url)),
  // Runs the steps beside this Worker, on `rivya` and `rivya-api`, with the key.
  plugins: [new RivyaPlugin()],
});
const running = worker.run();

const client = new Client({ connection: await Connection.connect(connectionOptions), namespace });
const subject = process.argv[2] ?? 'a fox in the snow';
const film = await client.workflow.execute<typeof makeFilm>('makeFilm', {
  taskQueue: TASK_QUEUE,
  workflowId: `film-${randomUUID()}`,
  args: [subject],
});
console.log(JSON.stringify(film, null, 2));

worker.shutdown();
await running;
await client.connection.close();
await connection.close();
