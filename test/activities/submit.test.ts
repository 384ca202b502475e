/** One attempt of a submit on its own, and what must hold right before its POST. The emulator is the judge. */
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Info } from '@temporalio/activity';
import type { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ActivityDependencies, OnStep } from '../../activities/context.js';
import { rivyaSubmit } from '../../activities/submit.js';
import { createRivyaClient, RivyaApiError, staticKey } from '../../src/api/index.js';
import type {
  GenerationMemo,
  PaidCallInput,
  PaidCallResult,
  TaskSnapshot,
  UnansweredPost,
} from '../../src/contract/index.js';
import { startEmulator, type Emulator } from '../../src/emulator/index.js';
import { digestOf, InvalidInput, readInput, TIMEOUTS } from '../../src/policy/index.js';
import { parsePolicy } from '../../src/spending-policy.js';
import { FileStore, Receipts, openReferenceSources } from '../../src/storage/index.js';
import { until } from '../support/until.js';
import { fakeService, memo, RUN_ID, type Service } from './service.js';

const MINUTE = 60_000;
const input: PaidCallInput = {
  idempotencyKey: 'fox-1',
  baseKey: 'fox-1',
  keyNumber: 1,
  attempt: 1,
  model: 'z-image',
  labels: {},
  body: '{"model":"z-image","prompt":"a fox"}',
  idempotencyWindowMs: 10 * MINUTE,
  unanswered: null,
  lookedBy: null,
  riskReason: null,
};
const bodyDigest = digestOf(input.body);

let emulator: Emulator;
let directory: string;
let dependencies: ActivityDependencies;
let service: Service;
beforeEach(async () => {
  emulator = await startEmulator();
  directory = await mkdtemp(path.join(tmpdir(), 'rivya-submit-'));
  const keys = staticKey(emulator.apiKey);
  const store = new FileStore(`file:${directory}`);
  dependencies = {
    api: createRivyaClient({ baseUrl: emulator.url, keys }),
    keys,
    receipts: new Receipts(store, emulator.url),
    sources: openReferenceSources({ roots: [], store: null, trustedHosts: new Set() }),
    uploads: null,
    kindOf: () => null,
  };
  service = fakeService();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await dependencies.api.close();
  await emulator.close();
  await rm(directory, { recursive: true });
});

/** One attempt. Default: the first of its Activity, on a Service that knows no other run. */
async function attempt({
  submit = input,
  onStep,
  log = [],
  info = {},
  cancelWhen,
}: {
  submit?: PaidCallInput;
  onStep?: OnStep;
  log?: string[];
  info?: Partial<Info>;
  /** The attempt is cancelled as soon as this holds. */
  cancelWhen?: () => boolean | Promise<boolean>;
} = {}): Promise<PaidCallResult<TaskSnapshot>> {
  const logger = new DefaultLogger('TRACE', ({ message, meta }) => log.push(JSON.stringify({ message, meta })));
  const environment = new MockActivityEnvironment(
    { workflowType: 'generateMedia', ...info },
    { client: service.client, logger },
  );
  const result: Promise<PaidCallResult<TaskSnapshot>> = environment.run(() =>
    rivyaSubmit(submit, { ...dependencies, ...(onStep && { onStep }) }),
  );
  if (cancelWhen !== undefined) await until(cancelWhen).then(() => environment.cancel());
  return result;
}

/** The second attempt of an Activity that was scheduled so long ago, and what the first one left in its heartbeat. */
const retry = (ageMs: number, heartbeatDetails?: unknown): Partial<Info> => ({
  attempt: 2,
  scheduledTimestampMs: Date.now() - ageMs,
  currentAttemptScheduledTimestampMs: Date.now(),
  heartbeatDetails,
});

const posts = (): number => emulator.requests().filter(({ method }) => method === 'POST').length;
const fingerprint = async (): Promise<string> => (await dependencies.keys.current())!.fingerprint();
const unansweredSince = async (ageMs: number): Promise<UnansweredPost> => ({
  firstPostedAt: Date.now() - ageMs,
  fingerprint: await fingerprint(),
});
const aTask = { answer: { taskId: expect.stringMatching(/^task_/) as string } };

/** From right before the POST on, this clock has moved on by so much, as after a sleep of the machine. */
function sleepBeforePost(clock: { now(): number }, ms: number): OnStep {
  return (when, what) => {
    if (when !== 'before' || what !== 'POST') return;
    const now = clock.now.bind(clock);
    vi.spyOn(clock, 'now').mockImplementation(() => now() + ms);
  };
}

