/**
 * An unanswered POST of an earlier run must not be hidden by a later one that is cancelled before it looked. The API forgets a
 * key after the window. The ledger is the judge.
 */
import { temporal as proto } from '@temporalio/proto';
import { describe, expect, test } from 'vitest';
import type { EmulatorOptions } from '../../src/emulator/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { until } from '../support/until.js';

const { PENDING_ACTIVITY_STATE_SCHEDULED } = proto.api.enums.v1.PendingActivityState;
const WINDOW = '4s';
const KEY_LIFETIME_MS = 6_000;
const env = { RIVYA_STORE: '' };
const emulator: EmulatorOptions = {
  switches: { keyLifetimeMs: KEY_LIFETIME_MS },
  faults: [
    { on: 'create', do: { kind: 'dropAfter' } },
    { on: 'chat', do: { kind: 'dropAfter' } },
  ],
};

async function forgotten(harness: Harness): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, KEY_LIFETIME_MS));
  harness.emulator.setFaults([]);
}

async function paidFor(harness: Harness): Promise<number> {
  const { tasks, chats } = await harness.emulator.ledger();
  return Object.keys(tasks).length + Object.keys(chats).length;
}

async function submitIsPending({ temporal }: Harness, workflowId: string): Promise<boolean> {
  const { raw } = await temporal.workflow.getHandle(workflowId).describe();
  return (raw.pendingActivities ?? []).length === 1;
}

describe.concurrent(
  'a start that is cancelled while no Worker takes submits does not hide what an earlier one left',
  () => {
    test('open: the next start does not post it blind', async () => {
      await using harness = await startHarness({ workers: false, env, emulator });
      await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
      const api = await harness.startWorkers({ roles: new Set(['api']) });
      const input = { model: 'z-image', prompt: 'a fox', options: { idempotencyWindow: WINDOW } } as const;
      const start = () => harness.client.start(input, { workflowId: 'open' });
      const first = await start();
      await until(async () => (await stateOf(first)).hold?.code === 'SubmitUnresolved');
      await first.cancel();
      await first.result().catch(() => undefined);
      await api.stop();
      await forgotten(harness);
      const second = await start();
      await until(() => submitIsPending(harness, 'open'));
      await second.cancel();
      await expect(second.result()).rejects.toThrow(/may/);
      await harness.startWorkers({ roles: new Set(['api']) });
      const third = await start();
      await until(async () => (await stateOf(third)).hold?.code === 'SubmitUnresolved');
      expect(await paidFor(harness)).toBe(1);
    });

    test('under the key of another account: with a store, whose receipt has the fingerprint, the next start does not pay there', async () => {
      const accounts = ['first', 'second'].map((account) => ({ key: `rvya_sk_${account}`, account }));
      const options = { keys: accounts, faults: emulator.faults! };
      await using harness = await startHarness({ workers: false, emulator: options });
      await harness.startWorkers({ roles: new Set(['workflows', 'results']) });
      const api = await harness.startWorkers({ roles: new Set(['api']) });
      const start = () => harness.client.start({ model: 'z-image', prompt: 'a fox' }, { workflowId: 'account' });
      await start();
      await until(async () => (await paidFor(harness)) === 1);
      await harness.temporal.workflow.getHandle('account').terminate();
      await api.stop();
      const second = await start();
      await until(() => submitIsPending(harness, 'account'));
      await second.cancel();
      await second.result().catch(() => undefined);
      harness.emulator.setFaults([]);
      await harness.startWorkers({ roles: new Set(['api']), apiKey: accounts[1]!.key });
      const third = await start();
      await until(async () => (await stateOf(third)).hold?.code === 'SubmitUnresolved');
      expect(await paidFor(harness)).toBe(1);
    });
  },
);

describe.concurrent('a step that is cancelled between two attempts is not posted blind after the window', () => {
  test.each([
    ['oneStep', { model: 'z-image', prompt: 'a fox' }],
    ['oneChat', { model: 'gemini-2-5-flash-chat', message: 'a fox' }],
  ])('%s', async (type, request) => {
    await using harness = await startHarness({ env, emulator });
    const { taskQueue, temporal } = harness;
    const start = (idempotencyWindow: string) => {
      const options = { taskQueue, idempotencyWindow, onActionNeeded: 'fail' };
      return temporal.workflow.start(type, { workflowId: type, taskQueue, args: [{ ...request, options }] });
    };
    const first = await start('1h');
    const child = temporal.workflow.getHandle(`${type}/${type === 'oneChat' ? 'ask' : 'only'}`);
    await until(async () => (await paidFor(harness)) > 0);
    await until(async () => {
      const [submit] = (await child.describe()).raw.pendingActivities ?? [];
      // Scheduled: an attempt has ended, and the next one has not begun.
      return (submit?.attempt ?? 0) > 2 && submit?.state === PENDING_ACTIVITY_STATE_SCHEDULED;
    });
    await first.cancel();
    await first.result().catch(() => undefined);
    await child.result().catch(() => undefined);
    expect(await paidFor(harness)).toBe(1);
    await forgotten(harness);
    const again = await start(WINDOW);
    await expect(again.result()).rejects.toMatchObject({ cause: { type: 'SubmitUnresolved' } });
    expect(await paidFor(harness)).toBe(1);
  });
});
