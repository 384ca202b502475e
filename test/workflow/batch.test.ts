/** Batches: each item is paid once, within window and budget, whatever happens to the batch. */
import { rm, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lookAtBatch } from '../../src/batch/look.js';
import { rowsOf } from '../../src/batch/results.js';
import { runningQuery } from '../../src/batch/running.js';
import type { GenerateMediaInput } from '../../src/contract/index.js';
import { progressAtStart, readBatchSettings, retryKind } from '../../src/policy/index.js';
import { FileStore } from '../../src/storage/file-store.js';
import { images, newBatch, onceEach, tasksByPrompt, tasksOfPrompts, writeManifest } from '../support/batch.js';
import { startHarness, type Harness } from '../support/harness.js';
import { shareFaults, unfinished, type SharedFaults } from '../support/tasks.js';
import { until } from '../support/until.js';
import { kill, spawnWorker } from '../support/worker-process.js';

let harness: Harness;
let faults: SharedFaults;
beforeAll(async () => {
  harness = await startHarness({ emulator: { durations: { image: 800 }, credits: 1_000_000 } });
  faults = shareFaults(harness.emulator, [
    { on: 'create', prompt: 'stuck', do: { kind: 'stuck' } },
    { on: 'create', prompt: 'unanswered', do: { kind: 'delayAfter', ms: 600_000 } },
  ]);
});
afterAll(() => harness[Symbol.asyncDispose]());

const paid = (prompt: string): Promise<Record<string, number>> => tasksOfPrompts(harness, prompt);
const tasksOf = async (prompt: string): Promise<number> =>
  Object.values(await paid(prompt)).reduce((sum, count) => sum + count, 0);

