// teaser.test.ts: their tests
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, Runtime, type WorkflowBundle } from '@temporalio/worker';
import { createTestEnvironment, fakeActivities } from 'rivya-temporal/testing';
import { beforeAll, expect, test } from 'vitest';

const logger = new DefaultLogger('WARN');
Runtime.install({ logger });
let workflowBundle: WorkflowBundle;
beforeAll(async () => {
  const workflowsPath = fileURLToPath(new URL('teaser.ts', import.meta.url));
  // Once for all tests, because it takes seconds.
  workflowBundle = await bundleWorkflowCode({ workflowsPath, logger });
}, 60_000);

const run = { taskQueue: 'rivya', args: ['A fox'] };

test('a clip that fails costs us the clip, not the teaser', async () => {
  const fake = fakeActivities({
    image: { urls: ['https://cdn.example/fox.png'] },
    clip: { taskFails: 'generation_failed' },
  });
  await using env = await createTestEnvironment({ workflowBundle, fake });
  const teaser = await env.client.workflow.execute('teaser', { ...run, workflowId: 'fox' });
  expect(teaser).toEqual({ image: 'https://cdn.example/fox.png', clip: null });
  expect(fake.calls('clip')).toMatchObject({ rivyaSubmit: 1, rivyaStore: 0 });
});

test('without credits it waits for a person, and goes on', async () => {
  const fake = fakeActivities({
    '*': { urls: ['https://cdn.example/fox'] },
    clip: { holds: 'insufficient_credits', urls: ['https://cdn.example/fox.mp4'] },
  });
  await using env = await createTestEnvironment({ workflowBundle, fake });
  const handle = await env.client.workflow.start('teaser', { ...run, workflowId: 'fox' });
  await expect.poll(() => fake.calls('clip').rivyaSubmit, { timeout: 60_000 }).toBe(1);
  // Refused as long as nothing is held.
  const resume = (): Promise<unknown> => env.client.workflow.getHandle('fox/clip').executeUpdate('resume');
  await expect.poll(resume, { timeout: 60_000 }).toBe('Resumed.');
  expect(await handle.result()).toEqual({ image: 'https://cdn.example/fox', clip: 'https://cdn.example/fox.mp4' });
});

test('a lost reply pays once', async () => {
  await using env = await createTestEnvironment({
    workflowBundle,
    emulator: { faults: [{ on: 'create', prompt: 'slow pan', times: 1, do: { kind: 'dropAfter' } }] },
  });
  await env.client.workflow.execute('teaser', { ...run, workflowId: 'fox' });
  const { paidTasks, keys } = await env.emulator.ledger();
  expect(paidTasks).toBe(2);
  expect(Object.values(keys).map(({ posts }) => posts)).toEqual([1, 2]);
});
