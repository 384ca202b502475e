/**
 * One attempt of a call that costs money. It guarantees at most one POST, and none unless the Service has acknowledged
 * a heartbeat (the fence) from which the next attempt learns of it. `rivyaSubmit` and `rivyaChat` call it. It repeats
 * nothing: Temporal's retry policy does that. Its result and each of its failures say whether it has posted and whether
 * a POST has no answer.
 */
import { activityInfo, log, type Info } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { RivyaApiError, type CreateGenerationInput } from '../src/api/index.js';
import { UNKNOWN_FINGERPRINT, withoutEnd } from '../src/contract/index.js';
import type { FailureDetails, PaidCallInput, PaidCallResult, UnansweredPost } from '../src/contract/index.js';
import { askedOfList, digestOf, formatDuration, type Paid } from '../src/policy/index.js';
import type { ReceiptHead, Receipts } from '../src/storage/index.js';
import { refuseWhileClosed } from './closed.js';
import { sideEffect, tryToNote, type ActivityDependencies } from './context.js';
import { Lease } from './lease.js';
import { checkListed } from './listed.js';
import { checkPolicy, isDenial } from './policy.js';
import { checkBudget } from './price.js';
import { oldest, recall, type RecallSource } from './recall.js';
import { attemptFailure, inputChanged, unresolved, type PaidBeat } from './submit-failure.js';

/** The POST of an Activity that pays. `Recalled` is the part of an answer that receipts and memos hold. */
interface PaidPost<Recalled, Answer> extends Omit<RecallSource<Recalled>, 'baseKey'> {
  readonly paid: Paid;
  /** Addresses that the API is asked to fetch, for the spending policy. */
  readonly references: readonly string[];
  /** Where a submit is noted before its POST; null without a store. */
  readonly receipts: Pick<Receipts, 'noteSubmit'> | null;
  readonly answerOf: (recalled: Recalled) => Answer;
  /** Sends the request, once. */
  readonly post: (request: Omit<CreateGenerationInput, 'body'>) => Promise<Answer>;
  /** Notes the answer. Must not throw: the answer is paid. */
  readonly noteAnswer: (answer: Answer, head: ReceiptHead) => Promise<void>;
}

/** What the Activities that pay need beside their client. */
export type PaidDependencies = Pick<ActivityDependencies, 'keys' | 'spending' | 'problemOf' | 'closedBy' | 'onStep'>;

