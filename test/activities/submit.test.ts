/** One attempt of a submit on its own, and what must hold right before its POST. The emulator is the judge. */
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ActivityDependencies, OnStep } from '../../activities/context.js';
import { rivyaSubmit } from '../../activities/submit.js';
import { createRivyaClient, staticKey } from '../../src/api/index.js';
import type { Fence, SubmitInput, SubmitResult } from '../../src/contract/index.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { TIMEOUTS } from '../../src/policy/index.js';
import { parsePolicy } from '../../src/spending-policy.js';
import { FileStore, Receipts, ReferenceSources } from '../../src/storage/index.js';
import { until } from '../support/until.js';

const MINUTE = 60_000;
const input: SubmitInput = {
  idempotencyKey: 'fox-1',
  body: '{"model":"z-image","prompt":"a fox"}',
  idempotencyWindowMs: 10 * MINUTE,
  fence: null,
  riskAccepted: false,
};

let emulator: Emulator;
let directory: string;
let dependencies: ActivityDependencies;
let fences: unknown[];
beforeEach(async () => {
  emulator = await startEmulator();
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-submit-'));
  const keys = staticKey(emulator.apiKey);
  const store = new FileStore(`file:${directory}`);
  dependencies = {
    api: createRivyaClient({ baseUrl: emulator.url, keys }),
    keys,
    receipts: new Receipts(store, emulator.url),
    sources: new ReferenceSources({ roots: [], store: null, trustedHosts: new Set() }),
    uploads: null,
    kindOf: () => null,
  };
  fences = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  await dependencies.api.close();
  await emulator.close();
  await rm(directory, { recursive: true });
});

/** One attempt, on a Service that knows no other run and acknowledges heartbeats in this way. */
async function attempt({
  submit = input,
  acknowledge = async () => undefined,
  onStep,
  log = [],
  ageMs = 0,
  cancelWhen,
}: {
  submit?: SubmitInput;
  acknowledge?: () => Promise<void>;
  onStep?: OnStep;
  log?: string[];
  /** Since the first attempt of this Activity was scheduled. */
  ageMs?: number;
  /** The attempt is cancelled as soon as this holds. */
  cancelWhen?: () => boolean | Promise<boolean>;
} = {}): Promise<SubmitResult> {
  const client = {
    activity: {
      heartbeat: async (_token: Uint8Array, details: unknown) => {
        fences.push(details);
        await acknowledge();
      },
    },
    workflow: { async *list() {} },
    // The SDK ties calls that the Activity makes to its cancellation.
    withAbortSignal: (_signal: AbortSignal, work: () => unknown) => work(),
  } as unknown as Client;
  const logger = new DefaultLogger('TRACE', ({ message, meta }) => log.push(JSON.stringify({ message, meta })));
  const environment = new MockActivityEnvironment(
    {
      workflowType: 'generateMedia',
      attempt: ageMs === 0 ? 1 : 2,
      scheduledTimestampMs: 0,
      currentAttemptScheduledTimestampMs: ageMs,
      // The beat with which the first attempt began.
      ...(ageMs !== 0 && { heartbeatDetails: null }),
    },
    { client, logger },
  );
  const result: Promise<SubmitResult> = environment.run(() =>
    rivyaSubmit(submit, { ...dependencies, ...(onStep && { onStep }) }),
  );
  if (cancelWhen !== undefined) await until(cancelWhen).then(() => environment.cancel());
  return result;
}

const posts = (): number => emulator.requests().filter(({ method }) => method === 'POST').length;
const fingerprint = async (): Promise<string> => (await dependencies.keys.current())!.fingerprint();
const unanswered = async (ageMs: number): Promise<Fence> => ({
  firstPostedAt: Date.now() - ageMs,
  fingerprint: await fingerprint(),
  idempotencyKey: input.idempotencyKey,
});

/** From right before the POST on, this clock has moved on by so much, as after a sleep of the machine. */
function sleepBeforePost(clock: { now(): number }, ms: number): OnStep {
  return (when, what) => {
    if (when !== 'before' || what !== 'POST') return;
    const now = clock.now.bind(clock);
    vi.spyOn(clock, 'now').mockImplementation(() => now() + ms);
  };
}

describe('an attempt posts once and tells the task', () => {
  test('with a fence that says since when', async () => {
    const { task } = await attempt();
    const fence = { fingerprint: await fingerprint(), idempotencyKey: 'fox-1' };
    expect(fences).toEqual([null, expect.objectContaining(fence)]);
    expect((await emulator.ledger()).keys['fox-1']).toMatchObject({ tasks: [task.taskId], posts: 1 });
  });

  test('inside the window of an unanswered POST, whose time stays', async () => {
    const fence = await unanswered(5 * MINUTE);
    await attempt({ submit: { ...input, fence } });
    expect(posts()).toBe(1);
    expect(fences).toMatchObject([fence, fence]);
  });

  test('after an unanswered POST, whatever it costs by now', async () => {
    dependencies = { ...dependencies, spending: { policy: null, basePrice: async () => 10 } };
    const submit = { ...input, maxCredits: 1 };
    await expect(attempt({ submit })).rejects.toMatchObject({ type: 'BudgetReached', nonRetryable: true });
    expect(posts()).toBe(0);
    await attempt({ submit: { ...submit, fence: await unanswered(5 * MINUTE) } });
    expect(posts()).toBe(1);
  });

  test('also where the receipt of the task cannot be written', async () => {
    const onStep: OnStep = (when, what) => {
      if (when === 'after' && what === 'POST') breakStore();
    };
    await expect(attempt({ onStep })).resolves.toMatchObject({ task: { taskId: expect.stringMatching(/^task_/) } });
    expect(posts()).toBe(1);
  });

  test('also where it is cancelled during the POST', async () => {
    emulator.setFaults([{ on: 'create', do: { kind: 'delayAfter', ms: 500 } }]);
    const paid = async (): Promise<readonly string[]> => (await emulator.ledger()).keys['fox-1']?.tasks ?? [];
    const result = attempt({ cancelWhen: async () => (await paid()).length === 1 });
    await expect(result).resolves.toMatchObject({ task: { taskId: expect.stringMatching(/^task_/) } });
    expect(await paid()).toHaveLength(1);
  });

  test('and its log lines name the task, never the API key', async () => {
    const log: string[] = [];
    const { task } = await attempt({ log });
    expect(log.join('\n')).toContain(task.taskId);
    expect(log.join('\n')).not.toContain(emulator.apiKey);
  });
});

