import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { UNKNOWN_FINGERPRINT, type Fence, type SubmitInput } from '../src/contract/index.js';
import { InvalidRequest, RivyaApiError, type CreateGenerationInput } from '../src/api/index.js';
import { formatDuration, isStoredError, judgeSubmit, retryDelay, TIMEOUTS, type Paid } from '../src/policy/index.js';
import type { ReceiptHead, Receipts } from '../src/storage/index.js';
import { noted, step, type ActivityDependencies } from './context.js';
import { callFailure } from './failure.js';
import { Lease } from './heartbeat.js';
import { ofInput } from './history.js';
import { checkBudget } from './price.js';
import { oldest, wipedFence, type Counts, type Recalled } from './recall.js';
import { checkPolicy, isDenial } from './policy.js';
import { inputChanged, invalidRequest, unexpected, unresolved } from './submit-failure.js';

/** What every Activity that pays gets from its Workflow. */
export type PaidInput = Omit<SubmitInput, 'identity' | 'body'>;

/** The one POST of an Activity that pays, and what is done around it. */
export interface PaidPost<Known, Answer, Result> {
  /** What it makes, for the words of its failures. */
  readonly paid: Paid;
  readonly head: ReceiptHead;
  /** Addresses that the API is asked to fetch. */
  readonly references?: readonly string[];
  /** Where it is noted that the POST goes out, or null. */
  readonly receipts: Pick<Receipts, 'noteSubmit'> | null;
  /** What is known of the key from before. */
  recall(counts: Counts): Promise<Recalled<Known> | null>;
  /** The result, where that was an answer. */
  recalled(answer: Known, idempotencyKey: string): Result;
  /** Sends the request, once. */
  post(request: Omit<CreateGenerationInput, 'body'>): Promise<Answer>;
  /** Notes the answer and makes the result of it. Must not throw: the answer is paid. */
  answered(answer: Answer, fence: Fence): Promise<Result>;
}

/**
 * One attempt of a call that costs money. It makes at most one POST, and none unless the Service has acknowledged the
 * fence: an attempt that was timed out meanwhile cannot post behind the back of the next one.
 */
