/** What ended here in less usual ways, and goes on at Rivya all the same: `recover` tells of it. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { leftOpen } from '../../src/cli/ended.js';
import { memoOf, type GenerationError } from '../../src/client.js';
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

test.concurrent.each([
  ['whose task failed', { kind: 'fail' }, []],
  ['that left its own task behind', { kind: 'stuck' }, [{ outcome: 'wouldTakeUp', ended: 'failed (DeadlinePassed)' }]],
] as const)('the task of an earlier take before one %s', async (_, second, more) => {
  await using harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: {
      faults: [
        { on: 'create', times: 1, do: { kind: 'stuck' } },
        { on: 'create', do: second },
      ],
    },
  });
  const input = { model: 'z-image', prompt: 'two takes', options: { deadline: '1s' } };
  const taskOf = async (take: number): Promise<string | null | undefined> => {
    const handle = await harness.client.start({ ...input, take }, { workflowId: 'takes' });
    return handle.result().catch((error: GenerationError) => error.details.taskId) as Promise<string>;
  };
  const tasks = [await taskOf(1), await taskOf(2)];
  await until(async () => (await harness.temporal.workflow.count("ExecutionStatus = 'Failed'")).count === 2);
  const { generations, text } = await recover(harness);
  const first = { workflowId: 'takes', ended: 'take 1', outcome: 'leftAlone', taskId: tasks[0] };
  expect(generations).toMatchObject([...more.map((row) => ({ ...row, taskId: tasks[1] })), first]);
  // Also in this process, where a sabotage reaches it.
  const found = await leftOpen({ client: harness.temporal }, 'takes', [], null);
  expect(found.at(-1)).toMatchObject({ ended: 'take 1', open: { taskId: tasks[0] } });
  expect(text).toContain(`rivya-temporal generate --model z-image --task-id ${tasks[0]}`);
});

test.concurrent('a step that a run left behind which continued as new, when the next one is terminated', async () => {
  await using harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: { faults: [{ on: 'create', do: { kind: 'stuck' } }] },
  });
  const { taskQueue, temporal } = harness;
  const args = [{ model: 'z-image', prompt: 'round 1', options: { taskQueue, deadline: '1s' } }];
  const nightly = await temporal.workflow.start('nightly', { workflowId: 'nightly', taskQueue, args });
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'ContinuedAsNew'")).count === 1);
  await temporal.workflow.getHandle(nightly.workflowId).terminate();
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Terminated'")).count === 1);
  const [taskId] = Object.keys((await harness.emulator.ledger()).tasks);
  const { steps } = await recover(harness);
  expect(steps).toMatchObject([{ workflowId: 'nightly', ended: 'terminated', step: 'round', taskId }]);
});

test.concurrent('nothing that a run outside of --query has delivered', async () => {
  await using harness = await startHarness({
    env: { RIVYA_STORE: '' },
    emulator: { faults: [{ on: 'create', do: { kind: 'duration', ms: 6_000 } }] },
  });
  const { taskQueue, temporal } = harness;
  const input = { model: 'z-image', prompt: 'again', options: { taskQueue } };
  const step = () =>
    temporal.workflow.start('oneStep', { workflowId: 'own', taskQueue, args: [{ ...input, prompt: 'own' }, false] });
  const generation = () => harness.client.start(input, { workflowId: 'ours' });
  await Promise.all([step(), generation()]);
  const checks = async (): Promise<number[]> =>
    Object.values((await harness.emulator.ledger()).tasks).map((task) => task.checks.length);
  await until(async () => (await checks()).filter((count) => count > 0).length === 2);
  for (const workflowId of ['own', 'ours']) await temporal.workflow.getHandle(workflowId).terminate();
  await Promise.all([(await step()).result(), (await generation()).result()]);
  await until(async () => (await temporal.workflow.count("ExecutionStatus = 'Completed'")).count === 2);
  const query = "ExecutionStatus = 'Terminated'";
  expect(await recover(harness, '--query', query)).toMatchObject({ steps: [], generations: [] });
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