describe('an attempt posts once and tells the task', () => {
  test('with a fence that says since when, which is its first heartbeat', async () => {
    const before = Date.now();
    const { answer } = await attempt();
    const [fence, ...others] = service.beats as [{ unanswered: UnansweredPost }];
    expect(others).toEqual([]);
    expect(fence).toMatchObject({ posted: true, looked: true, runId: RUN_ID });
    expect(fence.unanswered).toEqual({
      firstPostedAt: fence.unanswered.lastPostedAt,
      lastPostedAt: expect.any(Number),
      fingerprint: await fingerprint(),
    });
    expect(fence.unanswered.firstPostedAt).toBeGreaterThanOrEqual(before);
    expect((await emulator.ledger()).keys['fox-1']).toMatchObject({ tasks: [answer!.taskId], posts: 1 });
  });

  test('inside the window of an unanswered POST, whose time stays', async () => {
    const unanswered = await unansweredSince(5 * MINUTE);
    await attempt({ submit: { ...input, unanswered } });
    expect(posts()).toBe(1);
    expect(service.beats).toMatchObject([{ unanswered, posted: true }]);
  });

  test('after an unanswered POST, whatever it costs by now', async () => {
    dependencies = { ...dependencies, spending: { policy: null, basePrice: async () => 10 } };
    const submit = { ...input, maxCredits: 1 };
    await expect(attempt({ submit })).rejects.toMatchObject({ type: 'BudgetReached', nonRetryable: true });
    expect(posts()).toBe(0);
    await attempt({ submit: { ...submit, unanswered: await unansweredSince(5 * MINUTE) } });
    expect(posts()).toBe(1);
  });

  test('after an unanswered POST, whatever the list of models says by now', async () => {
    const problemOf = async () => new InvalidInput('model', 'is not in the list');
    dependencies = { ...dependencies, problemOf };
    await expect(attempt()).rejects.toMatchObject({
      type: 'InvalidInput',
      nonRetryable: true,
      message: expect.stringMatching(/^model: is not in the list\. Nothing was sent and nothing was paid by this call/),
      details: [{ field: 'model', posted: false }],
    });
    expect(posts()).toBe(0);
    const submit = { ...input, unanswered: await unansweredSince(5 * MINUTE) };
    await expect(attempt({ submit })).resolves.toMatchObject(aTask);
    expect(posts()).toBe(1);
  });

  test('also where the receipt of the task cannot be written', async () => {
    const onStep: OnStep = (when, what) => {
      if (when === 'after' && what === 'POST') breakStore();
    };
    await expect(attempt({ onStep })).resolves.toMatchObject(aTask);
    expect(posts()).toBe(1);
  });

  test('also where it is cancelled during the POST', async () => {
    emulator.setFaults([{ on: 'create', do: { kind: 'delayAfter', ms: 500 } }]);
    const paid = async (): Promise<readonly string[]> => (await emulator.ledger()).keys['fox-1']?.tasks ?? [];
    const result = attempt({ cancelWhen: async () => (await paid()).length === 1 });
    await expect(result).resolves.toMatchObject(aTask);
    expect(await paid()).toHaveLength(1);
  });

  test('and its log lines name the task, never the API key', async () => {
    const log: string[] = [];
    const { answer } = await attempt({ log });
    expect(log.join('\n')).toContain(answer!.taskId);
    expect(log.join('\n')).not.toContain(emulator.apiKey);
  });

  test('where the Service has no list of runs, as a test server that skips time', async () => {
    service = fakeService({ runs: null });
    await expect(attempt()).resolves.toMatchObject(aTask);
  });
});

