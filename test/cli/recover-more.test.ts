/** What ended here in less usual ways, and goes on at Rivya all the same: `recover` tells of it. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { runCommand } from './command.js';

async function recover({ temporalEnv }: Harness): Promise<{ text: string; steps: unknown[]; generations: unknown[] }> {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-recover-'));
  const env = { ...temporalEnv, XDG_DATA_HOME: cwd };
  const [json, people] = await Promise.all([
    runCommand(['recover', '--json'], { cwd, env }),
    runCommand(['recover'], { cwd, env }),
  ]);
  return { ...(JSON.parse(json.stdout) as { steps: unknown[]; generations: unknown[] }), text: people.stdout };
}

test.concurrent('the task of an earlier take, when another take has its result', async () => {
  await using harness = await startHarness({
    emulator: { faults: [{ on: 'create', times: 1, do: { kind: 'stuck' } }] },
  });
  const input = { model: 'z-image', prompt: 'two takes' };
  const first = await harness.client.start(input, { workflowId: 'takes' });
  await until(async () => memoOf(await first.describe())?.taskId != null);
  const { taskId } = memoOf(await first.describe())!;
  await harness.temporal.workflow.getHandle('takes').terminate();
  await (await harness.client.start({ ...input, take: 2 }, { workflowId: 'takes' })).result();
  await until(async () => (await harness.temporal.workflow.count("ExecutionStatus = 'Completed'")).count === 1);
  const { generations, text } = await recover(harness);
  expect(generations).toMatchObject([{ workflowId: 'takes', ended: 'take 1', outcome: 'leftAlone', taskId }]);
  expect(text).toContain(`rivya-temporal generate --model z-image --task-id ${taskId}`);
});

test.concurrent('a step whose failure a Workflow of your own has caught, so that it completed', async () => {
  await using harness = await startHarness({ emulator: { faults: [{ on: 'create', do: { kind: 'stuck' } }] } });
  const { taskQueue, temporal } = harness;
  const options = { taskQueue, deadline: '1s' };
  const args = [[{ step: 'late', model: 'z-image', prompt: 'late', options }]];
  await temporal.workflow.execute('allOf', { workflowId: 'caught', taskQueue, args });
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Completed'")).count === 1);
  const [taskId] = Object.keys((await harness.emulator.ledger()).tasks);
  const { steps, text } = await recover(harness);
  expect(steps).toMatchObject([{ workflowId: 'caught', ended: 'completed', step: 'late', taskId }]);
  expect(text).toMatch(/temporal workflow reset/);
});
