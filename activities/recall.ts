/**
 * The recall: reads the receipts of a generation, and the memos of the other runs of its Workflow ID, before a POST. It
 * guarantees that a task, or a POST without an answer, is found as long as the store or Temporal remembers it.
 * `paidPost` calls it once in each run, and before each attempt while a POST has no answer. It never writes and never
 * asks the API. Where it cannot read all, it fails and the submit waits.
 */
import { Context, log } from '@temporalio/activity';
import { UNKNOWN_FINGERPRINT, type GenerationMemo, type UnansweredPost } from '../src/contract/index.js';
import type { KeyFolder, ReceiptHead } from '../src/storage/index.js';
import { factOfMemo, factsOfReceipts, runsThatCount, type Fact } from './facts.js';
import { describeRun, runIdsOf } from '../src/temporal/runs.js';

/** Where the facts about one generation are read. */
export interface RecallSource<Answer> {
  readonly baseKey: string;
  /** Null without a store. */
  readonly readReceipts: (() => Promise<KeyFolder<ReceiptHead & { readonly answer: Answer }>>) | null;
  readonly answerInMemo: (memo: GenerationMemo) => Answer | null;
}

/** All facts at the highest key number that receipts and memos name; null for a new generation. */
export async function recall<Answer>(source: RecallSource<Answer>): Promise<Fact<Answer> | null> {
  const receipts = source.readReceipts === null ? [] : factsOfReceipts(await source.readReceipts());
  const runs = await factsOfOtherRuns(source).catch((error: unknown) => {
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
  // One request stands for the generation: the first that was answered, else one that was certainly posted, else the oldest
  // that may have been posted.
  const requests = facts.filter((fact) => fact.bodyDigest !== null);
  const answered = requests.find((fact) => fact.answer !== null);
  const request = answered ?? requests.find((fact) => fact.proven) ?? requests.at(-1);
  return {
    keyNumber,
    idempotencyKey,
    answer,
    attempt: Math.max(...last.map(({ attempt }) => attempt)),
    unanswered: answer === null ? unanswered : null,
    earlier: [...new Set(facts.flatMap(({ earlier }) => earlier))],
    bodyDigest: request?.bodyDigest ?? null,
    proven: last.some((fact) => fact.proven && fact.unanswered !== null),
  };
}

/** The older of two POSTs, with a fingerprint and an error reply from either of them. */
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

/** Facts of the other runs of this Workflow ID; the input of the Activity holds those of its own run. */
async function factsOfOtherRuns<Answer>({ baseKey, answerInMemo }: RecallSource<Answer>): Promise<Fact<Answer>[]> {
  const { client, info } = Context.current();
  if (info.workflowExecution === undefined) return [];
  const { workflowId, runId: own } = info.workflowExecution;
  const runIds = await runIdsOf(client, workflowId);
  if (runIds === null) log.warn('this Temporal server has no list of runs, so earlier ones are not read');
  const others = (runIds ?? []).filter((runId) => runId !== own);
  const describe = (runId: string) => describeRun(client, workflowId, runId);
  const facts: Fact<Answer>[] = [];
  // A memo that a stranger has made up names another base key.
  for await (const { paid } of runsThatCount(others, describe, (memo) => memo.baseKey === baseKey)) {
    facts.push(factOfMemo(paid, answerInMemo(paid)));
  }
  return facts;
}