describe('while the account holds all payments', () => {
  const cause = { code: 'insufficient_credits', since: '2026-11-29T12:00:00.000Z', message: 'The balance is 0.' };
  const closed = { closedBy: async () => ({ ...cause, requestId: 'req_1' }) };

  test('nothing new is posted, without a fence, and the failure says so', async () => {
    dependencies = { ...dependencies, ...closed };
    await expect(attempt()).rejects.toMatchObject({
      type: cause.code,
      nonRetryable: true,
      message: expect.stringMatching(
        /since 2026-11-29T12:00:00.000Z: The balance is 0 .*Nothing was sent and nothing was paid/,
      ),
      // Nothing was posted, so the key number stays.
      details: [
        {
          code: cause.code,
          posted: false,
          looked: true,
          requestId: 'req_1',
          action: expect.stringContaining('credits'),
        },
      ],
    });
    expect(emulator.requests()).toEqual([]);
    expect(service.beats).toMatchObject([{ posted: false, unanswered: null }]);
    expect((await emulator.ledger()).keys).toEqual({});
  });

  test('a POST that nobody has answered is repeated all the same: its task may be paid', async () => {
    dependencies = { ...dependencies, ...closed, receipts: null };
    const unanswered = await unansweredSince(5 * MINUTE);
    await expect(attempt({ submit: { ...input, unanswered } })).resolves.toMatchObject(aTask);
    // Also where only the heartbeat of an attempt that was killed says so.
    await attempt({ info: retry(MINUTE, { unanswered, posted: true, looked: true, runId: RUN_ID }) });
    expect((await emulator.ledger()).keys['fox-1']).toMatchObject({ posts: 2, charged: 1 });
  });

  test('a task that a receipt knows is found', async () => {
    const { answer } = await attempt();
    dependencies = { ...dependencies, ...closed };
    await expect(attempt()).resolves.toMatchObject({ answer: { taskId: answer!.taskId }, reused: true });
    expect(posts()).toBe(1);
  });
});

test('a call that this Worker holds back is repeated when the pause is over, however many tries there were', async () => {
  const pause = { outcome: 'refused', code: 'rate_limited', retryAfterMs: 20_000 } as const;
  const createGeneration = async () => Promise.reject(new RivyaApiError('No call now.', pause));
  dependencies = { ...dependencies, api: { ...dependencies.api, createGeneration } };
  const beat = { unanswered: null, posted: false, looked: true, runId: RUN_ID };
  const failure = (await attempt({ info: { ...retry(MINUTE, beat), attempt: 40 } }).catch(
    (error: unknown) => error,
  )) as ApplicationFailure;
  expect(failure).toMatchObject({ type: 'rate_limited', nonRetryable: false, details: [{ posted: false }] });
  expect(failure.details![0]).not.toHaveProperty('unanswered');
  expect(Number(failure.nextRetryDelay)).toBeGreaterThanOrEqual(20_000);
  expect(Number(failure.nextRetryDelay)).toBeLessThanOrEqual(22_000);
});

test('the same input in another key order is the same bytes, and so the same task', async () => {
  dependencies = { ...dependencies, receipts: null };
  const bodyOf = (params: object): string => readInput({ model: 'z-image', prompt: 'a fox', params }).body;
  const first = await attempt({ submit: { ...input, body: bodyOf({ aspect_ratio: '16:9', seed: '1' }) } });
  const again = await attempt({ submit: { ...input, body: bodyOf({ seed: '1', aspect_ratio: '16:9' }) } });
  expect(again.answer!.taskId).toBe(first.answer!.taskId);
  expect((await emulator.ledger()).keys['fox-1']).toMatchObject({ posts: 2, charged: 1, bodies: [expect.anything()] });
});

/** The place of the receipts is taken by a file. */
function breakStore(): void {
  rmSync(path.join(directory, '.rivya'), { recursive: true, force: true });
  writeFileSync(path.join(directory, '.rivya'), '');
}

