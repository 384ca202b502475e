/** A status check on its own, as the Service may hand it out. */
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { CheckResult } from '../../src/contract/index.js';
import type { ActivityDependencies } from '../../activities/context.js';
import { rivyaCheck } from '../../activities/check.js';
import { fakeService } from './service.js';

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

describe('a task that a person names for an unanswered POST', () => {
  const MINUTE = 60_000;
  const posted = { firstPostedAt: Date.now() - 60 * MINUTE, lastPostedAt: Date.now() - 30 * MINUTE, fingerprint: 'f' };

  /** The check of a task of this age, which belongs to the generation of this key as far as the receipts tell. */
  async function named(ageMs: number | null, owner: string | null): Promise<unknown> {
    const api = {
      retrieveGeneration: async () => ({ task: { taskId: 'task_1', status: 'queued', model: 'z-image', ageMs } }),
    };
    const ownerOf = async () => owner && { baseKey: owner, workflowId: 'wolf', namespace: 'default' };
    const receipts = { ownerOf, noteEnd: async () => undefined };
    const { client } = fakeService();
    const logger = new DefaultLogger('ERROR', () => undefined);
    const environment = new MockActivityEnvironment(
      { currentAttemptScheduledTimestampMs: Date.now() },
      { client, logger },
    );
    const dependencies = { api, receipts, kindOf: () => null } as unknown as ActivityDependencies;
    const input = { taskId: 'task_1', baseKey: 'fox-1', named: posted };
    return environment.run(() => rivyaCheck(input, dependencies)).catch((error: unknown) => error);
  }

  test.each<[string, number | null, string | null]>([
    ['created while it was posted', 45 * MINUTE, null],
    ['created a minute before the first POST, by another clock', 61 * MINUTE, null],
    ['created a minute after the last one', 29 * MINUTE, null],
    ['of which the API does not tell the age', null, null],
    ['that is noted for this very generation', 45 * MINUTE, 'fox-1'],
  ])('is taken: %s', async (_, ageMs, owner) => {
    expect(await named(ageMs, owner)).toMatchObject({ task: { taskId: 'task_1' } });
  });

  test.each<[string, number | null, string | null, RegExp]>([
    ['created long before', 70 * MINUTE, null, /was created at/],
    ['created long after', 20 * MINUTE, null, /was created at/],
    ["another generation's", 45 * MINUTE, 'wolf-1', /belongs to Workflow "wolf"/],
  ])('is refused by name: %s', async (_, ageMs, owner, why) => {
    const refused = { type: 'InvalidInput', nonRetryable: true, message: expect.stringMatching(why) as string };
    expect(await named(ageMs, owner)).toMatchObject({ ...refused, details: [{ field: 'taskId' }] });
  });
});

describe('what a check teaches', () => {
  const now = Date.now();
  const timing = { model: 'z-image', likeness: 'a', bornAt: now - 60_000, runningAt: now - 40_000 };
  const at = (agoMs: number): string => new Date(now - agoMs).toISOString();

  /** What a Worker that learns has noted after the check of this task, and the task as the Workflow gets it. */
  async function checked(task: object, input: object) {
    const notes: unknown[] = [];
    const expectation = { runs: 5, p50Ms: 1, p90Ms: 2, checkInMs: 3 };
    const learned = { note: (...note: unknown[]) => void notes.push(note), expect: () => expectation };
    const api = {
      retrieveGeneration: async () => ({ task: { taskId: 'task_1', model: 'z-image', ageMs: null, ...task } }),
    };
    const { client } = fakeService();
    const logger = new DefaultLogger('ERROR', () => undefined);
    const info = { currentAttemptScheduledTimestampMs: Date.now() };
    const environment = new MockActivityEnvironment(info, { client, logger });
    const dependencies = { api, receipts: null, kindOf: () => 'image', learned } as unknown as ActivityDependencies;
    const result = (await environment.run(() =>
      rivyaCheck({ taskId: 'task_1', ...input }, dependencies),
    )) as CheckResult;
    return { notes, expectation: result.task.expectation };
  }

  test('the duration of a task that has ended, by the times of the API', async () => {
    const ended = { status: 'succeeded', createdAt: at(60_000), updatedAt: at(30_000) };
    const { notes, expectation } = await checked(ended, { timing });
    expect(notes).toEqual([
      [
        { model: 'z-image', kind: 'image', likeness: 'a' },
        { fromMs: 30_000, toMs: 30_000 },
      ],
    ]);
    expect(expectation).toBeUndefined();
  });

  test('nothing where the times of the API contradict each other', async () => {
    const ended = { status: 'succeeded', createdAt: at(30_000), updatedAt: at(60_000) };
    expect((await checked(ended, { timing })).notes).toEqual([]);
  });

  test('nothing where the Workflow is of an older version, or the input names the task; nor is anything expected then', async () => {
    const [ended, runs] = [{ status: 'failed', createdAt: null, updatedAt: null }, { status: 'processing' }];
    expect(await checked(ended, {})).toEqual({ notes: [], expectation: undefined });
    expect(await checked(runs, {})).toEqual({ notes: [], expectation: undefined });
    expect((await checked(runs, { timing })).expectation).toMatchObject({ runs: 5 });
  });
});