export async function paidPost<Recalled, Answer>(
  input: PaidCallInput,
  call: PaidPost<Recalled, Answer>,
  { keys, spending, problemOf, closedBy, onStep }: PaidDependencies,
): Promise<PaidCallResult<Answer>> {
  const { paid, receipts } = call;
  const { idempotencyKey, keyNumber, attempt, riskReason } = input;
  const info = activityInfo();
  const { runId: lookedBy } = info.workflowExecution ?? { runId: '' };
  const head = headOf(input, info);
  const lease = new Lease();
  const lastBeat = info.heartbeatDetails as PaidBeat | null | undefined;
  let beat = beatBefore(input, info, lookedBy);
  let noting = false;
  const resultOfCall = (answer: Answer | null, more: Partial<PaidCallResult<Answer>>): PaidCallResult<Answer> => {
    const nothingPosted = { firstPostedAt: null, sinceFirstPostMs: 0 };
    return { answer, position: null, idempotencyKey, ...nothingPosted, reused: false, lookedBy, ...more };
  };
  try {
    // Whether this key was certainly posted. Only a heartbeat of this Activity and a receipt prove it: an input or a memo
    // can be made up to get around the spending policy.
    let proven = lastBeat?.posted === true && lastBeat.unanswered !== null;
    // A second recall where a POST has no answer: an attempt whose Worker was killed may have noted its task in a receipt.
    // Then only an answer counts: all else was judged by the first recall, and a person may have accepted it since.
    const again = beat.looked;
    if (!again || beat.unanswered !== null) {
      const recalled = await lease.keep(beat, () => recall({ ...call, baseKey: input.baseKey }));
      // A refusal here completes no recall: the memo of this run does not hold what was found, so the next run reads anew.
      if (!again && recalled !== null && recalled.bodyDigest !== null && recalled.bodyDigest !== head.bodyDigest) {
        throw inputChanged(input, paid);
      }
      beat = { ...beat, looked: true };
      proven ||= recalled?.proven === true && recalled.keyNumber === keyNumber;
      if (recalled !== null && recalled.keyNumber >= keyNumber && (!again || recalled.answer !== null)) {
        const { answer, earlier, unanswered, idempotencyKey: recalledKey } = recalled;
        const position = { keyNumber: recalled.keyNumber, attempt: recalled.attempt, unanswered, earlier };
        if (answer !== null) {
          log.info('recalled', { idempotencyKey: recalledKey });
          return resultOfCall(call.answerOf(answer), { position, idempotencyKey: recalledKey, reused: true });
        }
        if (recalled.keyNumber > keyNumber) return resultOfCall(null, { position, idempotencyKey: recalledKey });
        beat = { ...beat, unanswered: oldest(beat.unanswered, unanswered) };
      }
    }

    // A submit that was certainly posted may be paid: it is repeated until its answer is known, whatever the list of
    // models, the spending policy and the budget say by now.
    const { unanswered } = beat;
    if (!proven) {
      const asked = { model: head.model, attempt, references: call.references };
      await lease
        .keep(beat, () => checkPolicy(spending, asked))
        .catch((error: unknown) => {
          if (unanswered === null || !isDenial(error)) throw error;
          const { action } = (error.details?.[0] ?? {}) as Partial<FailureDetails>;
          const denial = withoutEnd(error.message, action).replace(/\.$/, '');
          throw unresolved(input, unanswered, `must not be repeated here: ${denial}`, paid);
        });
    }
    if (unanswered === null) {
      await lease.keep(beat, () => checkListed(problemOf, askedOfList(paid, input.body)));
      await lease.keep(beat, () => checkBudget(input.maxCredits, head, spending));
    }
    const key = await keys.current();
    // Without a key the fence would name no account, so nothing is posted.
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    const fingerprint = key.fingerprint();
    if (unanswered !== null) refuseRepetition(input, unanswered, fingerprint, paid);
    else if (!proven) await refuseWhileClosed(closedBy);

    const now = Date.now();
    const post: UnansweredPost = { firstPostedAt: now, ...unanswered, lastPostedAt: now, fingerprint };
    const before = beat;
    const fence = { ...beat, unanswered: post, posted: true };
    await sideEffect(onStep, 'fence', () => lease.renew(fence));
    const maySend = (): boolean => lease.held() && (unanswered === null || inWindow(input, post));
    try {
      const answer = await lease.keep(fence, async () => {
        noting = true;
        const submit = { unanswered: post, riskReason };
        if (receipts !== null) await sideEffect(onStep, 'receipt', () => receipts.noteSubmit(head, submit));
        beat = fence;
        // The very key whose fingerprint the fence carries, also when the key file changes in between.
        const request = { idempotencyKey, key, maySend };
        return sideEffect(onStep, 'POST', () => call.post(request));
      });
      await call.noteAnswer(answer, head);
      return resultOfCall(answer, { firstPostedAt: post.firstPostedAt, sinceFirstPostMs: sinceFirstPost(post, info) });
    } catch (error) {
      // A refusal keeps an unanswered POST from before this attempt; an unknown outcome keeps the fence.
      if (error instanceof RivyaApiError && error.outcome === 'refused') {
        beat = { ...before, posted: before.posted || error.httpStatus !== null };
      } else if (error instanceof RivyaApiError && error.requestId !== null && beat.unanswered !== null) {
        const { requestId: errorRequestId } = error;
        const stored = beat.unanswered.errorRequestId === errorRequestId;
        beat = { ...beat, unanswered: { ...beat.unanswered, errorRequestId } };
        if (stored) throw unresolved(input, post, `the API repeats one stored error (${errorRequestId})`, paid, true);
      }
      throw error;
    }
  } catch (error) {
    await settle(lease, beat, async () => {
      if (noting) await receipts?.noteSubmit(head, { unanswered: beat.unanswered, riskReason });
    });
    throw attemptFailure(error, input, beat, paid);
  }
}