describe('an attempt posts nothing', () => {
  test('where the Service does not acknowledge the fence: the next attempt may have begun', async () => {
    service = fakeService({
      acknowledge: async () => {
        throw new Error('no such attempt');
      },
    });
    await expect(attempt()).rejects.toThrow('no such attempt');
    expect(posts()).toBe(0);
  });

  test('before the Service has acknowledged the fence', async () => {
    // A receipt would take its time as well.
    dependencies = { ...dependencies, receipts: null };
    let acknowledged = false;
    service = fakeService({
      acknowledge: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        acknowledged = true;
      },
    });
    const atPost: boolean[] = [];
    await attempt({
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
    const unanswered = await unansweredSince(11 * MINUTE);
    await expect(attempt({ submit: { ...input, unanswered } })).rejects.toMatchObject({
      type: 'SubmitUnresolved',
      details: [{ unanswered, posted: false }],
    });
    expect(posts()).toBe(0);
  });

  test('where that window ends right before the POST', async () => {
    const unanswered = await unansweredSince(10 * MINUTE - 2_000);
    const onStep = sleepBeforePost(Date, 3_000);
    await expect(attempt({ submit: { ...input, unanswered }, onStep })).rejects.toThrow('too late to send');
    expect(posts()).toBe(0);
  });

  test('under another API key than that of an unanswered POST', async () => {
    const unanswered = { ...(await unansweredSince(MINUTE)), fingerprint: 'of another account' };
    await expect(attempt({ submit: { ...input, unanswered } })).rejects.toMatchObject({ type: 'SubmitUnresolved' });
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
    const { answer } = await attempt();
    emulator.setSwitches({ keyLifetimeMs: 1 });
    expect(await attempt()).toMatchObject({ answer: { taskId: answer!.taskId }, reused: true });
    expect(posts()).toBe(1);
  });

  test('after an attempt whose Worker was killed once it had noted its task, although the API forgets keys', async () => {
    const { answer, lookedBy: runId } = await attempt();
    emulator.setSwitches({ keyLifetimeMs: 1 });
    const fence = { unanswered: await unansweredSince(1_000), posted: true, looked: true, runId };
    expect(await attempt({ info: retry(1_000, fence) })).toMatchObject({ answer: { taskId: answer!.taskId } });
    expect(posts()).toBe(1);
  });

  test('where the policy forbids the model of the body, whatever the input says beside it', async () => {
    const spending = { policy: parsePolicy({ models: ['z-image'] }, 'the policy'), basePrice: async () => 1 };
    dependencies = { ...dependencies, spending };
    const submit = { ...input, body: '{"model":"sora-2","prompt":"a fox"}' };
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

describe('what an attempt leaves to the next one, acknowledged, before it fails', () => {
  test.each([
    [
      'nothing posted, where it had no API key',
      (): void => void (dependencies = { ...dependencies, keys: staticKey('') }),
    ],
    [
      'nothing posted, where the policy forbids it',
      (): void => {
        const spending = { policy: parsePolicy({ models: [] }, 'the policy'), basePrice: async () => 1 };
        dependencies = { ...dependencies, spending };
      },
    ],
  ])('%s', async (_, arrange) => {
    arrange();
    const left = { unanswered: null, posted: false, looked: true, runId: RUN_ID };
    const failure: unknown = await attempt().catch((error: unknown) => error);
    expect(service.beats).toEqual([left]);
    const { unanswered: _none, ...said } = left;
    expect(failure).toMatchObject({ details: [said] });
    expect((failure as { details: object[] }).details[0]).not.toHaveProperty('unanswered');
  });

  test('nothing unanswered after a refusal, but that it has posted', async () => {
    emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'insufficient_credits' } }]);
    await expect(attempt()).rejects.toMatchObject({ type: 'insufficient_credits', details: [{ posted: true }] });
    expect(service.beats.at(-1)).toEqual({ unanswered: null, posted: true, looked: true, runId: RUN_ID });
    expect((await dependencies.receipts!.find('fox-1')).submit).toMatchObject({ unanswered: null });
  });

  test('nothing posted where nothing listens: a connection that is refused is no POST', async () => {
    dependencies = {
      ...dependencies,
      api: createRivyaClient({ baseUrl: 'http://127.0.0.1:1', keys: dependencies.keys }),
    };
    await expect(attempt()).rejects.toMatchObject({ type: 'network_error', details: [{ posted: false }] });
    expect(service.beats.at(-1)).toMatchObject({ unanswered: null, posted: false });
  });

  test('the unanswered POST, with the requestId of an error that came back', async () => {
    emulator.setFaults([{ on: 'create', do: { kind: 'errorAfter', code: 'internal_error' } }]);
    await expect(attempt()).rejects.toMatchObject({
      type: 'internal_error',
      nonRetryable: false,
      details: [{ posted: true, unanswered: { errorRequestId: expect.any(String) } }],
    });
    const [fence, last] = service.beats as [{ unanswered: UnansweredPost }, { unanswered: UnansweredPost }];
    expect(last.unanswered).toMatchObject({ ...fence.unanswered, errorRequestId: expect.any(String) });
  });

  test('what was unanswered before it, where it is refused itself', async () => {
    const unanswered = await unansweredSince(MINUTE);
    emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'insufficient_credits' } }]);
    await expect(attempt({ submit: { ...input, unanswered } })).rejects.toMatchObject({ details: [{ unanswered }] });
    expect(service.beats.at(-1)).toMatchObject({ unanswered });
  });
});

