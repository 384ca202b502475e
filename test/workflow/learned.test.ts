/** Workers that learn how long tasks take, and check when they end. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { tsToMs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerationHandle } from '../../src/client.js';
import type { CheckInput, GenerationResult } from '../../src/contract/index.js';
import { likenessOf } from '../../src/policy/index.js';
import { LearnedDurations } from '../../src/worker/learned.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

const TASK_MS = 9_000;
let harness: Harness;

// The store says that 24 tasks took 9 s each, as other Workers would have left it.
beforeAll(async () => {
  harness = await startHarness({
    workers: false,
    env: { RIVYA_PATIENCE: '1' },
    emulator: { durations: { image: TASK_MS } },
  });
  const { store, baseUrl } = harness.settings;
  const others = new LearnedDurations({ store, baseUrl, price: 1, warn: (message) => expect.fail(message) });
  const like = { model: 'z-image', kind: 'image', likeness: 'any' } as const;
  for (let n = 0; n < 24; n++) others.note(like, { fromMs: TASK_MS, toMs: TASK_MS });
  await others.save();
  await harness.startWorkers();
});
afterAll(() => harness[Symbol.asyncDispose]());

function start(prompt: string, options = {}): Promise<GenerationHandle> {
  return harness.client.start({ model: 'z-image', prompt, options });
}

/** Milliseconds from the creation of the task to each of its checks. */
async function checksOf({ taskId, createdAt }: GenerationResult): Promise<number[]> {
  const { checks } = (await harness.emulator.ledger()).tasks[taskId]!;
  return checks.map((at) => at - Date.parse(createdAt!));
}

test('the first check comes when tasks end, not 2 s after the submit, and people read when that is', async () => {
  const handle = await start('learned');
  await until(async () => (await stateOf(handle)).phase === 'waiting');
  const { expected } = await stateOf(handle);
  expect(expected).toMatchObject({ runs: 24, late: false });
  const range = Date.parse(expected!.to) - Date.parse(expected!.from);
  expect(range).toBeGreaterThanOrEqual(0);
  expect(range).toBeLessThan(TASK_MS / 2);
  const metadata = await harness.temporal.workflow
    .getHandle(handle.workflowId)
    .query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain(`Expected end: ${expected!.from} (half of the last 24 tasks like it)`);
  const [first] = await checksOf(await handle.result());
  // By the fixed schedule, 2 to 3 s.
  expect(first).toBeGreaterThan(6_000);
  expect((await stateOf(handle)).expected).toBeNull();
});

test('a task that takes longer than nearly all others is said to, and checked by the fixed schedule', async () => {
  harness.emulator.setFaults([unfinished('it drags on')]);
  const handle = await start('it drags on');
  await until(async () => (await stateOf(handle)).expected?.late === true);
  await until(async () => (await stateOf(handle)).statusChecks > 2);
  harness.emulator.setFaults([]);
  const gaps = (await checksOf(await handle.result())).map((at, n, all) => at - (all[n - 1] ?? 0)).slice(1);
  for (const gap of gaps) expect(gap).toBeGreaterThan(4_900);
});

test('a plan does not pass the deadline', async () => {
  harness.emulator.setFaults([unfinished('too late')]);
  const handle = await start('too late', { deadline: '5s' });
  await expect(handle.result()).rejects.toMatchObject({ code: 'DeadlinePassed' });
  const { events } = await harness.temporal.workflow.getHandle(handle.workflowId).fetchHistory();
  const waits = (events ?? []).flatMap(({ timerStartedEventAttributes: timer }) =>
    timer == null ? [] : [tsToMs(timer.startToFireTimeout)],
  );
  expect(waits[0]).toBeLessThanOrEqual(5_000);
  harness.emulator.setFaults([]);
});

test('what a Worker has learned is in the store when it stops: each task once, however often its end is looked at', async () => {
  await using school = await startHarness({
    workers: false,
    env: { RIVYA_PATIENCE: '1' },
    // The links come later, so that more checks follow the one that finds the end.
    emulator: { durations: { image: 1_000 }, switches: { resultLagMs: 9_000 } },
  });
  const workers = await school.startWorkers();
  const prompts = Array.from({ length: 6 }, (_, n) => `lesson ${n}`);
  const handles = await Promise.all(prompts.map((prompt) => school.client.start({ model: 'z-image', prompt })));
  for (const handle of handles) await handle.result();
  await workers.stop();
  const folder = path.join(school.output, '.rivya/durations');
  const [file, ...others] = await readdir(folder);
  expect(others).toEqual([]);
  const { sets } = JSON.parse(await readFile(path.join(folder, file!), 'utf8')) as { sets: Record<string, number[]> };
  expect(sets['model:z-image']!.reduce((sum, count) => sum + count)).toBeCloseTo(6, 1);
});

test('a task with references is like those with as many, at its submit and at its checks', async () => {
  const references = [{ url: 'https://cdn.example/a.jpg', kind: 'image' as const }];
  const handle = await harness.client.start({ model: 'gpt-image-2', prompt: 'with one', references });
  await handle.result();
  const post = harness.emulator.requests().find(({ body }) => body.includes('with one'))!;
  const { events } = await harness.temporal.workflow.getHandle(handle.workflowId).fetchHistory();
  const check = events!.find(
    ({ activityTaskScheduledEventAttributes: of }) => of?.activityType?.name === 'rivyaCheck',
  )!.activityTaskScheduledEventAttributes!;
  const input = JSON.parse(Buffer.from(check.input!.payloads![0]!.data!).toString()) as CheckInput;
  expect(input.timing?.likeness).toBe(likenessOf(post.body));
  expect(input.timing?.likeness).not.toBe(likenessOf('{"params":{}}'));
});

test('RIVYA_PATIENCE=0: the fixed schedule, and nothing is learned', async () => {
  await using fixed = await startHarness({ emulator: { durations: { image: 1_000 } } });
  expect(fixed.settings.patience).toBe(0);
  const prompts = Array.from({ length: 8 }, (_, n) => `fixed ${n}`);
  const handles = await Promise.all(prompts.map((prompt) => fixed.client.start({ model: 'z-image', prompt })));
  for (const handle of handles) {
    await handle.result();
    expect(await stateOf(handle)).toMatchObject({ expected: null });
  }
  expect(await readdir(path.join(fixed.output, '.rivya'))).not.toContain('durations');
});