/** The head of all receipts of this call. */
function headOf({ body, digest, ...input }: PaidCallInput, { workflowExecution, namespace }: Info): ReceiptHead {
  // The API charges for the model in the body, so policy and budget judge that one.
  const { model } = JSON.parse(body) as { model: string };
  const { idempotencyKey, keyNumber, attempt, baseKey, labels } = input;
  const workflowId = workflowExecution?.workflowId ?? '';
  const bodyDigest = digest ?? digestOf(body);
  return { idempotencyKey, keyNumber, attempt, baseKey, labels, model, namespace, workflowId, bodyDigest };
}

/**
 * The beat with which this attempt begins. Each attempt that fails leaves a heartbeat, so where a later one finds none, the
 * Worker was killed or an operator has wiped it: then a POST since the Activity was scheduled is assumed.
 */
function beatBefore({ unanswered, lookedBy }: PaidCallInput, info: Info, runId: string): PaidBeat {
  const { attempt, scheduledTimestampMs, currentAttemptScheduledTimestampMs } = info;
  const lastBeat = info.heartbeatDetails as PaidBeat | null | undefined;
  if (lastBeat != null) return { ...lastBeat, looked: lastBeat.looked && lastBeat.runId === runId, runId };
  // A reset of the Activity or of the Workflow counts attempts anew. A pause before the first attempt looks the same.
  const first = attempt === 1 && currentAttemptScheduledTimestampMs === scheduledTimestampMs;
  if (first) return { unanswered, posted: false, looked: lookedBy === runId, runId };
  const assumed = { firstPostedAt: scheduledTimestampMs, fingerprint: UNKNOWN_FINGERPRINT };
  return { unanswered: oldest(unanswered, assumed), posted: true, looked: false, runId };
}

/**
 * Leaves the last beat for the next attempt, then notes it in a receipt. Without an acknowledgement the next attempt believes
 * the fence and assumes that a task may exist. An attempt that has lost its lease changes no receipt: the next one may post.
 */
async function settle(lease: Lease, beat: PaidBeat, note: () => Promise<void>): Promise<void> {
  const renewed = await lease.renew(beat).then(
    () => true,
    // After a cancel no other attempt follows.
    (error) => error instanceof CancelledFailure,
  );
  if (renewed) await tryToNote(note);
}

/** Refuses to repeat an unanswered POST after the idempotency window, or for another account. */
function refuseRepetition(input: PaidCallInput, unanswered: UnansweredPost, fingerprint: string, paid: Paid): void {
  if (!inWindow(input, unanswered)) {
    const window = formatDuration(input.idempotencyWindowMs);
    const why = `its answer is still unknown after ${window}, and the API may have forgotten the key`;
    throw unresolved(input, unanswered, why, paid);
  }
  if (unanswered.fingerprint !== fingerprint && unanswered.fingerprint !== UNKNOWN_FINGERPRINT) {
    const why = 'the API key has changed since, and another account would pay again';
    throw unresolved(input, unanswered, why, paid);
  }
}

/** Milliseconds from the first POST of this Activity: the deadline of a generation does not count the time before it. */
function sinceFirstPost({ firstPostedAt }: UnansweredPost, { scheduledTimestampMs }: Info): number {
  return Math.max(0, Date.now() - Math.max(firstPostedAt, scheduledTimestampMs));
}

function inWindow({ idempotencyWindowMs }: PaidCallInput, { firstPostedAt }: UnansweredPost): boolean {
  return Date.now() - firstPostedAt <= idempotencyWindowMs;
}
