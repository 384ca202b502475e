/** Many at once: what a person does to all that a query finds, and what it costs. The judge is the ledger. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { bundleWith } from '../support/bundle.js';
import { startHarness, type Harness } from '../support/harness.js';
import { until } from '../support/until.js';
import { CommandRun, runCommand, type Finished } from './command.js';

const cwd = mkdtempSync(path.join(tmpdir(), 'rivya-cli-bulk-'));
const NIGHT = "WorkflowId STARTS_WITH 'night-'";
const idsOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n + 1}`);

const optionsOf = ({ temporalEnv }: Harness) => ({ cwd, env: { ...temporalEnv, XDG_DATA_HOME: cwd } });
const cli = (harness: Harness, ...args: string[]): Promise<Finished> => runCommand(args, optionsOf(harness));

/** Each ID is its prompt too, so that faults and the ledger can name it. */
async function start({ client }: Harness, ids: readonly string[], options = {}): Promise<void> {
  await Promise.all(
    ids.map((workflowId) => client.start({ model: 'z-image', prompt: workflowId, options }, { workflowId })),
  );
}

/** How many the list shows in this phase. */
async function listed({ temporal }: Harness, phase: string): Promise<number> {
  let count = 0;
  for await (const run of temporal.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
    if (memoOf(run)?.phase === phase) count++;
  }
  return count;
}

async function ledgerOf({ emulator }: Harness, workflowId: string): Promise<{ posts: number; tasks: number }> {
  const { keys } = await emulator.ledger();
  const own = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(`"${workflowId}"`)));
  return {
    posts: own.reduce((sum, { posts }) => sum + posts, 0),
    tasks: own.reduce((sum, { tasks }) => sum + tasks.length, 0),
  };
}

async function signalsOf({ temporal }: Harness, workflowId: string): Promise<number> {
  const { events } = await temporal.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes != null).length;
}

describe.concurrent('resume --query', () => {
  test('releases all that only need it, each paid once; a risk is accepted by a reason, for those that were counted', async () => {
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: {
        credits: 0,
        faults: [{ on: 'create', prompt: 'unanswered', do: { kind: 'dropAfter' } }],
      },
    });
    const held = idsOf('night', 8);
    const unanswered = idsOf('night-unanswered', 2);
    await start(harness, [...held, 'day-1']);
    await start(harness, unanswered, { idempotencyWindow: '1s' });
    await until(async () => (await listed(harness, 'held')) === 11);
    await harness.emulator.setCredits(undefined, 1_000);
    harness.emulator.setFaults([]);
    const before = await Promise.all(unanswered.map((workflowId) => ledgerOf(harness, workflowId)));

    const bulk = (...more: string[]): Promise<Finished> => cli(harness, 'resume', '--query', NIGHT, ...more);
    const unasked = await bulk();
    expect(unasked.status).toBe(2);
    expect(unasked.stderr).toMatch(/10 found, .*8 insufficient_credits.*\n.*no terminal.*--yes/);
    const refused = await cli(harness, 'resume', '--query', 'Nope = 1', '--yes');
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/^--query: .*Nope/);
    expect(await ledgerOf(harness, held[0]!)).toEqual({ posts: 1, tasks: 0 });

    const released = await bulk('--yes', '--json');
    const left = unanswered.map((workflowId) =>
      expect.objectContaining({ workflowId, code: 'SubmitUnresolved', why: expect.stringContaining('--task-id') }),
    );
    expect(JSON.parse(released.stdout)).toMatchObject({ found: 10, reacted: 8, unread: [] });
    expect((JSON.parse(released.stdout) as { left: unknown }).left).toEqual(expect.arrayContaining(left));
    expect(released.status).toBe(4);
    for (const workflowId of held) {
      await harness.client.handle(workflowId).result();
      expect(await ledgerOf(harness, workflowId)).toEqual({ posts: 2, tasks: 1 });
    }
    for (const workflowId of ['day-1', ...unanswered]) expect(await signalsOf(harness, workflowId)).toBe(0);

    const accepted = await bulk('--yes', '--reason', 'looked at in the Studio');
    expect(accepted.stderr).toContain('For 2 of them a task may exist: each of these may be paid twice.');
    expect(accepted.stdout).toBe('2 resumed, 0 left.\n');
    expect(accepted.status).toBe(0);
    for (const [index, workflowId] of unanswered.entries()) {
      await harness.client.handle(workflowId).result();
      expect(await ledgerOf(harness, workflowId)).toEqual({ posts: before[index]!.posts + 1, tasks: 1 });
      const memo = memoOf(await harness.client.handle(workflowId).describe());
      expect(memo).toMatchObject({ riskReason: 'looked at in the Studio' });
    }
    const nobody = await bulk('--yes');
    expect(nobody).toMatchObject({ status: 0, stdout: '0 resumed, 0 left.\n' });
    expect(memoOf(await harness.client.handle('day-1').describe())).toMatchObject({ phase: 'held' });
  });

  test('does not post again and again where the cause goes on', async () => {
    await using harness = await startHarness({ account: false, env: { RIVYA_STORE: '' }, emulator: { credits: 0 } });
    // A namespace with the attribute: runs that began without it are found all the same.
    const { operatorService } = harness.temporal.connection;
    await operatorService.addSearchAttributes({
      namespace: harness.namespace,
      searchAttributes: { RivyaStatus: 2 /* KEYWORD */ },
    });
    const ids = idsOf('night', 3);
    await start(harness, ids);
    await until(async () => (await listed(harness, 'held')) === 3);
    const { status, stdout } = await cli(harness, 'resume', '--query', NIGHT, '--yes');
    expect(stdout).toMatch(
      /^0 resumed, 3 left\.\n(night-\d +insufficient_credits +it went on and waits again.*\n){3}$/,
    );
    expect(status).toBe(4);
    for (const workflowId of ids) expect(await ledgerOf(harness, workflowId)).toEqual({ posts: 2, tasks: 0 });
  });

  test('says that it waits for a Worker, or that Workflow Tasks fail; two Signals at most, and they go on later', async () => {
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: { credits: 0 },
      workers: false,
    });
    const workers = await harness.startWorkers();
    await start(harness, ['night-1']);
    await until(async () => (await listed(harness, 'held')) === 1);
    await workers.stop();
    await harness.emulator.setCredits(undefined, 1_000);
    const resume = (): Promise<Finished> => cli(harness, 'resume', '--query', NIGHT, '--yes');
    const stopped = await resume();
    expect(stopped.stdout).toMatch(/^0 resumed, 1 left\.\nnight-1 .*no Worker runs it: .*rivya-temporal worker/);
    expect(stopped.status).toBe(4);
    expect(await signalsOf(harness, 'night-1')).toBe(2);
    const interrupted = new CommandRun(['resume', '--query', NIGHT, '--yes'], optionsOf(harness));
    await interrupted.untilSaid(/1 of 1 sent/);
    interrupted.child.kill('SIGINT');
    expect(await interrupted.status).toBe(130);
    expect(interrupted.stderr).toContain('What was sent stays sent.');

    const broken = [
      ['workflows/submission.ts', 'const { paid, ', "throw new Error('broken'); const { paid, "],
    ] as const;
    const failing = await harness.startWorkers({ bundle: await bundleWith(broken) });
    const { workflow } = harness.temporal;
    await until(async () => {
      const { raw } = await workflow.getHandle('night-1').describe();
      return (raw.pendingWorkflowTask?.attempt ?? 0) > 1;
    });
    const failed = await resume();
    expect(failed.stdout).toMatch(/night-1 .*its Workflow Tasks fail \(attempt \d+\): broken/);
    expect(failed.status).toBe(4);
    const one = await cli(harness, 'resume', 'night-1');
    expect(one.stdout).toMatch(/It waits as a Signal until the Workflow goes on: its Workflow Tasks fail .*: broken/);
    await failing.stop();
    await harness.startWorkers();
    await harness.client.handle('night-1').result();
    expect(await ledgerOf(harness, 'night-1')).toEqual({ posts: 2, tasks: 1 });
  });
});