describe('paid once', () => {
  test.concurrent(
    'sixty items: each in the store, with its record and its credits; at most two events an item',
    async () => {
      const inputs = images(60, 'sixty');
      const batch = await newBatch(harness, { batchId: 'sixty', inputs });
      const handle = await batch.start();
      const result = await handle.result();
      expect(result).toMatchObject({ counts: { items: 60, succeeded: 60, failed: 0, open: 0 }, spentCredits: 60 });
      expect(await paid('sixty')).toEqual(onceEach(inputs));
      const outcomes = await batch.outcomes();
      expect(outcomes).toHaveLength(60);
      expect(outcomes[0]).toMatchObject({
        itemId: 'i0001',
        status: 'succeeded',
        attempts: 1,
        finalCredits: 1,
        simulated: true,
        error: null,
        files: [{ uri: expect.stringContaining('/sixty/i0001/1') }],
      });
      const { events } = await handle.fetchHistory();
      const { startTime, closeTime, memo } = await handle.describe();
      // A look of 6 events each 10 s comes on top, which counts on a slow machine.
      const tensOfSeconds = Math.ceil((closeTime!.getTime() - startTime.getTime()) / 10_000);
      expect(events!.length).toBeLessThan(2 * 60 + 6 * tensOfSeconds);
      expect(memo).toMatchObject({ rivyaBatch: { phase: 'done', spentCredits: 60 } });
      const item = await harness.temporal.workflow.getHandle('sixty/i0001').describe();
      expect(item.raw.workflowExecutionInfo?.priority?.priorityKey).toBe(4);
      const listed = "RivyaBatchId = 'sixty' AND RivyaStatus = 'succeeded'";
      expect((await harness.temporal.workflow.count(listed)).count).toBe(60);
    },
  );

  test.concurrent('a batch that was terminated goes on; once it is done, starting it again pays nothing', async () => {
    const inputs = images(30, 'terminated');
    const release = faults.keep('terminated 30.');
    const batch = await newBatch(harness, { batchId: 'terminated', inputs });
    await batch.start({ maxInFlight: 10 });
    for (const ended of [5, 15]) {
      await until(async () => (await batch.outcomes()).length >= ended);
      await batch.handle.terminate('test');
      await batch.start({ maxInFlight: 10 });
    }
    release();
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 30 }, spentCredits: 30 });
    expect(await paid('terminated')).toEqual(onceEach(inputs));
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({ counts: { items: 30, succeeded: 30 }, spentCredits: 30 });
    expect(await paid('terminated')).toEqual(onceEach(inputs));
  });

  test.concurrent('a look that is repeated after it has started items keeps to window and budget', async () => {
    const { temporal: client, output, taskQueue, batchId = 'keeps' } = { ...harness };
    const manifest = await writeManifest(output, { batchId, inputs: images(20, 'keeps') });
    const release = faults.keep('keeps');
    const store = new FileStore(`file:${output}`);
    const dependencies = { client, store, api: 'emulator', batchId, taskQueue, stopped: () => false };
    const input = { manifest: manifest.sha256, paused: false, shown: '', retry: [], skip: [] };
    const settings = readBatchSettings({ maxInFlight: 20, maxCredits: 5 });
    // The price is known, so as many are started as the budget allows.
    const progress = { ...progressAtStart(), counting: null, prices: { 0: 1 }, quoted: { 0: 1 } };
    const look = () => lookAtBatch({ ...input, settings, progress }, dependencies);
    const first = await look();
    expect(first.progress.open).toHaveLength(5);
    await until(async () => (await client.workflow.count(runningQuery(batchId))).count === 5);
    const again = await look();
    expect(again.hold).toMatchObject({ code: 'BudgetReached' });
    expect(again.progress.open).toHaveLength(5);
    expect((await client.workflow.count("RivyaBatchId = 'keeps'")).count).toBe(5);
    release();
  });

  test.concurrent('looks that run twice at the same time, or are repeated, start each item once', async () => {
    const inputs = images(20, 'twice');
    const { temporal: client, output, taskQueue, batchId = 'twice' } = { ...harness };
    const manifest = await writeManifest(output, { batchId, inputs });
    const settings = readBatchSettings({ maxInFlight: 20 });
    const input = {
      manifest: manifest.sha256,
      settings,
      paused: false,
      shown: '',
      progress: progressAtStart(),
      retry: [],
      skip: [],
    };
    const store = new FileStore(`file:${output}`);
    const dependencies = { client, store, api: 'emulator', batchId, taskQueue, stopped: () => false };
    const look = (progress = input.progress) => lookAtBatch({ ...input, progress }, dependencies);
    const [one, two] = await Promise.all([look(), look()]);
    expect([one.progress.open.length, two.progress.open.length]).toEqual([20, 20]);
    const batch = await newBatch(harness, { batchId, inputs });
    await until(async () => {
      const running = await client.workflow.count("RivyaBatchId = 'twice' AND ExecutionStatus = 'Running'");
      return running.count === 0;
    });
    // All have ended and none is recorded: the same input comes to the same records, however often it is looked at.
    const [ended, again] = await Promise.all([look(one.progress), look(one.progress)]);
    const late = await look(one.progress);
    for (const { progress, done } of [ended, again, late]) {
      expect(done).toBe(true);
      expect(progress).toMatchObject({ ended: { succeeded: 20 }, spentCredits: 20, open: [] });
    }
    expect(await batch.outcomes()).toHaveLength(20);
    expect(await paid('twice')).toEqual(onceEach(inputs));
    // Neither does one that has forgotten all.
    expect((await look()).progress).toMatchObject({ ended: { succeeded: 20 }, spentCredits: 20, open: [] });
    expect(await paid('twice')).toEqual(onceEach(inputs));
  });

  test.concurrent(
    'an item that Temporal knows and the store does not is not started again, and is recorded',
    async () => {
      const inputs = images(3, 'known');
      const batch = await newBatch(harness, { batchId: 'known', inputs });
      const handle = await harness.client.start(inputs[1]!, { workflowId: 'known/i0002' });
      const { taskId } = await handle.result();
      const { runId } = await handle.describe();
      await batch.start();
      expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 3 } });
      expect((await batch.outcomes())[1]).toMatchObject({ taskId, runId });
      expect(await paid('known')).toEqual(onceEach(inputs));
    },
  );

  test.concurrent('a run of another request under the ID of an item is not its result', async () => {
    const inputs = images(3, 'foreign');
    const batch = await newBatch(harness, { batchId: 'foreign', inputs });
    const options = { taskQueue: harness.taskQueue, args: [{}] };
    await harness.temporal.workflow.start('rivyaChat', { ...options, workflowId: 'foreign/i0001' });
    await (await harness.client.start(images(1, 'stranger')[0]!, { workflowId: 'foreign/i0002' })).result();
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({
      counts: { succeeded: 1, failed: 2, failedBy: { InputChanged: 2 } },
      spentCredits: 1,
    });
    expect((await batch.outcomes())[1]).toMatchObject({
      taskId: null,
      files: [],
      error: { action: expect.stringContaining('another id than "i0002"') },
    });
    expect(await paid('foreign')).toEqual(onceEach(inputs.slice(2)));
  });

  test.concurrent(
    'an item that was ended before its submit was answered counts as paid, and is not bought again',
    async () => {
      const inputs = images(1, 'unanswered');
      const batch = await newBatch(harness, { batchId: 'unanswered', inputs });
      await batch.start();
      await until(async () => (await tasksOf('unanswered')) === 1);
      await harness.temporal.workflow.getHandle('unanswered/i0001').terminate();
      expect(await batch.handle.result()).toMatchObject({ counts: { cancelled: 1 }, spentCredits: 1 });
      const [record] = await batch.outcomes();
      expect(record).toMatchObject({ taskId: null, error: { code: 'SubmitUnresolved' } });
      expect(retryKind(record!, inputs[0]!)).toBe(null);
    },
  );

  test.concurrent('a result whose files have left the store is none; a free retry fetches them again', async () => {
    const inputs = images(1, 'emptied');
    const batch = await newBatch(harness, { batchId: 'emptied', inputs });
    const result = await (await harness.client.start(inputs[0]!, { workflowId: 'emptied/i0001' })).result();
    const file = fileURLToPath(result.files[0]!.uri);
    await rm(file);
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({ counts: { failedBy: { ResultMissing: 1 } }, spentCredits: 1 });
    const [record] = await batch.outcomes();
    expect(retryKind(record!, inputs[0]!)).toBe('wait');
    await batch.files.writeOutcome({ ...record!, retry: 'wait' });
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 1 }, spentCredits: 1 });
    expect((await stat(file)).size).toBe(result.files[0]!.bytes);
    expect(await paid('emptied')).toEqual(onceEach(inputs));
  });
});

