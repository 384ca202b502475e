/** Whatever bytes come back, an Activity ends with a task or with a failure that says what is known, and one call is made. */
import { ApplicationFailure } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiActivities, type RivyaActivities } from '../../activities/index.js';
import { staticKey, type RivyaClient } from '../../src/api/index.js';
import { NOT_RETRIED, type FailureDetails, type PaidCallInput, type UnansweredPost } from '../../src/contract/index.js';
import { openReferenceSources } from '../../src/storage/index.js';
import { fakeService, RUN_ID } from '../activities/service.js';
import { API_KEY, BODY, clientFor, envelope, serve, type Wire } from '../api/wire.js';
import { framedAs, isRefusal, runs, SEED, taskIdOf, wireReply, type WireReply } from './replies.js';

// A reply that never ends is cut off by the client; half a second is enough where nothing is slow but the machine.
const TIMEOUTS = { connect: 20_000, post: 20_000, get: 20_000, body: 20_000 };

let wire: Wire;
let api: RivyaClient;
let activities: Pick<RivyaActivities, 'rivyaSubmit' | 'rivyaCheck'>;
let next: WireReply;
const keys = staticKey(API_KEY);
const sources = openReferenceSources({ roots: [], store: null, trustedHosts: new Set() });

beforeAll(async () => {
  wire = await serve((socket) => {
    const { bytes, end } = next;
    if (end === 'destroy') socket.write(bytes, () => socket.destroy());
    else if (end === 'end') socket.end(bytes);
    else socket.write(bytes);
  });
  api = clientFor(wire.url, { timeouts: TIMEOUTS, keys });
  activities = createApiActivities({ api, keys, receipts: null, sources, uploads: null, kindOf: () => null });
});
afterAll(async () => {
  await api.close();
  await wire.close();
});

/** What the next attempt reads. */
interface Beat {
  readonly unanswered: UnansweredPost | null;
  readonly posted: boolean;
}

interface Outcome<Value> {
  readonly value: Value | null;
  readonly error: unknown;
  /** What the Service was told of the submit last. */
  readonly beat: Beat | undefined;
}

/** Runs one attempt against this reply. */
async function attempt<Value>(
  reply: WireReply,
  info: { attempt: number; ageMs: number; beat: object | null },
  call: () => Promise<Value>,
): Promise<Outcome<Value>> {
  next = reply;
  wire.requests.length = 0;
  const { client, beats } = fakeService();
  const times = { scheduledTimestampMs: Date.now() - info.ageMs, currentAttemptScheduledTimestampMs: Date.now() };
  const env = new MockActivityEnvironment(
    { ...times, workflowType: 'generateMedia', attempt: info.attempt, heartbeatDetails: info.beat },
    { client, logger: new DefaultLogger('ERROR') },
  );
  const [value, error] = await env.run<[], Value, typeof call>(call).then(
    (result) => [result, null] as const,
    (reason: unknown) => [null, reason] as const,
  );
  return { value, error, beat: beats.at(-1) as Beat | undefined };
}

/** The failure in the form in which it goes into the history. */
function failureOf(error: unknown): { failure: ApplicationFailure; details: FailureDetails; delayMs: number } {
  expect(error).toBeInstanceOf(ApplicationFailure);
  const failure = error as ApplicationFailure;
  const [details] = failure.details as [FailureDetails];
  // A refusal that is repeated has a type of its own, which the retry policy does not know.
  expect([details.code, `repeated:${details.code}`]).toContain(failure.type);
  expect(details.action).not.toBe('');
  const shown = `${failure.message}${failure.stack}${JSON.stringify(details)}`;
  expect(shown).not.toContain(API_KEY);
  expect(shown.length).toBeLessThan(10_000);
  return { failure, details, delayMs: failure.nextRetryDelay === undefined ? NaN : msToNumber(failure.nextRetryDelay) };
}

