/**
 * One attempt of a call that costs money.
 *
 * It guarantees at most one POST, and none unless the Service has acknowledged a heartbeat (the fence) that tells the next
 * attempt of it. `rivyaSubmit` and `rivyaChat` call it. It repeats nothing: Temporal's retry policy does that. Whatever it
 * ends with says whether it has posted and whether a POST has no answer.
 */
import { activityInfo, log, type Info } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { RivyaApiError, type CreateGenerationInput } from '../src/api/index.js';
import { UNKNOWN_FINGERPRINT } from '../src/contract/index.js';
import type { PaidCallInput, PaidCallResult, UnansweredPost } from '../src/contract/index.js';
import { digestOf, formatDuration, type Paid } from '../src/policy/index.js';
import type { ReceiptHead, Receipts } from '../src/storage/index.js';
import { noted, step, type ActivityDependencies } from './context.js';
import { Lease } from './lease.js';
import { checkPolicy, isDenial } from './policy.js';
import { checkBudget } from './price.js';
import { oldest, recall, type RecallSource } from './recall.js';
import { endOf, inputChanged, unresolved, type PaidBeat } from './submit-failure.js';

/** The one POST of an Activity that pays, and what is done around it. `Known` is what receipts and memos hold of an answer. */
export interface PaidPost<Known, Answer> {
  /** What it makes, for the words of its failures. */
  readonly paid: Paid;
  /** Addresses that the API is asked to fetch, for the spending policy. */
  readonly references: readonly string[];
  /** Where it is noted that the POST goes out, or null. */
  readonly receipts: Pick<Receipts, 'noteSubmit'> | null;
  readonly known: Omit<RecallSource<Known>, 'baseKey'>;
  readonly recalled: (known: Known) => Answer;
  /** Sends the request, once. */
  readonly post: (request: Omit<CreateGenerationInput, 'body'>) => Promise<Answer>;
  /** Notes the answer. Must not throw: the answer is paid. */
  readonly answered: (answer: Answer, head: ReceiptHead) => Promise<void>;
}

export async function paidPost<Known, Answer>(
  input: PaidCallInput,
  call: PaidPost<Known, Answer>,
  { keys, spending, onStep }: Pick<ActivityDependencies, 'keys' | 'spending' | 'onStep'>,
): Promise<PaidCallResult<Answer>> {
  const { paid, receipts } = call;
  const { idempotencyKey, keyNumber, attempt, riskReason } = input;
  const info = activityInfo();
  const { runId: lookedBy } = info.workflowExecution ?? { runId: '' };
  const head = headOf(input, info);
  const lease = new Lease();
  const told = info.heartbeatDetails as PaidBeat | null | undefined;
  let beat = beatBefore(input, info, lookedBy);
  let noting = false;
  const resultOf = (answer: Answer | null, at: Partial<PaidCallResult<Answer>>): PaidCallResult<Answer> => {
    const nothingPosted = { firstPostedAt: null, sinceFirstPostMs: 0 };
    return { answer, position: null, idempotencyKey, ...nothingPosted, reused: false, lookedBy, ...at };
  };
  try {
    let proven = told?.posted === true && told.unanswered !== null;
    // Once more where a POST has no answer yet: an attempt whose Worker was killed may have noted its task in a receipt. Then
    // only an answer counts: what else earlier runs say was judged before, and a person may have accepted it since.
    const again = beat.looked;
    if (!again || beat.unanswered !== null) {
      const known = await lease.keep(beat, () => recall({ ...call.known, baseKey: input.baseKey }));
      // A run that is refused here has not looked: its memo does not hold what it found, so the next run must look again.
      if (!again && known !== null && known.bodyDigest !== null && known.bodyDigest !== head.bodyDigest) {
        throw inputChanged(input, paid);
      }
      beat = { ...beat, looked: true };
      proven ||= known?.proven === true && known.keyNumber === keyNumber;
      if (known !== null && known.keyNumber >= keyNumber && (!again || known.answer !== null)) {
        const { answer, earlier, unanswered, ...at } = known;
        const position = { keyNumber: at.keyNumber, attempt: at.attempt, unanswered, earlier };
        if (answer !== null) {
          log.info('recalled', { idempotencyKey: at.idempotencyKey });
          return resultOf(call.recalled(answer), { position, idempotencyKey: at.idempotencyKey, reused: true });
        }
        if (at.keyNumber > keyNumber) return resultOf(null, { position, idempotencyKey: at.idempotencyKey });
        beat = { ...beat, unanswered: oldest(beat.unanswered, unanswered) };
      }
    }

    // What may be paid already is asked for to its end, whatever policy and budget say by now. Only a heartbeat of this
    // Activity and a receipt prove that: an input or a memo can be made up to get around the policy.
    const { unanswered } = beat;
    if (!proven) {
      const asked = { model: head.model, attempt, references: call.references };
      await lease
        .keep(beat, () => checkPolicy(spending, asked))
        .catch((error: unknown) => {
          if (unanswered === null || !isDenial(error)) throw error;
          throw unresolved(input, unanswered, `must not be repeated here: ${error.message.replace(/\.$/, '')}`, paid);
        });
    }
    if (unanswered === null) await lease.keep(beat, () => checkBudget(input.maxCredits, head, spending));
    const key = await keys.current();
    // Without a key there is nothing to name in the fence, so nothing is posted.
    if (key === null) throw new RivyaApiError('There is no API key.', { outcome: 'refused', code: 'api_key_missing' });
    const fingerprint = key.fingerprint();
    if (unanswered !== null) refuseBlindRepeat(input, unanswered, fingerprint, paid);

    const now = Date.now();
    const open: UnansweredPost = { firstPostedAt: now, ...unanswered, lastPostedAt: now, fingerprint };
    const before = beat;
    const fence = { ...beat, unanswered: open, posted: true };
    await step(onStep, 'fence', () => lease.renew(fence));
    const maySend = (): boolean => lease.held() && (unanswered === null || inWindow(input, open));
    try {
      const answer = await lease.keep(fence, async () => {
        noting = true;
        const standing = { unanswered: open, riskReason };
        if (receipts !== null) await step(onStep, 'receipt', () => receipts.noteSubmit(head, standing));
        beat = fence;
        // The very key whose fingerprint the fence carries, also when the key file changes in between.
        const request = { idempotencyKey, key, maySend };
        return step(onStep, 'POST', () => call.post(request));
      });
      await call.answered(answer, head);
      return resultOf(answer, { firstPostedAt: open.firstPostedAt, sinceFirstPostMs: sinceFirstPost(open, info) });
    } catch (error) {
      // A refusal leaves what was unanswered before this attempt; an unknown outcome keeps the fence.
      if (error instanceof RivyaApiError && error.outcome === 'refused') {
        beat = { ...before, posted: before.posted || error.httpStatus !== null };
      } else if (error instanceof RivyaApiError && error.requestId !== null && beat.unanswered !== null) {
        const { requestId: errorRequestId } = error;
        const stored = beat.unanswered.errorRequestId === errorRequestId;
        beat = { ...beat, unanswered: { ...beat.unanswered, errorRequestId } };
        if (stored) throw unresolved(input, open, `the API repeats one stored error (${errorRequestId})`, paid, true);
      }
      throw error;
    }
  } catch (error) {
    await settle(lease, beat, async () => {
      if (noting) await receipts?.noteSubmit(head, { unanswered: beat.unanswered, riskReason });
    });
    throw endOf(error, input, beat, paid);
  }
}