/** The place of the receipts is taken by a file. */
function breakStore(): void {
  rmSync(path.join(directory, '.rivya'), { recursive: true, force: true });
  writeFileSync(path.join(directory, '.rivya'), '');
}

describe('an attempt posts nothing', () => {
  test('where the Service does not acknowledge the fence: the next attempt may have begun', async () => {
    const acknowledge = async (): Promise<void> => {
      throw new Error('no such attempt');
    };
    await expect(attempt({ acknowledge })).rejects.toThrow('no such attempt');
    expect(posts()).toBe(0);
  });

  test('before the Service has acknowledged the fence', async () => {
    // A receipt would take its time as well.
    dependencies = { ...dependencies, receipts: null };
    let acknowledged = false;
    const acknowledge = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      acknowledged = true;
    };
    const atPost: boolean[] = [];
    await attempt({
      acknowledge,
      onStep: (when, what) => {
        if (when === 'before' && what === 'POST') atPost.push(acknowledged);
      },
    });
    expect(atPost).toEqual([true]);
  });

  test.each([
    ['a process that stood still', performance],
    ['a machine that slept', Date],
  ])('after %s for longer than its fence holds', async (_, clock) => {
    const onStep = sleepBeforePost(clock, TIMEOUTS.leaseHeld);
    await expect(attempt({ onStep })).rejects.toThrow('too late to send');
    expect(posts()).toBe(0);
  });

  test('after the window of an unanswered POST', async () => {
    const fence = await unanswered(11 * MINUTE);
    await expect(attempt({ submit: { ...input, fence } })).rejects.toMatchObject({ type: 'SubmitUnresolved' });
    expect(posts()).toBe(0);
  });

  test('where that window ends right before the POST', async () => {
    const fence = await unanswered(10 * MINUTE - 2_000);
    const onStep = sleepBeforePost(Date, 3_000);
    await expect(attempt({ submit: { ...input, fence }, onStep })).rejects.toThrow('too late to send');
    expect(posts()).toBe(0);
  });

  test('under another API key than that of an unanswered POST', async () => {
    const fence = { ...(await unanswered(MINUTE)), fingerprint: 'of another account' };
    await expect(attempt({ submit: { ...input, fence } })).rejects.toMatchObject({ type: 'SubmitUnresolved' });
    expect(posts()).toBe(0);
  });

  test('where its receipt cannot be written', async () => {
    const onStep: OnStep = (when, what) => {
      if (when === 'after' && what === 'fence') breakStore();
    };
    await expect(attempt({ onStep })).rejects.toMatchObject({ type: 'StoreUnavailable' });
    expect(posts()).toBe(0);
  });

  test('where a receipt knows the task, although neither Temporal nor the API remembers', async () => {
    const { task } = await attempt();
    emulator.setSwitches({ keyLifetimeMs: 1 });
    expect(await attempt()).toMatchObject({ task: { taskId: task.taskId }, reused: true });
    expect(posts()).toBe(1);
  });

  test('where the policy forbids the model of the body, whatever the identity beside it says', async () => {
    const spending = { policy: parsePolicy({ models: ['z-image'] }, 'the policy'), basePrice: async () => 1 };
    dependencies = { ...dependencies, spending };
    const identity = { step: null, take: 1, attempt: 1, model: 'z-image', labels: {}, firstKey: 'fox-1' };
    const submit = { ...input, identity, body: '{"model":"sora-2","prompt":"a fox"}' };
    await expect(attempt({ submit })).rejects.toMatchObject({ type: 'PolicyDenied' });
    expect(posts()).toBe(0);
  });

  test('where a receipt knows a task of the key with another body', async () => {
    await attempt();
    const submit = { ...input, body: '{"model":"z-image","prompt":"a wolf"}' };
    await expect(attempt({ submit })).rejects.toMatchObject({ type: 'InputChanged' });
    expect(posts()).toBe(1);
  });
});

test('a conflict at the first POST is repeated for 90 s, in which another run may be posting; then the input has changed', async () => {
  emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'idempotency_conflict' } }]);
  await expect(attempt({ ageMs: 89_000 })).rejects.toMatchObject({ type: 'idempotency_conflict', nonRetryable: false });
  await expect(attempt({ ageMs: 90_000 })).rejects.toMatchObject({ type: 'InputChanged', nonRetryable: true });
});
