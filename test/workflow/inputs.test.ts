/** One Workflow ID that was started with different inputs: the one that was posted keeps it, and a refused one binds nobody. */
import { describe, expect, test } from 'vitest';
import { memoOf } from '../../src/client.js';
import { startHarness } from '../support/harness.js';
import { until } from '../support/until.js';

describe.concurrent('a Workflow ID', () => {
  test('stays that of the input that was posted without an answer, also where another one was queued after it', async () => {
    const faults = [{ on: 'create' as const, prompt: 'first', do: { kind: 'dropAfter' as const } }];
    await using harness = await startHarness({ workers: false, env: { RIVYA_STORE: '' }, emulator: { faults } });
    const { taskQueue, temporal, emulator } = harness;
    await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
    const api = await harness.startWorkers({ roles: new Set(['api']) });
    const start = (prompt: string) =>
      temporal.workflow.start('generateMedia', { workflowId: 'two', taskQueue, args: [{ model: 'z-image', prompt }] });
    const first = await start('first');
    await until(async () => (await emulator.ledger()).paidTasks === 1);
    await first.terminate();
    await api.stop();
    const other = await start('other');
    await until(async () => memoOf(await other.describe())?.mayPostSince != null);
    await other.terminate();
    emulator.setFaults([]);
    await harness.startWorkers({ roles: new Set(['api']) });
    const [taskId] = Object.keys((await emulator.ledger()).tasks);
    expect(await (await start('first')).result()).toMatchObject({ taskId });
    expect((await emulator.ledger()).paidTasks).toBe(1);
  });

  test.each([
    ['that stores refusals', true],
    ['that forgets refusals', false],
  ])('whose input was refused takes a corrected one, with an API %s', async (_, storeRefusals) => {
    const refused = { kind: 'error' as const, code: 'validation_failed' as const };
    const faults = [{ on: 'create' as const, prompt: 'wrong', do: refused }];
    await using harness = await startHarness({ emulator: { switches: { storeRefusals }, faults } });
    const run = async (prompt: string) => {
      const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: 'corrected' });
      return handle.result();
    };
    await expect(run('wrong')).rejects.toMatchObject({ code: 'validation_failed' });
    expect(await run('right')).toMatchObject({ status: 'succeeded', reused: false });
    expect((await harness.emulator.ledger()).paidTasks).toBe(1);
  });
});
