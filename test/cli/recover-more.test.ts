/** What ended here in less usual ways, and goes on at Rivya all the same: `recover` tells of it. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { runCommand, type Finished } from './command.js';

function run({ temporalEnv }: Harness, ...args: string[]): Promise<Finished> {
  const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-recover-'));
  return runCommand(args, { cwd, env: { ...temporalEnv, XDG_DATA_HOME: cwd } });
}

async function recover(
  harness: Harness,
  ...args: string[]
): Promise<{ text: string; steps: unknown[]; generations: unknown[] }> {
  const [json, people] = await Promise.all([
    run(harness, 'recover', '--json', ...args),
    run(harness, 'recover', ...args),
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

test.concurrent('no step whose task a person named, and which delivered it', async () => {
  await using harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: {
      faults: [
        { on: 'create', times: 1, do: { kind: 'dropAfter' } },
        { on: 'create', do: { kind: 'error', code: 'validation_failed' } },
      ],
    },
  });
  const { taskQueue, temporal, emulator } = harness;
  const args = [{ model: 'z-image', prompt: 'lost', options: { taskQueue } }, false];
  const workflow = await temporal.workflow.start('oneStep', { workflowId: 'named', taskQueue, args });
  await until(() => emulator.requests().filter(({ method }) => method === 'POST').length === 2);
  const [taskId] = Object.keys((await emulator.ledger()).tasks);
  // The Workflow is told of the second answer a moment later.
  const resume = (): Promise<boolean> =>
    workflow.executeUpdate('rivyaResume', { args: [{ step: 'only', taskId }] }).then(
      () => true,
      () => false,
    );
  await until(resume);
  await workflow.result();
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Completed'")).count === 1);
  expect(await recover(harness)).toMatchObject({ steps: [], generations: [] });
  const { stdout } = await run(harness, 'charges', '--from', 'temporal', '--json');
  const generations = [{ workflowId: 'named', flags: [], tasks: [{ taskId, settled: true }] }];
  expect(JSON.parse(stdout)).toMatchObject({ totals: { tasks: 1 }, generations });
});
