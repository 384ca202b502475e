/** A server that asks for a new run after a few events, as a real one does after thousands. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  const dynamicConfig = { 'limit.historyCount.suggestContinueAsNew': '25' };
  harness = await startHarness({
    account: false,
    dynamicConfig,
    emulator: {
      faults: [
        { on: 'create', prompt: 'refused', times: 1, do: { kind: 'error', code: 'api_scope_denied' } },
        { on: 'create', prompt: 'long', do: { kind: 'stuck' } },
      ],
    },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

test.concurrent('a wait that continues as new keeps task, counts, deadline and memo, and pays once', async () => {
  const handle = await harness.client.start({ model: 'z-image', prompt: 'long' }, { workflowId: 'continued' });
  const { runId } = await handle.describe();
  // The memo of a new run is its own: what it must tell without a Worker is written at once.
  await until(async () => (await handle.describe()).runId !== runId && memoOf(await handle.describe())?.taskId != null);
  const ended = memoOf(await harness.temporal.workflow.getHandle('continued', runId).describe());
  const { taskId, baseKey, bodyDigest } = ended!;
  const begun = { taskId, baseKey, bodyDigest, keyNumber: 1, attempt: 1, mayPostSince: null, lookedBy: runId };
  expect(memoOf(await handle.describe())).toMatchObject(begun);
  await harness.emulator.endTasks('long');
  const result = await handle.result();
  const description = await handle.describe();
  expect(description.runId).not.toBe(runId);
  expect(memoOf(description)).toMatchObject({ phase: 'succeeded', taskId: result.taskId });
  const { indexedFields = {} } = description.raw.workflowExecutionInfo?.searchAttributes ?? {};
  expect(Object.keys(indexedFields ?? {})).toEqual(
    expect.arrayContaining(['RivyaStatus', 'RivyaTaskId', 'RivyaCredits']),
  );
  const metadata = await harness.temporal.workflow
    .getHandle('continued')
    .query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain('**Done.**\n\nz-image\n');
  const { keys, tasks } = await harness.emulator.ledger();
  expect(keys[result.idempotencyKey!]).toMatchObject({ posts: 1, tasks: [taskId] });
  expect(tasks[result.taskId]!.checks).toHaveLength(result.statusChecks);
  expect(result.reused).toBe(false);
  // The new run goes on with the waits where the old one was: still never closer than 5 s.
  const { checks } = tasks[result.taskId]!;
  expect(Math.min(...checks.slice(1).map((at, index) => at - checks[index]!))).toBeGreaterThanOrEqual(5_000);
});

test.concurrent('a hold that continues as new when the account releases it has moved the key number', async () => {
  const handle = await harness.client.start({ model: 'z-image', prompt: 'refused' }, { workflowId: 'held' });
  const { runId } = await handle.describe();
  await until(async () => memoOf(await handle.describe())?.phase === 'held');
  // Each is four events, so that a new run is asked for.
  const workflow = harness.temporal.workflow.getHandle('held');
  for (let length = 0; length < 25; length = (await handle.describe()).historyLength) await workflow.signal('checkNow');
  await workflow.signal('resume', { code: 'api_scope_denied' });
  const { taskId } = await handle.result();
  expect((await handle.describe()).runId).not.toBe(runId);
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes('refused')));
  expect(mine).toMatchObject([
    { posts: 1, tasks: [] },
    { posts: 1, tasks: [taskId] },
  ]);
});