/** What earlier runs found. */
const FOUND: readonly WireReply[] = [
  // A conflict that the API did not mean as one.
  framedAs({ status: 500, headers: {}, body: Buffer.from(JSON.stringify(envelope('idempotency_conflict'))) }),
];

const tries = fc.record({ attempt: fc.integer({ min: 1, max: 1e6 }), ageMs: fc.constantFrom(0, 200_000) });

const submit: PaidCallInput = {
  idempotencyKey: 'key-1',
  baseKey: 'key-1',
  keyNumber: 1,
  attempt: 1,
  model: 'z-image',
  labels: {},
  body: BODY,
  idempotencyWindowMs: 1e9,
  unanswered: null,
  lookedBy: null,
  riskReason: null,
};

test('a submit posts once and says refused only where the API said so itself', { timeout: 120_000 }, async () => {
  const fingerprint = (await keys.current())!.fingerprint();
  await fc.assert(
    fc.asyncProperty(wireReply('task_1'), tries, fc.boolean(), async (reply, { attempt: n, ageMs }, wasUnanswered) => {
      const before = wasUnanswered ? { firstPostedAt: Date.now() - 1_000, fingerprint } : null;
      const beat = { unanswered: before, posted: wasUnanswered, looked: true, runId: RUN_ID };
      const outcome = await attempt(reply, { attempt: n, ageMs, beat }, () => activities.rivyaSubmit(submit));
      expect(wire.requests.map(({ body }) => body)).toEqual([BODY]);
      expect(wire.requests[0]!.head).toContain('idempotency-key: key-1\r\n');
      if (outcome.value !== null) {
        expect(outcome.value.answer!.taskId).toBe(taskIdOf(reply.said));
        expect(outcome.beat).toMatchObject({ posted: true, unanswered: { firstPostedAt: expect.any(Number) } });
        return;
      }
      const { failure, details, delayMs } = failureOf(outcome.error);
      const open = wasUnanswered || !isRefusal(reply.said);
      // What may have made a task stays known: to the next attempt, and to the Workflow.
      for (const told of [outcome.beat, details]) {
        expect(told).toMatchObject({ posted: true, looked: true });
        if (open) expect(told!.unanswered).toMatchObject({ fingerprint, ...before });
        else expect(told!.unanswered ?? null).toBeNull();
      }
      const final = failure.nonRetryable === true || NOT_RETRIED.includes(failure.type!);
      if (final) expect(isRefusal(reply.said)).toBe(true);
      else expect(delayMs >= 1_000 && delayMs <= 600_000, `next try after ${delayMs} ms`).toBe(true);
      expect(failure.message.includes('cost nothing') || failure.type === 'InputChanged').toBe(isRefusal(reply.said));
    }),
    { seed: SEED, numRuns: runs(400), examples: FOUND.map((reply) => [reply, { attempt: 9, ageMs: 200_000 }, false]) },
  );
});

test(
  'a status check asks once, knows its task, and comes again after 5 s to 10 min',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(wireReply('task_1'), tries, async (reply, { attempt: n, ageMs }) => {
        const outcome = await attempt(reply, { attempt: n, ageMs, beat: null }, () =>
          activities.rivyaCheck({ taskId: 'task_1' }),
        );
        expect(wire.requests.map(({ head }) => head.split('\r\n')[0])).toEqual([
          'GET /api/v1/generations/task_1 HTTP/1.1',
        ]);
        if (outcome.value !== null) {
          expect([outcome.value.task.taskId, taskIdOf(reply.said)]).toEqual(['task_1', 'task_1']);
          return;
        }
        const { failure, details, delayMs } = failureOf(outcome.error);
        expect(details.taskId).toBe('task_1');
        const final = failure.nonRetryable === true || NOT_RETRIED.includes(failure.type!);
        if (final) expect(isRefusal(reply.said)).toBe(true);
        else expect(delayMs >= 5_000 && delayMs <= 600_000, `next try after ${delayMs} ms`).toBe(true);
      }),
      { seed: SEED, numRuns: runs(400) },
    );
  },
);
