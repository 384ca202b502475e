/** What a batch may start and pay for: its budget, its brakes, its retries, and what it needs before it starts anything. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lookAtBatch } from '../../src/batch/look.js';
import { runningQuery } from '../../src/batch/running.js';
import type { BatchState, GenerateMediaInput } from '../../src/contract/index.js';
import { progressAtStart, readBatchSettings } from '../../src/policy/index.js';
import { FileStore } from '../../src/storage/file-store.js';
import { StoreUnavailable } from '../../src/storage/store.js';
import { images, newBatch, onceEach, tasksByPrompt, tasksOfPrompts, writeManifest } from '../support/batch.js';
import { startHarness, type Harness } from '../support/harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ emulator: { durations: { image: 800 }, credits: 1_000_000 } });
  harness.emulator.setFaults([
    { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
    { on: 'create', prompt: 'dropped', do: { kind: 'dropBefore' } },
    { on: 'create', prompt: 'failing', do: { kind: 'fail' } },
    { on: 'create', prompt: 'given back', times: 1, do: { kind: 'fail' } },
    { on: 'create', prompt: 'fails once.', times: 1, do: { kind: 'fail' } },
    { on: 'status', prompt: 'late', times: 1, do: { kind: 'status', status: 'processing' } },
  ]);
});
afterAll(() => harness[Symbol.asyncDispose]());

const paid = (prompt: string): Promise<Record<string, number>> => tasksOfPrompts(harness, prompt);
const tasksOf = async (prompt: string): Promise<number> =>
  Object.values(await paid(prompt)).reduce((sum, count) => sum + count, 0);
const isHeld =
  (code: string) =>
  ({ phase, hold }: BatchState): boolean =>
    phase === 'held' && hold?.code === code;

describe('budget and brakes', () => {
  test.concurrent('a budget is never passed; raising it goes on', async () => {
    const inputs = images(10, 'budget');
    const batch = await newBatch(harness, { batchId: 'budget', inputs });
    await batch.start({ maxCredits: 4 });
    await batch.until((state) => isHeld('BudgetReached')(state) && state.counts.open === 0);
    expect(await batch.state()).toMatchObject({ spentCredits: 4, committedCredits: 0, counts: { succeeded: 4 } });
    expect(await tasksOf('budget')).toBe(4);
    await batch.request('setMaxCredits', { maxCredits: 10 });
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 10 }, spentCredits: 10 });
    expect(await paid('budget')).toEqual(onceEach(inputs));
  });

  test.concurrent(
    'what was paid for items that have left the input, or were edited, counts for the budget',
    async () => {
      const batch = await newBatch(harness, { batchId: 'left', inputs: images(4, 'left') });
      await batch.start();
      await batch.handle.result();
      const { sha256 } = await writeManifest(harness.output, {
        batchId: 'left',
        inputs: images(4, 'left anew'),
        rename: (item, n) =>
          n < 2
            ? { ...item, workflowId: `${item.workflowId}-edited` }
            : { ...item, id: `n${n}`, workflowId: `left/n${n}` },
      });
      const settings = readBatchSettings({ maxCredits: 6 });
      await harness.temporal.workflow.start('rivyaBatch', {
        workflowId: 'left',
        taskQueue: harness.taskQueue,
        args: [{ manifest: sha256, settings }],
      });
      await batch.until((state) => isHeld('BudgetReached')(state) && state.counts.open === 0);
      expect(await batch.state()).toMatchObject({ spentCredits: 6 });
      expect(await tasksOf('left')).toBe(6);
    },
  );

  test.concurrent(
    'where the list of models names no price, one item teaches it: the budget is passed by that item at most',
    async () => {
      const inputs = images(10, 'probe', { model: 'nano-banana-2' });
      const batch = await newBatch(harness, { batchId: 'probe', inputs, estimates: { 'nano-banana-2': null } });
      await batch.start({ maxCredits: 3 });
      await batch.until((state) => isHeld('BudgetReached')(state) && state.counts.open === 0);
      expect(await tasksOf('probe')).toBe(1);
      expect(await batch.state()).toMatchObject({ spentCredits: 5 });
      // Its price is known from the records, so nothing is probed again.
      await batch.handle.terminate('test');
      await batch.start({ maxCredits: 11 });
      await batch.until((state) => isHeld('BudgetReached')(state) && state.counts.succeeded === 2);
      expect(await tasksOf('probe')).toBe(2);
    },
  );

  test.concurrent('a class that waits for its price does not keep other classes waiting', async () => {
    const slow: GenerateMediaInput[] = images(3, 'dropped beside', { model: 'sora-2' });
    const inputs = [...slow, ...images(5, 'beside')];
    const batch = await newBatch(harness, { batchId: 'beside', inputs, estimates: { 'sora-2': 6 } });
    await batch.start({ maxCredits: 100 });
    await batch.until(({ counts, pricing }) => counts.succeeded === 5 && pricing?.[0] === 'sora-2');
    expect(await tasksOf('beside')).toBe(5);
    expect((await harness.temporal.workflow.count("RivyaBatchId = 'beside'")).count).toBe(6);
  });

  test.concurrent('a class whose first item never ends is opened by the credits that are reserved for it', async () => {
    const inputs = [...images(1, 'stuck first'), ...images(3, 'behind it')];
    const batch = await newBatch(harness, { batchId: 'behind', inputs });
    await batch.start({ maxCredits: 100 });
    await batch.until(({ counts }) => counts.succeeded === 3);
    expect((await batch.state()).counts.open).toBe(1);
  });

  test.concurrent('a price above the estimate by more than half holds; resume accepts it', async () => {
    const inputs = images(8, 'dear', { model: 'gpt-image-2' });
    const batch = await newBatch(harness, { batchId: 'dear', inputs, estimates: { 'gpt-image-2': 1.9 } });
    await batch.start({ maxInFlight: 2 });
    await batch.until((state) => isHeld('PriceRose')(state) && state.counts.open === 0);
    expect(await tasksOf('dear')).toBe(2);
    await batch.request('resume', undefined);
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 8 }, spentCredits: 24 });
  });

  test.concurrent('failures hold the batch, and a person may let it go on', async () => {
    const inputs = images(8, 'failing');
    const batch = await newBatch(harness, { batchId: 'failing', inputs });
    await batch.start({ maxInFlight: 2, maxFailures: '25%' });
    await batch.until((state) => isHeld('TooManyFailures')(state) && state.counts.open === 0);
    const { counts } = await batch.state();
    expect(counts.failedBy).toEqual({ generation_failed: counts.failed });
    // A third is started where a look found the first failure before the second.
    expect([2, 3]).toContain(await tasksOf('failing'));
    await batch.request('resume', undefined);
    await batch.until((state) => isHeld('TooManyFailures')(state) && state.counts.failed >= counts.failed + 2);
  });

  test.concurrent(
    'a failed task is paid for again only where a record asks for it, and one that has not ended is waited for',
    async () => {
      const failing = { model: 'z-image', prompt: 'fails once.' };
      const late = { model: 'z-image', prompt: 'late.', options: { deadline: '1s' } };
      const batch = await newBatch(harness, { batchId: 'retry', inputs: [failing, late] });
      await batch.start();
      expect(await batch.handle.result()).toMatchObject({ counts: { failed: 2 } });
      const [failed, passed] = await batch.outcomes();
      expect(failed).toMatchObject({ error: { code: 'generation_failed' }, attempts: 1, taskStatus: 'failed' });
      expect(passed).toMatchObject({ error: { code: 'DeadlinePassed' }, taskId: expect.any(String) });
      // Started again, it pays nothing and changes nothing.
      await batch.start();
      expect(await batch.handle.result()).toMatchObject({ counts: { failed: 2 } });
      for (const [record, retry] of [[failed!, 'buy'] as const, [passed!, 'wait'] as const]) {
        await batch.files.writeOutcome({ ...record, retry });
      }
      await batch.start();
      expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 2, failed: 0 } });
      const ledger = await tasksByPrompt(harness);
      const { keys } = await harness.emulator.ledger();
      const tasks = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes('fails once.')));
      expect(tasks.flatMap((key) => key.tasks)).toHaveLength(2);
      expect(ledger['late.']).toBe(1);
      const [bought, waited] = await batch.outcomes();
      expect(bought).toMatchObject({ status: 'succeeded', attempts: 2, retry: null });
      expect(waited).toMatchObject({ status: 'succeeded', taskId: passed!.taskId, attempts: 1, retry: null });
    },
  );
});

test('an attempt that failed and was given back is not among the credits of a batch', async () => {
  const inputs = images(1, 'given back', { options: { maxAttempts: 3 } });
  const batch = await newBatch(harness, { batchId: 'given-back', inputs });
  await batch.start();
  await batch.handle.result();
  const { tasks } = await harness.emulator.ledger();
  const ours = Object.values(tasks).filter(({ prompt }) => prompt === inputs[0]?.prompt);
  expect(ours.map(({ final }) => final).toSorted((a, b) => a - b)).toEqual([0, 1]);
  const [outcome] = await batch.outcomes();
  expect(outcome).toMatchObject({ attempts: 2, earlierCredits: 0, finalCredits: 1 });
  expect(Object.values(outcome?.earlierTasks ?? {})).toEqual([0]);
  expect(await batch.state()).toMatchObject({ spentCredits: 1 });
});

describe('nothing is started and nothing is paid', () => {
  test.concurrent.each([
    ['the batch is for the real API, and the Worker calls the emulator', 'rivya.ai', 'OtherApi', /RIVYA_BASE_URL/],
  ])('%s', async (_, api, code, action) => {
    const batch = await newBatch(harness, { batchId: 'mixed', inputs: images(2, 'mixed'), api });
    await batch.start();
    await batch.until(isHeld(code));
    expect((await batch.state()).hold?.action).toMatch(action);
    expect(await tasksOf('mixed')).toBe(0);
  });

  test.concurrent('the store has no such manifest', async () => {
    const batch = await newBatch(harness, { batchId: 'gone', inputs: images(2, 'gone') });
    await harness.temporal.workflow.start('rivyaBatch', {
      workflowId: 'gone',
      taskQueue: harness.taskQueue,
      args: [{ manifest: '0'.repeat(64), settings: {} }],
    });
    await batch.until(isHeld('ManifestMissing'));
    await batch.request('setManifest', { manifest: batch.manifest.sha256 });
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 2 } });
  });

  test.concurrent('the store cannot be written', async () => {
    const { temporal: client, output, taskQueue, batchId = 'full' } = { ...harness };
    const manifest = await writeManifest(output, { batchId, inputs: images(3, 'full') });
    const refused = new StoreUnavailable('The store is full (ENOSPC).', { retryable: false });
    const store = Object.assign(new FileStore(`file:${output}`), { write: () => Promise.reject(refused) });
    const settings = readBatchSettings({});
    const progress = progressAtStart();
    const input = { manifest: manifest.sha256, settings, paused: false, shown: '', progress, retry: [], skip: [] };
    const look = await lookAtBatch(input, {
      client,
      store,
      api: 'emulator',
      batchId,
      taskQueue,
      stopped: () => false,
    });
    expect(look).toMatchObject({ hold: { code: 'StoreUnavailable', message: expect.stringContaining('ENOSPC') } });
    expect(look.progress.open).toEqual([]);
    expect((await client.workflow.count(runningQuery(batchId))).count).toBe(0);
    expect(await tasksOf('full')).toBe(0);
  });

  test.concurrent('a wrong input fails by the name of its field', async () => {
    const handle = await harness.temporal.workflow.start('rivyaBatch', {
      workflowId: 'wrong',
      taskQueue: harness.taskQueue,
      args: [{ manifest: '0'.repeat(64), settings: { maxFailures: '120%' } }],
    });
    await expect(handle.result()).rejects.toMatchObject({
      cause: { type: 'InvalidInput', message: expect.stringContaining('settings.maxFailures') },
    });
  });

  test.concurrent('the Worker has no store, or the namespace no search attributes', async () => {
    await using bare = await startHarness({ env: { RIVYA_STORE: '' } });
    await using plain = await startHarness({ attributes: false });
    for (const [place, code, action] of [
      [bare, 'StoreMissing', 'RIVYA_STORE'],
      [plain, 'SearchAttributesMissing', 'rivya-temporal setup'],
    ] as const) {
      const batch = await newBatch(place, { batchId: 'bare', inputs: images(1) });
      await batch.start();
      await batch.until(isHeld(code));
      expect((await batch.state()).hold?.action).toContain(action);
      expect(place.emulator.requests().filter(({ method }) => method === 'POST')).toEqual([]);
    }
  });
});

test('while several items are held by the credits of the account, nothing is started', async () => {
  await using poor = await startHarness({ account: false, emulator: { credits: 3, durations: { image: 800 } } });
  const inputs = images(12, 'poor');
  const batch = await newBatch(poor, { batchId: 'poor', inputs });
  await batch.start({ maxInFlight: 5 });
  await batch.until(
    (state) => isHeld('insufficient_credits')(state) && state.counts.held === 2 && state.counts.succeeded === 3,
  );
  const { counts, hold } = await batch.state();
  expect(counts).toMatchObject({ succeeded: 3, open: 2, heldBy: { insufficient_credits: 2 } });
  expect(hold?.action).toContain('credits');
  expect((await poor.temporal.workflow.count("RivyaBatchId = 'poor'")).count).toBe(5);
  await poor.emulator.setCredits(undefined, 100);
  for await (const { workflowId } of poor.temporal.workflow.list({
    query: "RivyaBatchId = 'poor' AND ExecutionStatus = 'Running'",
  })) {
    await poor.client.handle(workflowId).resume();
  }
  expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 12 }, spentCredits: 12 });
  expect(await tasksByPrompt(poor)).toEqual(onceEach(inputs));
});

test('a budget and an account without credits: the only item that runs holds the batch', async () => {
  await using poor = await startHarness({ account: false, emulator: { credits: 0 } });
  const batch = await newBatch(poor, { batchId: 'poorest', inputs: images(6, 'poorest') });
  await batch.start({ maxCredits: 50 });
  await batch.until(isHeld('insufficient_credits'));
  expect((await poor.temporal.workflow.count("RivyaBatchId = 'poorest'")).count).toBe(1);
});

test('a batch continues as new, and so do its items: each is recorded once, at its end', async () => {
  const dynamicConfig = { 'limit.historyCount.suggestContinueAsNew': '25' };
  await using short = await startHarness({ dynamicConfig, emulator: { durations: { image: 9_000 } } });
  const inputs = images(8);
  const batch = await newBatch(short, { batchId: 'short', inputs });
  await batch.start({ maxInFlight: 2 });
  expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 8 }, spentCredits: 8 });
  const runs = await short.temporal.workflow.count("WorkflowId = 'short'");
  expect(runs.count).toBeGreaterThan(1);
  const items = await short.temporal.workflow.count("RivyaBatchId = 'short' AND ExecutionStatus = 'ContinuedAsNew'");
  expect(items.count).toBeGreaterThan(0);
  expect(await tasksByPrompt(short)).toEqual(onceEach(inputs));
});
