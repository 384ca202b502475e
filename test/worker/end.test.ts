/** A Worker that has failed ends its process: one that lives on and polls nothing looks healthy to whoever restarts it. */
import { IllegalStateError } from '@temporalio/common';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { endOfWorkers } from '../../src/temporal/refusal.js';
import { runToEnd, WorkerFailed } from '../../src/worker/end.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval'] }));
afterEach(() => void vi.useRealTimers());

const refused = Object.assign(new Error('Jwt is expired'), { code: 16, details: '', metadata: {} });

/** A Worker whose polls are refused after a while, as the SDK leaves it: it has failed, and `run` never settles. */
function run(answer: () => Promise<unknown>, worker: Partial<Parameters<typeof runToEnd>[0]> = {}) {
  const failed = { run: () => new Promise<void>(() => undefined), getState: () => 'FAILED' as const };
  const connection = {
    withDeadline: (_: number, ask: () => unknown) => ask(),
    workflowService: { describeNamespace: answer },
  };
  return runToEnd({ ...failed, ...worker }, connection as unknown as Parameters<typeof runToEnd>[1], 'default');
}

test.each([
  ['the namespace is refused too', () => Promise.reject(refused), 'Jwt is expired'],
  ['only the polls are refused', () => Promise.resolve({}), 'see "Worker failed" in the log'],
])('a Worker whose run never settles ends with a settings error: %s', async (_, answer, words) => {
  const end = run(answer).catch((error: unknown) => endOfWorkers(error, 'cloud:7233'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await end).toMatchObject({ name: 'SettingsError', message: expect.stringContaining(words) });
});

test('so does one whose run rejects with an error of the clean-up of the SDK', async () => {
  const cleanUp = new IllegalStateError('Worker still in use: Expected 1 reference, but got 2');
  await expect(run(() => Promise.reject(refused), { run: () => Promise.reject(cleanUp) })).rejects.toThrow(
    new WorkerFailed('Jwt is expired'),
  );
});

test('a run that settles has the last word, and one that stops cleanly just ends', async () => {
  const cause = new TypeError('why');
  await expect(run(() => Promise.resolve({}), { run: () => Promise.reject(cause) })).rejects.toBe(cause);
  const stopped = { run: () => Promise.resolve(), getState: () => 'STOPPED' as const };
  await run(() => Promise.reject(refused), stopped);
});
