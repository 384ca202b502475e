/** A request that no Worker has answered is not lost: it waits as a Signal. */
import { ApplicationFailure, WorkflowUpdateFailedError, type Client, type WorkflowHandle } from '@temporalio/client';
import { expect, test } from 'vitest';
import { updateOrSignal } from '../../src/temporal/update.js';

/** The answer of an Update that fails like this, and the Signals that were sent instead. */
async function sentWhere(type: string): Promise<{ readonly applied: unknown; readonly signals: unknown[] }> {
  const signals: unknown[] = [];
  const failure = new WorkflowUpdateFailedError('Workflow Update failed', ApplicationFailure.create({ type }));
  const handle = {
    executeUpdate: () => Promise.reject(failure),
    signal: async (...sent: unknown[]) => void signals.push(sent),
  };
  const client = { withDeadline: (_: number, call: () => Promise<unknown>) => call() };
  const sent = updateOrSignal(client as unknown as Client, handle as unknown as WorkflowHandle, 'pause', { why: 1 });
  return { applied: await sent.catch((error: unknown) => error), signals };
}

test('an Update that a Worker has left without an answer is sent as a Signal', async () => {
  expect(await sentWhere('UnprocessedUpdate')).toEqual({ applied: null, signals: [['pause', { why: 1 }]] });
});

test('an Update that was refused is not', async () => {
  expect(await sentWhere('InvalidInput')).toEqual({ applied: expect.any(WorkflowUpdateFailedError), signals: [] });
});
