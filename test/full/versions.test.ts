/** A Worker is replaced by one with newer Workflow code, and then by the old one again, in the middle of generations. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import type { GenerationResult, GenerationState } from '../../src/contract/index.js';
import { startWorkers } from '../../src/worker/workers.js';
import { bundleWith, type Change } from '../support/bundle.js';
import { startHarness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const LIMIT_MS = 120_000;

// Another text, which is no command.
const NEW_WORDS: Change = ['src/policy/text.ts', "'Done.'", "'Done, in newer words.'"];
// A new command in the wait, for Workflows that come there on the newer code.
const NEW_COMMAND: readonly Change[] = [
  ['workflows/generation.ts', 'import { patched, workflowInfo }', 'import { patched, sleep, workflowInfo }'],
  [
    'workflows/generation.ts',
    'const first = !wait.checked;',
    "if (patched('a-breath-before-each-wait')) await sleep('1s');\n      const first = !wait.checked;",
  ],
];

const bundles: { same: string; patched: string } = { same: '', patched: '' };
beforeAll(async () => {
  bundles.same = await bundleWith([NEW_WORDS]);
  bundles.patched = await bundleWith([NEW_WORDS, ...NEW_COMMAND]);
});
afterAll(() => Promise.all(Object.values(bundles).map((file) => rm(path.dirname(file), { recursive: true }))));

describe.concurrent('N, N+1 and N again', () => {
  test('without new commands: submit, wait and hold go on, each with its one paid task', async () => {
    await using harness = await startHarness({
      account: false,
      workers: false,
      emulator: {
        durations: { image: 25_000 },
        faults: [
          {
            on: 'create',
            prompt: 'submitted',
            times: 4,
            do: { kind: 'error', code: 'public_api_disabled', retryAfter: '4' },
          },
          { on: 'create', prompt: 'held', times: 1, do: { kind: 'error', code: 'insufficient_credits' } },
        ],
      },
    });
    const prompts = ['submitted', 'waited for', 'held'];
    const n = await harness.startWorkers();
    const handles = await Promise.all(
      prompts.map((prompt) => harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt })),
    );
    const stateOf = async (workflowId: string): Promise<Partial<GenerationState>> =>
      (await harness.client.handle(workflowId).state()) ?? {};
    const retried = async (): Promise<boolean> =>
      ((await handles[0]!.describe()).raw.pendingActivities?.[0]?.attempt ?? 0) > 1;
    await until(async () => (await stateOf('held')).hold != null, LIMIT_MS);
    await until(async () => (await stateOf('waited for')).phase === 'waiting', LIMIT_MS);
    await until(async () => (await retried()) || (await stateOf('submitted')).phase === 'waiting', LIMIT_MS);
    await n.stop();
    const newer = await harness.startWorkers({ bundle: bundles.same });
    await until(async () => ((await stateOf('waited for')).statusChecks ?? 0) > 1, LIMIT_MS);
    await newer.stop();
    await harness.startWorkers();
    await handles[2]!.resume();
    for (const handle of handles) {
      const { taskId } = await handle.result();
      const description = await handle.describe();
      expect(memoOf(description)).toMatchObject({ phase: 'succeeded', taskId });
      expect(await description.staticSummary()).toBe(`z-image: ${handle.workflowId}`);
      const { tasks } = await harness.emulator.ledger();
      const mine = Object.entries(tasks).filter(([, { prompt }]) => prompt === handle.workflowId);
      expect(mine.map(([id]) => id)).toEqual([taskId]);
    }
  });

  test('with a new command behind patched: on N it cannot go on, loses nothing, and goes on when N+1 is back', async () => {
    await using harness = await startHarness({
      account: false,
      workers: false,
      emulator: { durations: { image: 12_000 } },
    });
    const newer = await harness.startWorkers({ bundle: bundles.patched });
    const handle = await harness.client.start({ model: 'z-image', prompt: 'patched' }, { workflowId: 'patched' });
    await until(async () => memoOf(await handle.describe())?.taskId != null, LIMIT_MS);
    const passed = async (): Promise<boolean> => {
      const { events } = await harness.temporal.workflow.getHandle('patched').fetchHistory();
      return events!.some(({ markerRecordedEventAttributes: marker }) => marker != null);
    };
    await until(passed, LIMIT_MS);
    await newer.stop();
    const n = await harness.startWorkers();
    const refused = async (): Promise<string> => {
      const { events } = await harness.temporal.workflow.getHandle('patched').fetchHistory();
      const failed = events!.findLast(({ workflowTaskFailedEventAttributes: attributes }) => attributes != null);
      return failed?.workflowTaskFailedEventAttributes?.failure?.message ?? '';
    };
    await until(async () => (await refused()) !== '', LIMIT_MS);
    expect(await refused()).toContain('a-breath-before-each-wait');
    expect((await handle.describe()).status.name).toBe('RUNNING');
    const { taskId } = memoOf(await handle.describe())!;
    await n.stop();
    await harness.startWorkers({ bundle: bundles.patched });
    expect(await handle.result()).toMatchObject({ taskId });
    expect((await harness.emulator.ledger()).keys).toMatchObject({
      [(await handle.result()).idempotencyKey!]: { posts: 1, tasks: [taskId] },
    });
  });
});

test.concurrent(
  'a pipeline whose children run on two builds pays each of them once, also after its reset',
  async () => {
    await using harness = await startHarness({ account: false, emulator: { durations: { image: 6_000 } } });
    const { taskQueue, temporal, emulator, connection, namespace } = harness;
    const children = `${taskQueue}-children`;
    const run = (codePath: string) =>
      startWorkers(
        { ...harness.settings, taskQueue: children },
        { connection, namespace, workflows: { workflowBundle: { codePath } } },
      );
    const old = await run(inject('bundle'));
    const args = ['one', 'two'].map((prompt) => ({ model: 'z-image', prompt, options: { taskQueue: children } }));
    const parent = await temporal.workflow.start('inOrder', { workflowId: 'two builds', taskQueue, args });
    await until(async () => (await emulator.ledger()).paidTasks === 1, LIMIT_MS);
    await old.stop();
    const newer = await run(bundles.same);
    const results = (await parent.result()) as GenerationResult[];
    await resetToStart(temporal, 'two builds');
    const again = await temporal.workflow.getHandle('two builds').result();
    expect(again).toEqual(results.map((result) => ({ ...result, reused: true })));
    expect((await emulator.ledger()).paidTasks).toBe(2);
    await newer.stop();
  },
);
