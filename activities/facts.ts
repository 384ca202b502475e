/**
 * The facts in memos and receipts of generations and chats: the one place where they are read and judged. It guarantees
 * that each memo is either read whole or named as unread, never passed over. The recall decides by these facts on a
 * POST; `charges`, `recover` and `list` show them. It never writes.
 */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { MEMO_FIELD, type GenerationMemo, type Position } from '../src/contract/index.js';
import { memoProblem } from '../src/policy/index.js';
import type { KeyFolder, ReceiptHead } from '../src/storage/index.js';
import { Unreadable } from '../src/temporal/runs.js';

type Run = Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'type' | 'status' | 'startTime' | 'closeTime'>;

/** A run with its memo. */
export interface PaidRun extends Run {
  /** Null where the run has no memo of ours, or one that cannot be read. */
  readonly paid: GenerationMemo | null;
  /** Why its memo cannot be read. */
  readonly unread?: string;
}

/** The content of a memo field of ours, or why it cannot be read. */
export function judgedMemo(memo: unknown): Pick<PaidRun, 'paid' | 'unread'> {
  if (memo == null) return { paid: null };
  const problem = memoProblem(memo);
  if (problem === null) return { paid: memo as GenerationMemo };
  return { paid: null, unread: `the memo of the Workflow is none of ours: ${problem}` };
}

/**
 * The runs that count, newest first. It stops at a run that has completed its recall: that memo holds the facts of all runs
 * before it. A run that never completed its recall says nothing of those before it, however new it is.
 * @param runIds - Newest first.
 * @param describe - Describes one run, because memos in a list lag by seconds; null where the Service has deleted it.
 * @param counts - Whether a run counts, by a memo in which anything may stand, and by its type.
 * @throws Unreadable where the memo of a run that counts cannot be read.
 */
export async function* runsThatCount(
  runIds: Iterable<string>,
  describe: (runId: string) => Promise<(Run & Pick<WorkflowExecutionInfo, 'memo'>) | null>,
  counts: (memo: Partial<GenerationMemo>, type: string) => boolean,
): AsyncGenerator<PaidRun & { readonly paid: GenerationMemo }> {
  for (const runId of runIds) {
    const run = await describe(runId);
    const memo = run?.memo?.[MEMO_FIELD] ?? null;
    if (run === null || memo === null || !counts(memo, run.type)) continue;
    const { paid, unread } = judgedMemo(memo);
    if (paid === null) throw new Unreadable(`run ${runId}: ${unread}`);
    yield { ...run, paid };
    if (paid.lookedBy === runId) return;
  }
}

/** The content of one memo or receipt about a key number. */
export interface Fact<Answer> extends Position {
  readonly idempotencyKey: string;
  /** The task or answer that was paid for under the key number, or null. */
  readonly answer: Answer | null;
  /** Digest of the request; null where the request was certainly not paid for: then another input may be submitted. */
  readonly bodyDigest: string | null;
  /** True for receipts: only Workers write them, while anybody who starts a Workflow can write a memo. */
  readonly proven: boolean;
}

export function factOfMemo<Answer>(memo: GenerationMemo, answer: Answer | null): Fact<Answer> {
  const { keyNumber, attempt, mayPostSince, earlier } = memo;
  const unanswered = answer === null ? mayPostSince : null;
  const binds = answer !== null || unanswered !== null || earlier.length > 0;
  const idempotencyKey = memo.idempotencyKey ?? memo.baseKey ?? '';
  const bodyDigest = binds ? memo.bodyDigest : null;
  return { keyNumber, attempt, idempotencyKey, answer, unanswered, earlier, bodyDigest, proven: false };
}

/** One fact for each answer, oldest first, and one for the last submit. */
export function factsOfReceipts<Answer>({ submit, answers }: KeyFolder<ReceiptHead & { readonly answer: Answer }>) {
  const common = { runId: null, unanswered: null, earlier: [], proven: true, riskReason: null };
  const facts = answers.map((receipt) => ({ ...common, ...receipt }));
  if (submit === null) return facts;
  const bodyDigest = submit.unanswered === null ? null : submit.bodyDigest;
  return [...facts, { ...common, ...submit, bodyDigest, answer: null }];
}