test.concurrent(
  'check-now and cancel --query are for all that run, and wait for a batch job of somebody else',
  async () => {
    await using harness = await startHarness({
      account: false,
      env: { RIVYA_STORE: '' },
      emulator: { faults: [{ on: 'create', do: { kind: 'stuck' } }] },
    });
    const { workflowService, workflow } = harness.temporal;
    const { namespace } = harness;
    const ids = idsOf('night', 12);
    await start(harness, [...ids, 'day-1']);
    await until(async () => (await listed(harness, 'waiting')) === 13);

    const checked = await cli(harness, 'check-now', '--query', NIGHT, '--yes', '--json');
    expect(JSON.parse(checked.stdout)).toMatchObject({ found: 12, reacted: 12, left: [] });
    expect(checked.status).toBe(0);
    for (const workflowId of ids) expect(await signalsOf(harness, workflowId)).toBe(1);

    // The Service sends about 50 a second, and takes a list of 1,000: long enough for a command on a busy machine.
    const executions = Array.from({ length: 1_000 }, () => ({ workflowId: 'day-1', runId: randomUUID() }));
    const signalOperation = { signal: 'checkNow', identity: 'somebody else' };
    const foreign = { namespace, jobId: randomUUID(), reason: 'of somebody else', executions, signalOperation };
    await workflowService.startBatchOperation(foreign);
    const cancel = new CommandRun(['cancel', '--query', NIGHT, '--yes'], optionsOf(harness));
    await cancel.untilSaid(/The Service runs one batch job at a time/);
    expect(await cancel.status).toBe(0);
    expect(cancel.stderr).toContain('A task that exists goes on at Rivya and is paid.');
    expect(cancel.stdout).toBe('12 cancelled, 0 left.\n');
    for (const workflowId of ids) {
      expect((await workflow.getHandle(workflowId).describe()).status.name).toBe('CANCELLED');
      expect(await ledgerOf(harness, workflowId)).toEqual({ posts: 1, tasks: 1 });
    }
    expect((await workflow.getHandle('day-1').describe()).status.name).toBe('RUNNING');
  },
);
