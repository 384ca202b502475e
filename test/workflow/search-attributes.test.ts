/** The search attributes of generations: what stands in them and when, and that nothing but the list needs them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import { registerAttributes } from '../../src/temporal/search-attributes.js';
import { startHarness, type Harness } from '../support/harness.js';
import { lengthOf } from '../support/history.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

const UPSERT = 'upsertWorkflowSearchAttributesEventAttributes';

/** The values that each upsert of a history wrote, in their order. */
async function upsertsOf(harness: Harness, workflowId: string): Promise<Record<string, unknown>[]> {
  const { events } = await harness.temporal.workflow.getHandle(workflowId).fetchHistory();
  return events!.flatMap(({ [UPSERT]: upsert }) => {
    if (upsert == null) return [];
    const fields = Object.entries(upsert.searchAttributes?.indexedFields ?? {});
    return [Object.fromEntries(fields.map(([name, { data }]) => [name, JSON.parse(Buffer.from(data!).toString())]))];
  });
}

async function eventsOf(harness: Harness, workflowId: string): Promise<number> {
  return lengthOf(await harness.temporal.workflow.getHandle(workflowId).fetchHistory());
}

/** Workflow IDs that a query finds. */
async function found(harness: Harness, query: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of harness.temporal.workflow.list({ query })) ids.push(workflowId);
  return ids;
}

async function whenHeld(handle: GenerationHandle): Promise<void> {
  await until(async () => (await handle.state())?.phase === 'held');
}

describe('where the namespace has them', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({ account: false, emulator: { durations: { image: 800 } } });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('a plain image writes them twice, at its acceptance and at its end: 33 events', async () => {
    const handle = await harness.client.start({ model: 'z-image', prompt: 'listed' });
    const { taskId, finalCredits } = await handle.result();
    const [first, second, ...more] = await upsertsOf(harness, handle.workflowId);
    expect(first).toEqual({
      RivyaStatus: 'queued',
      RivyaModel: 'z-image',
      RivyaTaskId: taskId,
      RivyaCredits: expect.any(Number),
    });
    expect(second).toMatchObject({ RivyaStatus: 'succeeded' });
    expect(more).toEqual([]);
    expect(await eventsOf(harness, handle.workflowId)).toBe(33);
    const query = `RivyaStatus = 'succeeded' AND RivyaTaskId = '${taskId}' AND RivyaCredits = ${finalCredits}`;
    await until(async () => (await found(harness, query)).includes(handle.workflowId));
  });

  test('a hold before anything was accepted is listed by its code, and no longer once it is resumed', async () => {
    await using poor = await startHarness({ account: false, emulator: { credits: 0 } });
    const handle = await poor.client.start({ model: 'z-image', prompt: 'poor' });
    await whenHeld(handle);
    const held = "RivyaStatus = 'held:insufficient_credits' AND ExecutionStatus = 'Running'";
    await until(async () => (await found(poor, held)).includes(handle.workflowId));
    await poor.emulator.setCredits(undefined, 100);
    await handle.resume();
    await handle.result();
    await until(async () => (await found(poor, held)).length === 0);
    expect((await upsertsOf(poor, handle.workflowId)).map(({ RivyaStatus }) => RivyaStatus)).toEqual([
      'held:insufficient_credits',
      'submitting',
      'queued',
      'succeeded',
    ]);
  });

  test('a refused input is listed as failed, and a cancelled one as cancelled with its task', async () => {
    harness.emulator.setFaults([
      { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
      { on: 'create', prompt: 'cancelled', do: { kind: 'stuck' } },
    ]);
    const refused = await harness.client.start({ model: 'z-image', prompt: 'refused' });
    await expect(refused.result()).rejects.toMatchObject({ code: 'validation_failed' });
    await until(async () => (await found(harness, "RivyaStatus = 'failed'")).includes(refused.workflowId));
    const video = await harness.client.start({ model: 'veo3-1-lite', prompt: 'cancelled' });
    await until(async () => (await video.state())?.taskId != null);
    const { taskId } = (await video.state())!;
    await video.cancel();
    await expect(video.result()).rejects.toMatchObject({ code: 'Cancelled' });
    const query = `RivyaStatus = 'cancelled' AND RivyaTaskId = '${taskId}'`;
    await until(async () => (await found(harness, query)).includes(video.workflowId));
  });

  test('a chat is listed too', async () => {
    const workflowId = `chat ${randomUUID()}`;
    const { taskQueue, temporal } = harness;
    const args = [{ model: 'gpt-5-2-chat', message: 'hello' }];
    expect(await temporal.workflow.execute('rivyaChat', { workflowId, taskQueue, args })).toHaveProperty('content');
    const query = "RivyaStatus = 'succeeded' AND RivyaModel = 'gpt-5-2-chat'";
    await until(async () => (await found(harness, query)).includes(workflowId));
  });
});

describe('where the namespace lacks them, nothing is written and everything works', () => {
  test('a plain image, a refusal, and a hold before anything was accepted', async () => {
    await using harness = await startHarness({
      account: false,
      emulator: { durations: { image: 800 } },
      attributes: false,
    });
    harness.emulator.setFaults([
      { on: 'create', prompt: 'refused', do: { kind: 'error', code: 'validation_failed' } },
      { on: 'create', prompt: 'held', times: 1, do: { kind: 'error', code: 'api_key_revoked' } },
    ]);
    const plain = await harness.client.start({ model: 'z-image', prompt: 'plain' });
    const refused = await harness.client.start({ model: 'z-image', prompt: 'refused' });
    const held = await harness.client.start({ model: 'z-image', prompt: 'held' });
    await plain.result();
    await expect(refused.result()).rejects.toMatchObject({ code: 'validation_failed' });
    await whenHeld(held);
    await held.resume();
    await held.result();
    for (const { workflowId } of [plain, refused, held]) expect(await upsertsOf(harness, workflowId)).toEqual([]);
    expect(await eventsOf(harness, plain.workflowId)).toBe(31);
  });

  test('a wait that continues as new', async () => {
    const dynamicConfig = { 'limit.historyCount.suggestContinueAsNew': '25' };
    await using harness = await startHarness({
      account: false,
      dynamicConfig,
      emulator: { durations: { image: 800 }, faults: [unfinished()] },
      attributes: false,
    });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'long' });
    const { runId } = await handle.describe();
    await until(async () => (await handle.describe()).runId !== runId);
    harness.emulator.setFaults([]);
    await handle.result();
    expect(await upsertsOf(harness, handle.workflowId)).toEqual([]);
  });

  test.each([
    ['one of another type', { RivyaCredits: 3 }, ['RivyaStatus', 'RivyaModel', 'RivyaTaskId', 'RivyaBatchId']],
    ['one of them missing', {}, ['RivyaStatus', 'RivyaModel', 'RivyaTaskId', 'RivyaCredits']],
  ])('%s', async (_, other, names) => {
    await using harness = await startHarness({
      account: false,
      emulator: { durations: { image: 800 } },
      attributes: false,
    });
    const { connection, namespace } = harness;
    await registerAttributes(connection, namespace, names);
    if (Object.keys(other).length > 0) {
      await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: other });
    }
    const { workflowId } = await harness.client.start({ model: 'z-image', prompt: 'half' });
    expect(await harness.client.handle(workflowId).result()).toMatchObject({ status: 'succeeded' });
    expect(await upsertsOf(harness, workflowId)).toEqual([]);
  });
});
