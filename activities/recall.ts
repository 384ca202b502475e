/**
 * What is known of a generation from before the first POST of this run: from the receipts in the store, and from the
 * memos of the other runs of its Workflow ID.
 *
 * It guarantees that a task, or a POST without an answer, is found as long as the store or Temporal remembers it. The
 * Activities that pay call it once in each run, and before each attempt while a POST has no answer. It never writes and
 * never asks the API. Where it cannot read all, it fails and the submit waits.
 */
import { Context, log } from '@temporalio/activity';
import {
  MEMO_FIELD,
  UNKNOWN_FINGERPRINT,
  type GenerationMemo,
  type Position,
  type UnansweredPost,
} from '../src/contract/index.js';
import { readMemo } from '../src/policy/index.js';
import type { KeyFolder, ReceiptHead } from '../src/storage/index.js';
import { describeRun, runIdsOf } from './runs.js';

/** What one source says of a generation. */
export interface Fact<Answer> extends Position {
  readonly idempotencyKey: string;
  /** What was paid for under the key number, or null. */
  readonly answer: Answer | null;
  /** Digest of the request; null where nothing was or may have been paid for it, so that another one may take its place. */
  readonly bodyDigest: string | null;
  /** True for receipts: nobody but a Worker writes them, while anybody who starts a Workflow can write a memo. */
  readonly proven: boolean;
}

type Receipts<Answer> = KeyFolder<ReceiptHead & { readonly answer: Answer }>;

/** Where the facts about one generation are read. */
export interface RecallSource<Answer> {
  readonly baseKey: string;
  /** Null without a store. */
  readonly receipts: (() => Promise<Receipts<Answer>>) | null;
  readonly answerInMemo: (memo: GenerationMemo) => Answer | null;
}

/** The last position that anybody knows, with all that is known of it; null for a generation that is new. */
export async function recall<Answer>(source: RecallSource<Answer>): Promise<Fact<Answer> | null> {
  const receipts = source.receipts === null ? [] : ofReceipts(await source.receipts());
  const runs = await ofEarlierRuns(source).catch((error: unknown) => {
    const said =
      error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : String(error);
    const unreadable = new Error(`Temporal does not say what earlier runs of this Workflow have posted (${said}).`);
    throw Object.assign(unreadable, { name: 'EarlierRunsUnreadable' });
  });
  return combined([...receipts, ...runs]);
}

/** The facts at the highest key number, as one. A key number is used only where no task can exist under those before. */
export function combined<Answer>(facts: readonly Fact<Answer>[]): Fact<Answer> | null {
  const keyNumber = Math.max(...facts.map((fact) => fact.keyNumber));
  const last = facts.filter((fact) => fact.keyNumber === keyNumber);
  const [any] = last;
  if (any === undefined) return null;
  const { idempotencyKey, answer } = last.find((fact) => fact.answer !== null) ?? any;
  const unanswered = last.map((fact) => fact.unanswered).reduce(oldest, null);
  // What was paid for binds first, then what was certainly posted, then what may have been posted first.
  const binds = facts.filter((fact) => fact.bodyDigest !== null);
  const binding = binds.find((fact) => fact.answer !== null) ?? binds.find((fact) => fact.proven) ?? binds.at(-1);
  return {
    keyNumber,
    idempotencyKey,
    answer,
    attempt: Math.max(...last.map(({ attempt }) => attempt)),
    unanswered: answer === null ? unanswered : null,
    earlier: [...new Set(facts.flatMap(({ earlier }) => earlier))],
    bodyDigest: binding?.bodyDigest ?? null,
    proven: last.some((fact) => fact.proven && fact.unanswered !== null),
  };
}

/** The older of two, with the fingerprint and the error that either knows. */
export function oldest(a: UnansweredPost | null, b: UnansweredPost | null): UnansweredPost | null {
  if (a === null || b === null) return a ?? b;
  const [first, other] = a.firstPostedAt <= b.firstPostedAt ? [a, b] : [b, a];
  const errorRequestId = first.errorRequestId ?? other.errorRequestId;
  const { firstPostedAt, lastPostedAt: one, fingerprint } = first;
  const { lastPostedAt: two } = other;
  return {
    firstPostedAt,
    ...(one !== undefined && two !== undefined && { lastPostedAt: Math.max(one, two) }),
    fingerprint: fingerprint === UNKNOWN_FINGERPRINT ? other.fingerprint : fingerprint,
    ...(errorRequestId !== undefined && { errorRequestId }),
  };
}

function ofReceipts<Answer>({ submit, answers }: Receipts<Answer>): Fact<Answer>[] {
  const common = { unanswered: null, earlier: [], proven: true };
  const facts: Fact<Answer>[] = answers.map((receipt) => ({ ...receipt, ...common }));
  if (submit === null || facts.some(({ keyNumber }) => keyNumber === submit.keyNumber)) return facts;
  const bodyDigest = submit.unanswered === null ? null : submit.bodyDigest;
  return [...facts, { ...common, ...submit, bodyDigest, answer: null }];
}

/** Runs from the newest to the oldest, until one had looked itself: its memo holds all that was known before it. */
async function ofEarlierRuns<Answer>({ baseKey, answerInMemo }: RecallSource<Answer>): Promise<Fact<Answer>[]> {
  const { client, info } = Context.current();
  if (info.workflowExecution === undefined) return [];
  const { workflowId, runId: own } = info.workflowExecution;
  const facts: Fact<Answer>[] = [];
  const runIds = await runIdsOf(client, workflowId);
  if (runIds === null) log.warn('this Temporal server has no list of runs, so earlier ones are not looked at');
  for (const runId of runIds ?? []) {
    if (runId === own) continue;
    // The memos of a list trail by seconds; the description of a run is what it wrote last.
    const memo = readMemo((await describeRun(client, workflowId, runId))?.memo?.[MEMO_FIELD]);
    if (memo === null || memo.baseKey !== baseKey) continue;
    const { keyNumber, attempt, mayPostSince, earlier, lookedBy } = memo;
    const answer = answerInMemo(memo);
    const unanswered = answer === null ? mayPostSince : null;
    const binds = answer !== null || unanswered !== null || earlier.length > 0;
    const [idempotencyKey, bodyDigest] = [memo.idempotencyKey ?? baseKey, binds ? memo.bodyDigest : null];
    facts.push({ keyNumber, attempt, idempotencyKey, answer, unanswered, earlier, bodyDigest, proven: false });
    if (lookedBy === runId) break;
  }
  return facts;
}
