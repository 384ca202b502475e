/** Waits over a path that breaks off every connection: they last as long as the state can be asked for, and end with what to type. */
import {
  Client,
  Connection,
  defaultGrpcRetryOptions,
  makeGrpcRetryInterceptor,
  ServiceError,
} from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import { judge, STATUS } from '../../src/cli/errors.js';
import { follow, withWait } from '../../src/cli/follow.js';
import { Progress } from '../../src/cli/output.js';
import { startDroppingProxy } from '../support/dropping-proxy.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness[Symbol.asyncDispose]());

/** A client over a path that lasts a second. The SDK's ten tries of a call are two here, which are used up in seconds. */
async function overBadPath() {
  const proxy = await startDroppingProxy(harness.address, 1_000);
  const interceptors = [makeGrpcRetryInterceptor(defaultGrpcRetryOptions({ maxAttempts: 2 }))];
  const connection = await Connection.connect({ address: proxy.address, interceptors });
  const client = new Client({ connection, namespace: harness.namespace });
  // Never closed: the SDK repeats a call that was broken off, and on a closed channel that is an uncaught error.
  return { client, generations: new GenerationClient(client, { taskQueue: harness.taskQueue }), proxy };
}

function followed(path: Awaited<ReturnType<typeof overBadPath>>, workflowId: string) {
  const interrupted = new AbortController().signal;
  const options = { client: path.client, progress: new Progress(), interrupted, waitWhileHeld: true };
  return withWait(workflowId, follow(path.generations.handle(workflowId), options));
}

test('a path that drops every connection does not end a wait, and the task is paid once', async () => {
  const path = await overBadPath();
  await harness.client.start({ model: 'z-image', prompt: 'a fox [[stuck]]' }, { workflowId: 'dropped' });
  const both = Promise.all([followed(path, 'dropped'), path.generations.handle('dropped').result()]);
  // More than the SDK tries again.
  await until(() => path.proxy.drops() > 4);
  await harness.emulator.endTasks('a fox');
  const [ending, result] = await both;
  expect(ending).toMatchObject({ kind: 'result', result: { taskId: result.taskId } });
  expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  path.proxy.close();
});

test('a wait whose Temporal is gone for good ends with 3, and names the command that waits again', async () => {
  const path = await overBadPath();
  await harness.client.start({ model: 'z-image', prompt: 'a cat [[stuck]]' }, { workflowId: 'left alone' });
  const wait = followed(path, 'left alone');
  path.proxy.close();
  const { status, message } = judge(await wait.catch((error: unknown) => error));
  expect(message).toMatch(/^Temporal gave no usable answer .*wait for it with: .*rivya-temporal wait 'left alone'$/);
  expect(status).toBe(STATUS.unreachable);
  await harness.client.handle('left alone').cancel();
});

test('a key that is refused meanwhile is a settings error, also of a wait', async () => {
  const refused = Object.assign(new Error('16'), { code: 16, details: 'Jwt is expired', metadata: {} });
  const wait = withWait('fox', Promise.reject(new ServiceError('why', { cause: refused })));
  const { status, message } = judge(await wait.catch((error: unknown) => error));
  expect(message).toContain('Jwt is expired');
  expect(status).toBe(STATUS.usage);
});