/** What the receipts of this call say about it. */
function headOf({ body, digest, ...input }: PaidCallInput, { workflowExecution, namespace }: Info): ReceiptHead {
  // What is paid for is the model of the body, so that is the one that policy and budget judge.
  const { model } = JSON.parse(body) as { model: string };
  const { idempotencyKey, keyNumber, attempt, baseKey, labels } = input;
  const workflowId = workflowExecution?.workflowId ?? '';
  const bodyDigest = digest ?? digestOf(body);
  return { idempotencyKey, keyNumber, attempt, baseKey, labels, model, namespace, workflowId, bodyDigest };
}

/**
 * What stands before this attempt. Each attempt that fails leaves a heartbeat, so where a later one finds none, the Worker
 * was killed or an operator has wiped it: then a POST since the Activity was scheduled is assumed.
 */
function beatBefore({ unanswered, lookedBy }: PaidCallInput, info: Info, runId: string): PaidBeat {
  const { attempt, scheduledTimestampMs, currentAttemptScheduledTimestampMs } = info;
  const told = info.heartbeatDetails as PaidBeat | null | undefined;
  if (told != null) return { ...told, looked: told.looked && told.runId === runId, runId };
  // A reset of the Activity or of the Workflow counts attempts anew. A pause before the first attempt looks the same.
  const first = attempt === 1 && currentAttemptScheduledTimestampMs === scheduledTimestampMs;
  if (first) return { unanswered, posted: false, looked: lookedBy === runId, runId };
  const assumed = { firstPostedAt: scheduledTimestampMs, fingerprint: UNKNOWN_FINGERPRINT };
  return { unanswered: oldest(unanswered, assumed), posted: true, looked: false, runId };
}

/**
 * Leaves what the next attempt must know, then notes it. Where that fails, the next attempt believes that a task may
 * exist. An attempt that has lost its lease changes no receipt: the next one may be posting.
 */
async function settle(lease: Lease, beat: PaidBeat, note: () => Promise<void>): Promise<void> {
  const renewed = await lease.renew(beat).then(
    () => true,
    // After a cancel no other attempt follows.
    (error) => error instanceof CancelledFailure,
  );
  if (renewed) await noted(note);
}

/** After an unanswered POST, only the same account within the idempotency window may be asked again. */
function refuseBlindRepeat(input: PaidCallInput, unanswered: UnansweredPost, fingerprint: string, paid: Paid): void {
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

/** How long this Activity has been posting: the deadline of a generation does not count what was before it. */
function sinceFirstPost({ firstPostedAt }: UnansweredPost, { scheduledTimestampMs }: Info): number {
  return Math.max(0, Date.now() - Math.max(firstPostedAt, scheduledTimestampMs));
}

function inWindow({ idempotencyWindowMs }: PaidCallInput, { firstPostedAt }: UnansweredPost): boolean {
  return Date.now() - firstPostedAt <= idempotencyWindowMs;
}
