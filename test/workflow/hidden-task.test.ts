/** What a run knows of a paid task is not hidden by a later submit of it that came to nothing. The ledger is the judge. */
import { expect, test } from 'vitest';
import type { GenerationResult } from '../../src/contract/index.js';
import { startHarness } from '../support/harness.js';
import { unfinished } from '../support/tasks.js';
import { until } from '../support/until.js';

const HOUR_MS = 3_600_000;

test('a child that was started again, and ended before its second submit began, hides nothing', async () => {
  // Only Temporal remembers; the deadline passes at the first check.
  await using harness = await startHarness({
    workers: false,
    env: { RIVYA_STORE: '' },
    emulator: { switches: { keyLifetimeMs: 1 }, faults: [unfinished()] },
  });
  const { taskQueue, temporal } = harness;
  await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
  const api = await harness.startWorkers({ roles: new Set(['api']) });
  const workflowId = `hidden ${taskQueue}`;
  const child = temporal.workflow.getHandle(`${workflowId}/again`);
  const input = (options: object) => ({ model: 'z-image', prompt: 'hidden', options: { taskQueue, ...options } });
  const start = (options: object, pauseMs: number) =>
    temporal.workflow.start('retriedStep', { workflowId, taskQueue, args: [input(options), pauseMs] });
  const first = await start({ deadline: '1s' }, HOUR_MS);
  const checked = () => harness.emulator.ledger().then(({ tasks }) => Object.values(tasks)[0]?.checks.length === 1);
  await until(checked);
  const { runId } = await child.describe();
  // What is under way here ends, so the second submit waits for a Worker.
  await api.stop();
  await first.signal('goOn');
  await until(async () => {
    const description = await child.describe();
    return description.runId !== runId && description.raw.pendingActivities?.[0]?.activityType?.name === 'rivyaSubmit';
  });
  await first.terminate();
  await child.terminate();
  await harness.startWorkers({ roles: new Set(['api']) });
  harness.emulator.setFaults([]);
  const result = (await (await start({}, 1)).result()) as GenerationResult;
  expect(result).toMatchObject({ reused: true });
  expect(Object.keys((await harness.emulator.ledger()).tasks)).toEqual([result.taskId]);
});