describe('a retry without heartbeat details assumes an unanswered POST since it was scheduled', () => {
  test('and repeats it inside the window', async () => {
    const info = retry(5 * MINUTE);
    await attempt({ info });
    expect(posts()).toBe(1);
    expect(service.beats).toMatchObject([
      { unanswered: { firstPostedAt: info.scheduledTimestampMs, fingerprint: await fingerprint() } },
    ]);
  });

  test.each([
    ['the second attempt of a Worker that was killed', {}],
    ['a first one after a reset of the Activity, which counts anew', { attempt: 1 }],
  ])('and posts nothing after it: %s', async (_, change) => {
    const info = { ...retry(11 * MINUTE), ...change };
    await expect(attempt({ info })).rejects.toMatchObject({
      type: 'SubmitUnresolved',
      message: expect.stringContaining(`may have been sent at ${new Date(info.scheduledTimestampMs!).toISOString()}`),
    });
    expect(posts()).toBe(0);
  });

  test('the first attempt assumes nothing, however long it was queued', async () => {
    const scheduledTimestampMs = Date.now() - 11 * MINUTE;
    await attempt({ info: { scheduledTimestampMs, currentAttemptScheduledTimestampMs: scheduledTimestampMs } });
    expect(posts()).toBe(1);
  });

  test('nor does one whose last attempt left word that nothing was posted', async () => {
    const left = { unanswered: null, posted: false, looked: true, runId: RUN_ID };
    await attempt({ info: retry(11 * MINUTE, left) });
    expect(posts()).toBe(1);
  });
});

describe('a conflict', () => {
  beforeEach(() => emulator.setFaults([{ on: 'create', do: { kind: 'error', code: 'idempotency_conflict' } }]));

  test('on a key that nobody posted is InputChanged after one POST', async () => {
    await expect(attempt()).rejects.toMatchObject({ type: 'InputChanged', nonRetryable: true });
    expect(posts()).toBe(1);
  });

  const repeated = {
    type: 'repeated:idempotency_conflict',
    nonRetryable: false,
    details: [{ code: 'idempotency_conflict' }],
  };

  test("while another run's POST may still run is repeated", async () => {
    const mayPostSince = { firstPostedAt: Date.now() - MINUTE, fingerprint: 'unknown' };
    service = fakeService({ runs: [{ runId: 'other', memo: memo({ mayPostSince, bodyDigest }) }] });
    await expect(attempt()).rejects.toMatchObject(repeated);
    expect(service.beats.at(-1)).toMatchObject({ unanswered: { firstPostedAt: mayPostSince.firstPostedAt } });
  });

  test('while an own earlier POST may still run is repeated', async () => {
    const left = { unanswered: await unansweredSince(MINUTE), posted: true, looked: true, runId: RUN_ID };
    await expect(attempt({ info: retry(MINUTE, left) })).rejects.toMatchObject(repeated);
  });
});

test('a stored error (the same requestId twice) is SubmitUnresolved with stored: true; another one is repeated', async () => {
  const errorOf = (requestId: string): string =>
    JSON.stringify({ error: { code: 'internal_error', message: 'Broken.', requestId } });
  emulator.setFaults(
    ['req_1', 'req_2', 'req_2'].map((id) => ({
      on: 'create' as const,
      times: 1,
      do: { kind: 'reply' as const, status: 500, body: errorOf(id), headers: { 'content-type': 'application/json' } },
    })),
  );
  const open = { type: 'internal_error', nonRetryable: false };
  await expect(attempt()).rejects.toMatchObject(open);
  await expect(attempt({ info: retry(MINUTE, service.beats.at(-1)) })).rejects.toMatchObject(open);
  await expect(attempt({ info: retry(MINUTE, service.beats.at(-1)) })).rejects.toMatchObject({
    type: 'SubmitUnresolved',
    nonRetryable: true,
    details: [{ stored: true, posted: true, unanswered: { errorRequestId: 'req_2' } }],
  });
  expect(posts()).toBe(3);
});