describe('requests', () => {
  test.concurrent('pause starts nothing more, resume goes on, setMaxInFlight changes the window', async () => {
    const inputs = images(14, 'paused');
    const release = faults.keep('paused');
    const batch = await newBatch(harness, { batchId: 'paused', inputs });
    await batch.start({ maxInFlight: 2 });
    await batch.untilRunning(2);
    expect(await batch.request('pause', undefined)).toBe('Paused: nothing more is started. Items that run go on.');
    release();
    await batch.until(({ counts, phase }) => phase === 'paused' && counts.open === 0 && counts.succeeded === 2);
    expect(await tasksOf('paused')).toBe(2);
    await expect(batch.request('pause', undefined)).rejects.toMatchObject({
      cause: { message: expect.stringContaining('paused already') },
    });
    await expect(batch.request('setMaxInFlight', { maxInFlight: 0 })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('maxInFlight: must be') },
    });
    const releaseAll = faults.keep('paused');
    await batch.request('setMaxInFlight', { maxInFlight: 12 });
    expect(await batch.request('resume', undefined)).toBe('Resumed.');
    await batch.untilRunning(12);
    releaseAll();
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 14 } });
    expect(await paid('paused')).toEqual(onceEach(inputs));
  });

  test.concurrent('a request that comes while the Worker of a look is dead ends no batch', async () => {
    await using alone = await startHarness({
      workers: false,
      emulator: { durations: { image: 800 }, faults: [unfinished()] },
    });
    const first = spawnWorker(alone);
    const inputs = images(2, 'dead');
    const batch = await newBatch(alone, { batchId: 'dead', inputs });
    await batch.start({ maxInFlight: 1 });
    await batch.untilRunning(1);
    await kill(first);
    await batch.handle.signal('setMaxInFlight', { maxInFlight: 2 });
    const second = spawnWorker(alone);
    try {
      await batch.untilRunning(2);
      alone.emulator.setFaults([]);
      expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 2 } });
      expect(await tasksByPrompt(alone)).toEqual(onceEach(inputs));
    } finally {
      await kill(second);
    }
  });

  test.concurrent(
    'another manifest: new items are started, dropped ones are not, edited ones get another generation',
    async () => {
      const before = images(12, 'edited');
      const release = faults.keep('edited');
      const batch = await newBatch(harness, { batchId: 'edited', inputs: before });
      await batch.start({ maxInFlight: 4 });
      await batch.untilRunning(4);
      await batch.request('pause', undefined);
      // Items 1 to 11 as they were; 12 dropped; one added.
      const after = [...before.slice(0, 11), { model: 'z-image', prompt: 'edited added.' }];
      const ids = before.slice(0, 11).map((_, n) => `i${String(n + 1).padStart(4, '0')}`);
      const { sha256 } = await writeManifest(harness.output, {
        batchId: 'edited',
        inputs: after,
        rename: (item, n) => (n === 11 ? { ...item, id: 'added', workflowId: 'edited/added' } : item),
      });
      await batch.request('setManifest', { manifest: sha256 });
      await batch.request('resume', undefined);
      release();
      expect(await batch.handle.result()).toMatchObject({ counts: { items: 12, succeeded: 12 } });
      expect(await paid('edited')).toEqual(onceEach(after));
      expect(await batch.files.outcome('edited/added')).toMatchObject({ status: 'succeeded' });
      for (const id of ids) expect(await batch.files.outcome(`edited/${id}`)).toMatchObject({ status: 'succeeded' });
    },
  );

  test.concurrent('a list that was made from another one than the batch has now is refused', async () => {
    const inputs = images(3, 'lists');
    const batch = await newBatch(harness, { batchId: 'lists', inputs });
    const [one, two] = await Promise.all(
      [1, 2].map((count) => writeManifest(harness.output, { batchId: 'lists', inputs: inputs.slice(0, count) })),
    );
    const release = faults.keep('lists');
    await batch.start({ maxInFlight: 1 });
    const from = batch.manifest.sha256;
    const changes = [one!, two!].map(({ sha256: manifest }) => batch.request('setManifest', { manifest, from }));
    const ends = await Promise.allSettled(changes);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const [first, second] = ends[0]!.status === 'fulfilled' ? [one!, two!] : [two!, one!];
    expect(await batch.state()).toMatchObject({ manifest: first.sha256 });
    await expect(batch.request('setManifest', { manifest: second.sha256, from })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('another list of items') },
    });
    release();
    expect(await batch.handle.result()).toMatchObject({ counts: { items: first.items } });
  });

  test.concurrent(
    'items that run when they are dropped or edited keep to the budget, and their ends are recorded',
    async () => {
      const before = images(6, 'leaving');
      const release = faults.keep('leaving');
      const batch = await newBatch(harness, { batchId: 'leaving', inputs: before });
      await batch.start({ maxCredits: 4 });
      await batch.untilRunning(4);
      // Items 1 and 2 are dropped, 3 is edited, 4 runs on.
      const after = [{ model: 'z-image', prompt: 'leaving edited.' }, ...before.slice(3)];
      const { sha256 } = await writeManifest(harness.output, {
        batchId: 'leaving',
        inputs: after,
        rename: (item, n) => {
          const id = `i000${n + 3}`;
          return { ...item, id, workflowId: `leaving/${id}${n === 0 ? '@edited' : ''}` };
        },
      });
      await batch.request('setManifest', { manifest: sha256 });
      release();
      await batch.until(({ counts, hold }) => hold?.code === 'BudgetReached' && counts.open === 0);
      expect(await batch.state()).toMatchObject({ spentCredits: 4, committedCredits: 0, counts: { succeeded: 1 } });
      expect(await tasksOf('leaving')).toBe(4);
      for (const id of ['i0001', 'i0002', 'i0003']) {
        expect(await batch.files.outcome(`leaving/${id}`)).toMatchObject({ status: 'succeeded', finalCredits: 1 });
      }
      await batch.request('setMaxCredits', { maxCredits: 7 });
      expect(await batch.handle.result()).toMatchObject({ counts: { items: 4, succeeded: 4 }, spentCredits: 7 });
      expect(await paid('leaving')).toEqual(onceEach([...before, ...after.slice(0, 1)]));
      const gone: string[] = [];
      for await (const { item, isGone } of rowsOf(batch.files, (await batch.files.manifest(sha256))!)) {
        if (isGone === true) gone.push(item.workflowId);
      }
      expect(gone.toSorted()).toEqual(['leaving/i0001', 'leaving/i0002', 'leaving/i0003']);
    },
  );

  test.concurrent(
    'items that end while no batch looks, and leave its input then, are recorded and counted',
    async () => {
      const inputs = images(3, 'unseen');
      const release = faults.keep('unseen');
      const batch = await newBatch(harness, { batchId: 'unseen', inputs });
      await batch.start();
      await batch.untilRunning(3);
      await batch.handle.terminate('test');
      release();
      await batch.untilRunning(0);
      expect(await batch.outcomes()).toEqual([]);
      const { sha256 } = await writeManifest(harness.output, { batchId: 'unseen', inputs: inputs.slice(0, 1) });
      await harness.temporal.workflow.start('rivyaBatch', {
        workflowId: 'unseen',
        taskQueue: harness.taskQueue,
        args: [{ manifest: sha256, settings: {} }],
      });
      expect(await batch.handle.result()).toMatchObject({ counts: { items: 1, succeeded: 1 }, spentCredits: 3 });
      expect(await batch.outcomes()).toHaveLength(3);
      expect(await paid('unseen')).toEqual(onceEach(inputs));
    },
  );

  test.concurrent('an item that goes back to a content which it had is neither paid nor counted again', async () => {
    const [first, second] = images(2, 'content') as [GenerateMediaInput, GenerateMediaInput];
    const batch = await newBatch(harness, { batchId: 'content', inputs: [first] });
    const edited = await writeManifest(harness.output, {
      batchId: 'content',
      inputs: [second],
      rename: (item) => ({ ...item, workflowId: 'content/i0001@second' }),
    });
    for (const [manifest, spentCredits] of [
      [batch.manifest, 1],
      [edited, 2],
      [batch.manifest, 2],
    ] as const) {
      await harness.temporal.workflow.start('rivyaBatch', {
        workflowId: 'content',
        taskQueue: harness.taskQueue,
        args: [{ manifest: manifest.sha256, settings: {} }],
      });
      expect(await batch.handle.result()).toMatchObject({ counts: { items: 1, succeeded: 1 }, spentCredits });
    }
    expect(await paid('content')).toEqual(onceEach([first, second]));
  });

  test.concurrent('an item that is skipped is never started', async () => {
    const release = faults.keep('skipping');
    const batch = await newBatch(harness, { batchId: 'skipping', inputs: images(4, 'skipping') });
    await batch.start({ maxInFlight: 1 });
    await batch.untilRunning(1);
    await batch.request('skipItem', { itemId: 'i0003' });
    await batch.request('setMaxInFlight', { maxInFlight: 4 });
    release();
    expect(await batch.handle.result()).toMatchObject({ counts: { succeeded: 3, skipped: 1 } });
    expect(await tasksOf('skipping')).toBe(3);
  });

  test.concurrent('an item that has failed is started again on request, and pays for one more task', async () => {
    const inputs = [...images(1, 'stuck beside it'), ...images(1, 'fails once')];
    const mend = faults.add({ on: 'create', prompt: 'fails once', do: { kind: 'fail' } });
    const batch = await newBatch(harness, { batchId: 'again', inputs });
    await batch.start();
    await until(async () => (await batch.files.outcome('again/i0002')) !== null);
    mend();
    await batch.request('retryItem', { itemId: 'i0002' });
    await until(async () => (await batch.files.outcome('again/i0002'))?.attempts === 2);
    expect(await batch.files.outcome('again/i0002')).toMatchObject({ status: 'succeeded', retry: null });
    await batch.until(({ counts }) => counts.succeeded === 1 && counts.failed === 0);
    expect(await tasksOf('fails once')).toBe(2);
  });

  test.concurrent('the first items only, then all of them', async () => {
    const inputs = images(6, 'first');
    const batch = await newBatch(harness, { batchId: 'first', inputs });
    await batch.start({ first: 2 });
    expect(await batch.handle.result()).toMatchObject({ counts: { items: 2, succeeded: 2 } });
    expect(await tasksOf('first')).toBe(2);
    await batch.start();
    expect(await batch.handle.result()).toMatchObject({ counts: { items: 6, succeeded: 6 }, spentCredits: 6 });
    expect(await paid('first')).toEqual(onceEach(inputs));
  });

  test.concurrent('cancel starts nothing more and leaves the items alone', async () => {
    const release = faults.keep('cancelled');
    const batch = await newBatch(harness, { batchId: 'cancelled', inputs: images(10, 'cancelled') });
    await batch.start({ maxInFlight: 2 });
    await batch.untilRunning(2);
    await batch.handle.cancel();
    await expect(batch.handle.result()).rejects.toMatchObject({
      cause: { name: 'CancelledFailure' },
    });
    expect((await batch.handle.describe()).memo).toMatchObject({ rivyaBatch: { phase: 'cancelled' } });
    release();
    const item = harness.client.handle('cancelled/i0001');
    expect(await item.result()).toMatchObject({ status: 'succeeded' });
    expect(await tasksOf('cancelled')).toBe(2);
  });
});
