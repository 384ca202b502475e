/** Many people who name lost tasks at once must not keep the Service so busy that nobody is answered. */
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { expect, test, vi } from 'vitest';
import { holdersFor } from '../../activities/holders.js';
import { until } from '../support/until.js';

interface Listing {
  /** Answers the n-th listing (from 0) with generations that have these tasks, or with an error. */
  readonly answer: (n: number, tasks: readonly string[] | Error, more?: readonly object[]) => void;
  readonly client: Client;
  readonly count: () => number;
}

function listing(fetchHistory: () => Promise<unknown> = () => Promise.resolve({})): Listing {
  const asked: { resolve: (answer: unknown) => void; reject: (error: Error) => void }[] = [];
  const listWorkflowExecutions = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      asked.push({ resolve, reject });
    });
  const loadedDataConverter = { payloadConverter: defaultPayloadConverter, payloadCodecs: [] };
  const options = { namespace: 'media', loadedDataConverter };
  const run = (taskId: string) => ({
    execution: { workflowId: `has ${taskId}` },
    memo: { fields: { rivya: defaultPayloadConverter.toPayload({ taskId, firstKey: 'key' }) } },
  });
  const workflow = { getHandle: () => ({ fetchHistory }) };
  return {
    client: { options, workflow, workflowService: { listWorkflowExecutions } } as unknown as Client,
    count: () => asked.length,
    answer: (n, tasks, more = []) => {
      if (tasks instanceof Error) asked[n]!.reject(tasks);
      else asked[n]!.resolve({ executions: [...tasks.map(run), ...more], nextPageToken: [] });
    },
  };
}

const grpcError = (code: number): Error => Object.assign(new Error('gRPC'), { code, details: '', metadata: {} });

const passed = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test('one look serves all who asked before it began; who asks later gets a later one', async () => {
  const { client, answer, count } = listing();
  const early = Array.from({ length: 30 }, (_, n) => holdersFor(client, `early ${n}`));
  await passed();
  const late = Array.from({ length: 30 }, (_, n) => holdersFor(client, `late ${n}`));
  await passed();
  expect(count()).toBe(1);
  answer(0, ['task_1']);
  for (const holders of await Promise.all(early)) {
    expect(holders.get('task_1')).toEqual([{ workflowId: 'has task_1', firstKey: 'key' }]);
  }
  await until(() => count() === 2);
  answer(1, ['task_1', 'task_2']);
  for (const holders of await Promise.all(late)) expect(holders.has('task_2')).toBe(true);
  expect(count()).toBe(2);
});

test('one that takes longer than an attempt serves the next attempt', async () => {
  const { client, answer, count } = listing();
  const first = holdersFor(client, 'one');
  await passed();
  const second = holdersFor(client, 'one');
  answer(0, ['task_1']);
  expect([...(await first).keys(), ...(await second).keys()]).toEqual(['task_1', 'task_1']);
  await passed();
  expect((await holdersFor(client, 'one')).has('task_1')).toBe(true);
  expect(count()).toBe(1);
});

test('one that had begun before an Activity asked never serves it, however many asked since it did', async () => {
  const { client, answer, count } = listing();
  void holdersFor(client, 'first');
  await passed();
  answer(0, []);
  await passed();
  const asked = holdersFor(client, 'asked');
  await until(() => count() === 2);
  // So many that the first of them are forgotten.
  const crowd = Array.from({ length: 10_000 }, (_, n) => holdersFor(client, `${n}`));
  const again = holdersFor(client, 'asked');
  answer(1, ['task_1']);
  expect((await asked).has('task_1')).toBe(true);
  await until(() => count() === 3);
  answer(2, ['task_2']);
  expect((await again).has('task_2')).toBe(true);
  for (const holders of await Promise.all(crowd)) expect(holders.has('task_2')).toBe(true);
});

test('one that failed is no answer to anybody else', async () => {
  const { client, answer, count } = listing();
  const first = holdersFor(client, 'one');
  await passed();
  answer(0, new Error('away'));
  await expect(first).rejects.toThrow('away');
  const again = holdersFor(client, 'one');
  await until(() => count() === 2);
  answer(1, ['task_1']);
  expect((await again).has('task_1')).toBe(true);
  expect(count()).toBe(2);
});

test('the history of a run that was cut off is read once, and asked for again only where the Service was away', async () => {
  const [away, deleted] = [grpcError(14), grpcError(5)];
  const read = vi.fn<() => Promise<unknown>>().mockRejectedValueOnce(away).mockRejectedValueOnce(deleted);
  const { client, answer, count } = listing(read);
  const terminated = { execution: { workflowId: 'gone', runId: 'run' }, status: 5, closeTime: {} };
  const running = { execution: { workflowId: 'runs', runId: 'other run' }, status: 1 };
  const look = async (asker: string): Promise<unknown> => {
    const n = count();
    const holders = holdersFor(client, asker);
    await until(() => count() === n + 1);
    answer(n, ['task_1'], [terminated, running]);
    return holders.then((found) => [...found.keys()]);
  };
  await expect(look('one')).rejects.toThrow('gRPC');
  for (const asker of ['one', 'two', 'three']) expect(await look(asker)).toEqual(['task_1']);
  expect(read).toHaveBeenCalledTimes(2);
});
