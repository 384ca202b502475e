/** The fence outlives its Worker, so the next attempt has to be able to read it. */
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { Lease } from '../../activities/lease.js';

test('beats are sent one after the other, so that a slow one cannot wipe out the fence', async () => {
  const sent: unknown[] = [];
  const answer: (() => void)[] = [];
  const heartbeat = (_token: unknown, details: unknown): Promise<void> => {
    sent.push(details);
    return new Promise((resolve) => answer.push(resolve));
  };
  const withAbortSignal = (_signal: AbortSignal, work: () => unknown): unknown => work();
  const environment = new MockActivityEnvironment(
    {},
    { client: { activity: { heartbeat }, withAbortSignal } as unknown as Client },
  );
  await environment.run(async () => {
    const lease = new Lease();
    const early = lease.renew(null);
    const fence = lease.renew({ firstPostedAt: 1 });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(sent).toEqual([null]);
    answer[0]!();
    await early;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(sent).toEqual([null, { firstPostedAt: 1 }]);
    answer[1]!();
    await fence;
  });
});

test('a fence is encoded for the Activity that it belongs to, as the SDK decodes it for the next attempt', async () => {
  const sent: unknown[] = [];
  const heartbeat = async (...args: unknown[]): Promise<void> => void sent.push(args);
  // The SDK ties calls that an Activity makes to its cancellation.
  const withAbortSignal = (_signal: AbortSignal, work: () => unknown): unknown => work();
  const environment = new MockActivityEnvironment(
    { activityId: '7', namespace: 'media', workflowExecution: { workflowId: 'fox', runId: 'r' }, isLocal: false },
    { client: { activity: { heartbeat }, withAbortSignal } as unknown as Client },
  );
  await environment.run(() => new Lease().renew({ firstPostedAt: 1 }));
  const serializationContext = {
    type: 'activity',
    namespace: 'media',
    activityId: '7',
    workflowId: 'fox',
    isLocal: false,
  };
  expect(sent).toEqual([[expect.any(Uint8Array), { firstPostedAt: 1 }, { serializationContext }]]);
});