export async function paidPost<Known, Answer, Result>(
  input: PaidInput,
  call: PaidPost<Known, Answer, Result>,
  { keys, spending, onStep }: Pick<ActivityDependencies, 'keys' | 'spending' | 'onStep'>,
): Promise<Result> {
  const { head, receipts, paid } = call;
  const { idempotencyKey } = input;
  const info = activityInfo();
  const lease = new Lease();
  const runId = info.workflowExecution?.runId;
  const beat = (fence: Fence | null): Fence | null => fence && { ...fence, ...(runId !== undefined && { runId }) };
  const riskReason = input.riskReason ?? null;
  // Where an earlier attempt, or an earlier Activity for this key, has a POST without an answer, this says since when.
  const told = (info.heartbeatDetails as Fence | null | undefined) ?? null;
  let unanswered: Fence | null = told ?? hearsay(input.fence) ?? (await wipedFence(ofInput(input)));
  let posted: Fence | null = null;
  let refusals: readonly string[] = [];

  // Where this fails, the next attempt believes that a task may exist. An attempt that has lost its lease changes no
  // receipt: the next one may be posting.
  const settle = async (fence: Fence | null): Promise<void> => {
    const renewed = await lease.renew(beat(fence)).then(
      () => true,
      // After a cancel no other attempt follows.
      (error) => error instanceof CancelledFailure,
    );
    if (renewed) await noted(() => receipts?.noteSubmit(head, { unanswered: fence, riskReason }));
  };

  try {
    // Before anything else can fail: without it, the next attempt would have to believe that a task may exist.
    await lease.renew(beat(unanswered));
    const known = await lease.keep(beat(unanswered), () => call.recall((fence) => counts(fence, input)));
    if (known !== null && known.bodyDigest !== null && known.bodyDigest !== head.bodyDigest)
      throw inputChanged(input, paid);
    if (known !== null && known.answer !== null) return call.recalled(known.answer, known.idempotencyKey);
    refusals = known?.refusals ?? [];
    unanswered = oldest(unanswered, hearsay(known?.unanswered ?? null));
    if (unanswered !== null && (unanswered.idempotencyKey ?? idempotencyKey) !== idempotencyKey) {
      throw unresolved(input, unanswered, 'it went out under another key of this attempt', paid);
    }

    // What may be paid already is asked for to its end, whatever policy and budget say by now. What this Activity has told
    // itself, and the receipts, prove that; a memo, a history or an input can be made up to get around the policy.
    const open = unanswered;
    if (told?.sent !== true && known?.noted !== true) {
      const asked = { model: head.model, attempt: head.attempt, references: call.references ?? [] };
      await lease
        .keep(beat(open), () => checkPolicy(spending, asked))
        .catch((error: unknown) => {
          if (open === null || !isDenial(error)) throw error;
          throw unresolved(input, open, `must not be repeated here: ${error.message.replace(/\.$/, '')}`, paid);
        });
    }
    if (open === null) await lease.keep(null, () => checkBudget(input.maxCredits, head, spending));
    const key = await keys.current();
    // Without a key there is nothing to name in the fence, so nothing is posted.
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    const fingerprint = key.fingerprint();
    if (unanswered !== null) refuseBlindRepeat(input, unanswered, fingerprint, paid);

    const first = { firstPostedAt: Date.now(), fingerprint, ...ofInput(input) };
    const fence: Fence = { ...(unanswered ?? first), sent: true };
    await step(onStep, 'fence', () => lease.renew(beat(fence)));
    const answer = await lease.keep(beat(fence), async () => {
      const standing = { unanswered: fence, riskReason };
      if (receipts !== null) await step(onStep, 'receipt', () => receipts.noteSubmit(head, standing));
      posted = fence;
      // The window bounds how long a POST is repeated; the first one of a key may be late.
      const maySend = (): boolean => lease.held() && (unanswered === null || inWindow(input, fence));
      // The very key whose fingerprint the fence carries, also when the key file changes in between.
      const request = { idempotencyKey, key, maySend };
      return step(onStep, 'POST', () => call.post(request));
    });
    return await call.answered(answer, fence);
  } catch (error) {
    if (error instanceof CancelledFailure) throw new CancelledFailure(error.message, [{ fence: unanswered }]);
    if (error instanceof ApplicationFailure) throw error;
    if (error instanceof InvalidRequest) {
      await settle(unanswered);
      throw invalidRequest(input, error);
    }
    if (!(error instanceof RivyaApiError)) {
      if (posted === null) await settle(unanswered);
      throw unexpected(input, error, posted ?? unanswered, paid);
    }
    // A refusal leaves what was known before this attempt; only an unanswered POST keeps the fence.
    const left = error.outcome === 'refused' ? unanswered : withError(posted, error);
    await settle(left);
    if (left?.error !== undefined && isStoredError(left)) {
      throw unresolved(
        input,
        left,
        `the API gives one and the same error (${left.error.requestId}) again and again`,
        paid,
      );
    }
    // Both times are the Service's own. Another run's POST that was under way has ended after this.
    const age = info.currentAttemptScheduledTimestampMs - info.scheduledTimestampMs;
    const conflictMayBeOurs = unanswered !== null || age < TIMEOUTS.conflictGrace;
    const conflict = error.outcome === 'refused' && error.code === 'idempotency_conflict';
    if (conflict && !conflictMayBeOurs) throw inputChanged(input, paid, error);
    const { attempt } = info;
    const { code, retryAfterMs } = error;
    // What makes a session conflict is not published: a chat of ours that still runs may, so it is waited out then.
    const mayBeOurs = code === 'chat_session_conflict' ? unanswered !== null : conflictMayBeOurs;
    throw callFailure(error, judgeSubmit(error, mayBeOurs), {
      idempotencyKey,
      fence: left,
      storedRefusal: error.outcome === 'refused' && error.requestId !== null && refusals.includes(error.requestId),
      paid,
      attempt,
      retryInMs: retryDelay({ attempt, code, retryAfterMs, random: Math.random() }),
    });
  }
}

/** What somebody else says of a POST. */
function hearsay(fence: Fence | null): Fence | null {
  if (fence === null) return null;
  const { sent: _, ...rest } = fence;
  return rest;
}

/**
 * Whether a POST that another run left unanswered is still open. A person has accepted those from before their decision,
 * but none from after it: a reset brings the decision back, and must not pay for it a second time.
 */
function counts(fence: Fence, { riskAccepted, riskAcceptedAt }: PaidInput): boolean {
  if (!riskAccepted) return true;
  return riskAcceptedAt !== undefined && (fence.riskAcceptedAt ?? -Infinity) >= riskAcceptedAt;
}

/** The fence after an error reply: the same request ID again means that the API has stored it under the key. */
function withError(fence: Fence | null, { requestId }: RivyaApiError): Fence | null {
  if (fence === null || requestId === null) return fence;
  const times = fence.error?.requestId === requestId ? fence.error.times + 1 : 1;
  return { ...fence, error: { requestId, times } };
}

/** After an unanswered POST, only the same account within the window of the key may be asked again. */
function refuseBlindRepeat(input: PaidInput, unanswered: Fence, fingerprint: string, paid: Paid): void {
  if (!inWindow(input, unanswered)) {
    const window = formatDuration(input.idempotencyWindowMs);
    throw unresolved(
      input,
      unanswered,
      `its answer is still unknown after ${window}, and the API may have forgotten the key`,
      paid,
    );
  }
  if (unanswered.fingerprint !== fingerprint && unanswered.fingerprint !== UNKNOWN_FINGERPRINT) {
    throw unresolved(input, unanswered, 'the API key has changed since, and another account would pay again', paid);
  }
}

function inWindow({ idempotencyWindowMs }: PaidInput, { firstPostedAt }: Fence): boolean {
  return Date.now() - firstPostedAt <= idempotencyWindowMs;
}