describe('before its first POST a run looks at the others of its Workflow ID', () => {
  const unanswered = { firstPostedAt: Date.now() - 11 * MINUTE, fingerprint: 'unknown' };
  const mayHavePosted = memo({ mayPostSince: unanswered, bodyDigest });

  test('and takes the task that one of them has got', async () => {
    service = fakeService({ runs: [{ runId: 'other', memo: memo({ taskId: 'task_9', bodyDigest }) }] });
    expect(await attempt()).toMatchObject({ answer: { taskId: 'task_9' }, reused: true, lookedBy: RUN_ID });
    expect(posts()).toBe(0);
  });

  test('also behind one that never looked, as one that was cancelled before its submit', async () => {
    const runs = [{ runId: 'cancelled', memo: memo() }, { runId: 'nothing' }, { runId: 'old', memo: mayHavePosted }];
    service = fakeService({ runs });
    await expect(attempt()).rejects.toMatchObject({ type: 'SubmitUnresolved' });
    expect(service.asked).toEqual(['cancelled', 'nothing', 'old']);
    expect(posts()).toBe(0);
  });

  test('and no further than one that had looked, which says all from before', async () => {
    service = fakeService({
      runs: [
        { runId: 'looked', memo: memo({ lookedBy: 'looked' }) },
        { runId: 'old', memo: mayHavePosted },
      ],
    });
    await expect(attempt()).resolves.toMatchObject(aTask);
    expect(service.asked).toEqual(['looked']);
  });

  test('and is not stopped by one that only carries on what another had seen', async () => {
    service = fakeService({
      runs: [
        { runId: 'reset', memo: memo({ lookedBy: 'another' }) },
        { runId: 'old', memo: mayHavePosted },
      ],
    });
    await expect(attempt()).rejects.toMatchObject({ type: 'SubmitUnresolved' });
  });

  test('and goes on where an earlier run had come to a higher key number, without a POST', async () => {
    const other = memo({ keyNumber: 3, attempt: 2, earlier: ['task_1'], idempotencyKey: 'fox-3', bodyDigest });
    service = fakeService({ runs: [{ runId: 'other', memo: other }] });
    expect(await attempt()).toMatchObject({
      answer: null,
      position: { keyNumber: 3, attempt: 2, earlier: ['task_1'], unanswered: null },
      idempotencyKey: 'fox-3',
    });
    expect(posts()).toBe(0);
  });

  test('and finds another input there only where something was or may have been paid for it', async () => {
    service = fakeService({ runs: [{ runId: 'other', memo: memo({ bodyDigest: 'of another body' }) }] });
    await expect(attempt()).resolves.toMatchObject(aTask);
    service = fakeService({ runs: [{ runId: 'other', memo: { ...mayHavePosted, bodyDigest: 'of another body' } }] });
    dependencies = { ...dependencies, receipts: null };
    await expect(attempt()).rejects.toMatchObject({ type: 'InputChanged' });
    expect(posts()).toBe(1);
  });

  test('and waits, where one of them cannot be read; one whose retention has passed is passed over', async () => {
    service = fakeService({ runs: [{ runId: 'other', memo: 'unreadable' }] });
    await expect(attempt()).rejects.toMatchObject({ nonRetryable: false, details: [{ looked: false, posted: false }] });
    expect(posts()).toBe(0);
    service = fakeService({ runs: [{ runId: 'other', memo: 'gone' }] });
    await expect(attempt()).resolves.toMatchObject(aTask);
  });

  test('and waits, where a memo of this generation cannot be read; one that is of something else is passed over', async () => {
    const broken = { ...mayHavePosted, mayPostSince: 'soon' } as unknown as GenerationMemo;
    service = fakeService({ runs: [{ runId: 'other', memo: broken }] });
    await expect(attempt()).rejects.toMatchObject({
      type: 'EarlierRunsUnreadable',
      message: expect.stringContaining('"mayPostSince" is missing or of a wrong type'),
      nonRetryable: false,
      details: [{ looked: false, posted: false }],
    });
    expect(posts()).toBe(0);
    const ofOthers = { mine: true } as unknown as GenerationMemo;
    service = fakeService({ runs: [{ runId: 'other', memo: ofOthers }] });
    await expect(attempt()).resolves.toMatchObject(aTask);
  });

  test('once: a run that has looked does not look again', async () => {
    service = fakeService({ runs: [{ runId: 'other', memo: mayHavePosted }] });
    await attempt({ submit: { ...input, lookedBy: RUN_ID } });
    expect(service.asked).toEqual([]);
  });

  test('again, where the run that had looked was another one, as after a reset', async () => {
    service = fakeService({ runs: [{ runId: 'other', memo: mayHavePosted }] });
    await expect(attempt({ submit: { ...input, lookedBy: 'other' } })).rejects.toMatchObject({
      type: 'SubmitUnresolved',
    });
  });
});
