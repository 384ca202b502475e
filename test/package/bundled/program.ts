/** A user's Worker that a bundler makes one file of: it runs one generation and ends. All settings come as variables. */
import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { GenerationClient } from 'rivya-temporal';
import { createRivyaWorkers } from 'rivya-temporal/worker';

async function main(): Promise<void> {
  const connection = await NativeConnection.connect({ address: process.env['TEMPORAL_ADDRESS']! });
  const workers = await createRivyaWorkers({ connection, namespace: 'default' });
  const running = workers.run();
  const generations = new GenerationClient(new Client({ connection }), { taskQueue: process.env['RIVYA_TASK_QUEUE']! });
  const started = await generations.start({ model: 'z-image', prompt: 'A fox' });
  const { status, files } = await started.result();
  console.log(JSON.stringify({ status, files: files.length }));
  workers.shutdown();
  await running;
  await connection.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
