/**
 * What is known of a generation from before the first POST of this run: from the receipts in the store, and from the
 * memos of the other runs of its Workflow ID.
 *
 * It guarantees that a task, or a POST without an answer, is found as long as the store or Temporal remembers it. The
 * Activities that pay call it once in each run, and before each attempt while a POST has no answer. It never writes and
 * never asks the API. Where it cannot read all, it fails and the submit waits.
 */
import { Context, log } from '@temporalio/activity';
import { UNKNOWN_FINGERPRINT, type GenerationMemo, type UnansweredPost } from '../src/contract/index.js';
import type { KeyFolder, ReceiptHead } from '../src/storage/index.js';
import { factOfMemo, factsOfReceipts, runsThatCount, type Fact } from './facts.js';
import { runIdsOf } from './runs.js';

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
  const receipts = source.receipts === null ? [] : factsOfReceipts(await source.receipts());
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

/** Its own run apart, of which this one knows more than a memo. */
async function ofEarlierRuns<Answer>({ baseKey, answerInMemo }: RecallSource<Answer>): Promise<Fact<Answer>[]> {
  const { client, info } = Context.current();
  if (info.workflowExecution === undefined) return [];
  const { workflowId, runId: own } = info.workflowExecution;
  const runIds = await runIdsOf(client, workflowId);
  if (runIds === null) log.warn('this Temporal server has no list of runs, so earlier ones are not looked at');
  const others = (runIds ?? []).filter((runId) => runId !== own);
  const facts: Fact<Answer>[] = [];
  // A memo that somebody else has made up names no key of ours.
  for await (const { paid } of runsThatCount(client, workflowId, others, (memo) => memo.baseKey === baseKey)) {
    facts.push(factOfMemo(paid, answerInMemo(paid)));
  }
  return facts;
}
