/** A status check on its own, as the Service may hand it out. */
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { ActivityDependencies } from '../../activities/context.js';
import { rivyaCheck } from '../../activities/check.js';

/** Runs one attempt that was due at this time. The API notes when it is asked and whether it may still be. */
async function attemptAt(
  dueAt: number,
  beat: () => Promise<void>,
  beforeSending: () => unknown = () => undefined,
): Promise<{ askedAt: number | null; error: string }> {
  let askedAt: number | null = null;
  const api = {
    retrieveGeneration: async (_taskId: string, maySend: () => boolean) => {
      beforeSending();
      if (maySend()) askedAt = Date.now();
      throw new Error('asked');
    },
  };
  const withAbortSignal = <T>(_signal: AbortSignal, call: () => T): T => call();
  const client = { activity: { heartbeat: beat }, withAbortSignal } as unknown as Client;
  const info = { attempt: 2, currentAttemptScheduledTimestampMs: dueAt };
  const logger = new DefaultLogger('ERROR', () => undefined);
  const environment = new MockActivityEnvironment(info, { client, logger });
  const dependencies = { api, receipts: null } as unknown as ActivityDependencies;
  const error = await environment
    .run(() => rivyaCheck({ taskId: 'task_1' }, dependencies))
    .catch((reason: Error) => reason.message);
  return { askedAt, error: String(error) };
}

const unheard = (): Promise<void> => Promise.reject(new Error('no such attempt'));

test('a repetition that is handed out before its time waits for it, so two checks keep their distance', async () => {
  const dueAt = Date.now() + 1_500;
  const { askedAt } = await attemptAt(dueAt, unheard);
  // The timer of Node may be a millisecond early.
  expect(askedAt).toBeGreaterThanOrEqual(dueAt - 1);
});

test('a Worker that stood still does not ask for an attempt that was given to another one', async () => {
  expect(await attemptAt(Date.now() - 20_000, unheard)).toEqual({ askedAt: null, error: 'no such attempt' });
});

test('nor does it after it stood still right before the request', async () => {
  const standStill = (): unknown => vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 20_000);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await attemptAt(Date.now(), unheard, standStill)).toMatchObject({ askedAt: null });
});

test('an attempt that begins late, but is its own still, asks', async () => {
  const { askedAt } = await attemptAt(Date.now() - 20_000, () => Promise.resolve());
  expect(askedAt).not.toBeNull();
});
