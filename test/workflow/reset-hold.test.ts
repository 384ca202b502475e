/** A reset plays old Updates and Signals again. What a person once accepted is not accepted for ever. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GenerationState } from '../../src/contract/index.js';
import { startHarness, type Harness } from '../support/harness.js';
import { resetTo } from '../support/reset.js';
import { until } from '../support/until.js';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({
    // Nothing but the Workflow itself remembers.
    env: { RIVYA_STORE: '' },
    emulator: { switches: { keyLifetimeMs: 1 }, faults: [{ on: 'create', do: { kind: 'dropAfter' } }] },
  });
});
afterAll(() => harness[Symbol.asyncDispose]());

const stateOf = async (workflowId: string): Promise<GenerationState> =>
  (await harness.client.handle(workflowId).state()) as GenerationState;

async function paidTasksOf(workflowId: string): Promise<number> {
  const { keys } = await harness.emulator.ledger();
  const mine = Object.values(keys).filter(({ bodies }) => bodies.some((body) => body.includes(workflowId)));
  return mine.reduce((sum, { tasks }) => sum + tasks.length, 0);
}

describe.concurrent('an old answer to a hold', () => {
  test.each(['Update', 'Signal'])('given by %s, does not pay again after a reset', async (how) => {
    const workflowId = `accepted by ${how}`;
    const workflow = harness.temporal.workflow.getHandle(workflowId);
    const held = async (paid: number): Promise<void> => {
      await until(async () => (await stateOf(workflowId)).phase === 'held' && (await paidTasksOf(workflowId)) >= paid);
    };
    const input = { model: 'z-image', prompt: workflowId, options: { idempotencyWindow: '1s' } } as const;
    await harness.client.start(input, { workflowId });
    await held(1);
    const before = await paidTasksOf(workflowId);
    const last = async (): Promise<number> => {
      const { events } = await workflow.fetchHistory();
      const done = events!.findLast(({ workflowTaskCompletedEventAttributes: attributes }) => attributes != null);
      return Number(done!.eventId);
    };
    const opened = await last();
    // One more Workflow Task inside the hold, to which it can be reset.
    await workflow.signal('checkNow');
    await until(async () => (await last()) > opened);
    const inside = await last();
    const reason = { reason: 'the Studio shows nothing' };
    await (how === 'Update' ? workflow.executeUpdate('resume', { args: [reason] }) : workflow.signal('resume', reason));
    // The person accepted: it is posted anew, is lost again, and holds again.
    await held(before + 1);
    expect((await stateOf(workflowId)).riskReason).toBe(reason.reason);
    const paid = await paidTasksOf(workflowId);
    const secondHold = (await stateOf(workflowId)).hold!.since;
    await resetTo(harness.temporal, workflowId, inside);
    // The old answer came at once to the first hold, and was good for a look only: it holds again.
    await until(async () => {
      const { hold } = await stateOf(workflowId);
      return hold !== null && hold.since > secondHold;
    });
    expect((await stateOf(workflowId)).hold).toMatchObject({ code: 'SubmitUnresolved' });
    expect(await paidTasksOf(workflowId)).toBe(paid);
    // A new answer to the new hold counts.
    await workflow.executeUpdate('resume', { args: [{ reason: 'still nothing' }] });
    await held(paid + 1);
    expect(await paidTasksOf(workflowId)).toBeGreaterThan(paid);
    await workflow.terminate();
  });
});

describe.concurrent('an accepted risk', () => {
  test.each<[string, NodeJS.ProcessEnv]>([
    ['without a store', { RIVYA_STORE: '' }],
    ['with a store', {}],
  ])('is not accepted once more by a reset to where its submit was under way (%s)', async (_, env) => {
    const keyLifetimeMs = 12_000;
    const forgotten = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, keyLifetimeMs));
    const emulator = { switches: { keyLifetimeMs }, faults: [{ on: 'create', do: { kind: 'dropAfter' } }] as const };
    await using own = await startHarness({ env, emulator });
    const workflowId = 'accepted';
    const workflow = own.temporal.workflow.getHandle(workflowId);
    const input = { model: 'z-image', prompt: workflowId, options: { idempotencyWindow: '10s' } } as const;
    const handle = await own.client.start(input, { workflowId });
    const heldSince = async (after = ''): Promise<string> => {
      let since = '';
      await until(async () => {
        since = (await handle.state())?.hold?.since ?? '';
        return since > after;
      });
      return since;
    };
    const last = async (): Promise<number> => {
      const { events } = await workflow.fetchHistory();
      const done = events!.findLast(({ workflowTaskCompletedEventAttributes: attributes }) => attributes != null);
      return Number(done!.eventId);
    };
    const first = await heldSince();
    await forgotten();
    await handle.resume({ reason: 'the Studio shows nothing' });
    await until(async () => (await own.emulator.ledger()).paidTasks === 2);
    const opened = await last();
    // A Workflow Task while the submit is repeated.
    await workflow.signal('checkNow');
    await until(async () => (await last()) > opened);
    const inside = await last();
    const second = await heldSince(first);
    await forgotten();
    await resetTo(own.temporal, workflowId, inside);
    await heldSince(second);
    expect((await own.emulator.ledger()).paidTasks).toBe(2);
  });
});
