/** A store that hangs gives back nothing, so a paid result would wait in it without a word. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { rivyaStore } from '../../activities/store.js';
import type { StoreInput } from '../../src/contract/index.js';
import { TIMEOUTS } from '../../src/policy/index.js';
import type { KeepOptions, Results } from '../../src/storage/index.js';

const input: StoreInput = {
  taskId: 'task_1',
  urls: ['https://cdn.example/1.mp4'],
  workflowId: 'film',
  about: {
    model: 'sora-2',
    body: '{"model":"sora-2"}',
    idempotencyKey: 'film-1',
    labels: {},
    createdAt: null,
    reservedCredits: null,
    finalCredits: null,
    simulated: false,
  },
};

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Runs it with a store that moves for so long, and then never again. */
function storeThatHangsAfter(movesForMs: number): { ended: Promise<unknown>; beats: () => number } {
  const keep = (_: unknown, { onProgress }: KeepOptions): Promise<never> => {
    const moving = setInterval(() => onProgress?.(1), 1_000);
    setTimeout(() => clearInterval(moving), movesForMs);
    return new Promise(() => undefined);
  };
  const environment = new MockActivityEnvironment({ namespace: 'media' });
  let beats = 0;
  environment.on('heartbeat', () => beats++);
  const results = { keep } as unknown as Results;
  const ended = environment.run(() => rivyaStore(input, { results })).catch((error: unknown) => error);
  return { ended, beats: () => beats };
}

test('is given up when nothing has moved in it for 10 min, tried again, and names the paid task', async () => {
  const { ended } = storeThatHangsAfter(60_000);
  await vi.advanceTimersByTimeAsync(60_000 + TIMEOUTS.storeSilence + TIMEOUTS.heartbeatEvery);
  expect(await ended).toMatchObject({
    type: 'ResultUnavailable',
    nonRetryable: false,
    message: expect.stringContaining('it hangs'),
    details: [{ taskId: 'task_1' }],
  });
});

test('is waited for as long as something moves, however long that takes', async () => {
  const { ended, beats } = storeThatHangsAfter(6 * 3_600_000);
  const first = Promise.race([ended, new Promise((resolve) => setTimeout(() => resolve('still storing'), 3_600_000))]);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(await first).toBe('still storing');
  expect(beats()).toBeGreaterThan(700);
});
