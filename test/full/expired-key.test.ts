/** A Temporal key that expires while a Worker runs. The SDK tries for a minute before it gives up. */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { startGrpcServer } from '../support/grpc-server.js';
import { spawnWorker } from '../support/worker-process.js';

test('a Worker whose key expires ends with status 2 and the words of the Service', async () => {
  const granted = /SystemInfo|DescribeNamespace/;
  await using server = await startGrpcServer({ status: 16, words: 'Jwt is expired', granted });
  const worker = spawnWorker({
    emulator: { url: 'http://127.0.0.1:1', apiKey: 'rvya_sk_emulator' },
    temporalEnv: { TEMPORAL_ADDRESS: server.address, TEMPORAL_API_KEY: 'short-lived', TEMPORAL_TLS: 'false' },
    taskQueue: 'expired',
    output: mkdtempSync(`${tmpdir()}/rivya-expired-`),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  worker.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await expect.poll(() => server.calls, { timeout: 60_000 }).toContain('PollActivityTaskQueue');
  server.refuseAll();
  const [status] = (await once(worker, 'exit')) as [number | null];
  expect(stderr).toMatch(/TEMPORAL_API_KEY, .*the Worker has ended, .*"Jwt is expired"/);
  expect(status).toBe(2);
});
