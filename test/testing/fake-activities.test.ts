/** Fakes for users' tests: each outcome is what the real Activities would make the Workflow see. */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { GenerateMediaInput, GenerationResult } from '../../src/contract/index.js';
import {
  createTestEnvironment,
  fakeActivities,
  type FakeOutcome,
  type TestEnvironment,
} from '../../src/testing/index.js';
import { quietRuntime } from '../support/harness.js';
import { until } from '../support/until.js';

const urls = ['https://cdn.example/1.png'];
const fake = fakeActivities({
  twice: [
    { taskFails: 'generation_failed', credits: 4 },
    { urls, credits: 4 },
  ],
  refused: { fails: 'validation_failed' },
  poor: { fails: 'insufficient_credits' },
  unresolved: { holds: 'SubmitUnresolved', urls },
  stored: { urls, files: [{ uri: 'file:/1.png', bytes: 1, sha256: '00', contentType: null, sourceUrl: urls[0]! }] },
  checked: { urls, checks: 1 },
  task_of_yesterday: { urls },
});
let connection: Connection;
let nativeConnection: NativeConnection;
let env: TestEnvironment;

beforeAll(async () => {
  quietRuntime();
  const address = inject('temporalAddress');
  connection = await Connection.connect({ address });
  nativeConnection = await NativeConnection.connect({ address });
  env = await createTestEnvironment({
    environment: { client: new Client({ connection }), nativeConnection },
    taskQueue: `test-${randomUUID()}`,
    workflowBundle: { codePath: inject('bundle') },
    fake,
  });
});
afterAll(async () => {
  await env.dispose();
  await Promise.all([connection.close(), nativeConnection.close()]);
});

/** A generation whose outcome is named by the last part of its Workflow ID. */
async function run(name: string, input: Partial<GenerateMediaInput> = {}): Promise<GenerationResult> {
  const workflowId = `${randomUUID()}/${name}`;
  const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox', ...input }, { workflowId });
  return handle.result();
}

describe('a generation', () => {
  test.concurrent('several outcomes are those of its paid attempts', async () => {
    const result = await run('twice', { options: { maxAttempts: 2 } });
    expect(result).toMatchObject({ status: 'succeeded', attempts: 2, urls, reservedCredits: 4, simulated: true });
    expect(fake.calls('twice')).toMatchObject({ rivyaSubmit: 2, rivyaCheck: 0, rivyaStore: 1 });
  });

  test.concurrent('is refused with the code, and the failure says what the real one says', async () => {
    await expect(run('refused')).rejects.toMatchObject({ code: 'validation_failed', details: { httpStatus: 400 } });
    const poor = run('poor', { options: { onActionNeeded: 'fail' } });
    await expect(poor).rejects.toMatchObject({ code: 'insufficient_credits', details: { httpStatus: 402 } });
  });

  test.concurrent('is held after an unanswered submit until a person gives a reason', async () => {
    const handle = await env.generations.start({ model: 'z-image', prompt: 'A fox' }, { workflowId: 'x/unresolved' });
    await until(async () => (await handle.state())?.hold?.code === 'SubmitUnresolved');
    expect(await handle.resume({ reason: 'It is not in the Studio.' })).toBe('resumed');
    expect((await handle.result()).urls).toEqual(urls);
  });

  test.concurrent('gives the files of its store', async () => {
    expect((await run('stored')).files).toMatchObject([{ uri: 'file:/1.png' }]);
  });

  test.concurrent('ends at the status check that was asked for', async () => {
    expect((await run('checked')).statusChecks).toBe(1);
    expect(fake.calls('checked')).toMatchObject({ rivyaSubmit: 1, rivyaCheck: 1, rivyaStore: 1 });
  });

  test.concurrent('takes up a task by its ID without a submit', async () => {
    const result = await run('taken up', { taskId: 'task_of_yesterday' });
    expect(result).toMatchObject({ taskId: 'task_of_yesterday', reused: true, urls });
    expect(fake.calls('task_of_yesterday')).toMatchObject({ rivyaSubmit: 0 });
  });

  test.concurrent('without an outcome fails and names the outcomes that there are', async () => {
    await expect(run('forgotten')).rejects.toThrow(/no outcome for "forgotten".*only for twice, refused/);
  });
});

const NEVER_SEEN: [string, FakeOutcome, RegExp][] = [
  ['a refusal that Temporal repeats', { fails: 'rate_limited' }, /hero: rate_limited is repeated/],
  ['a hold that nobody could mend', { holds: 'validation_failed', urls }, /hero: validation_failed is nothing/],
];
test.each(NEVER_SEEN)('refuses %s', (_, outcome, problem) => {
  expect(() => fakeActivities({ hero: outcome })).toThrow(problem);
});
